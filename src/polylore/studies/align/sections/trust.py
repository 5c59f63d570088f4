"""Can this be trusted? Which cells say something, how answers were read, what the sets lack."""

import altair as alt
import polars as pl

from polylore.metrics.align.free import left_out
from polylore.report import Block, Chart, Page, Prose, TableView, shapes
from polylore.studies.align.context import AlignContext
from polylore.studies.align.sections.letters import letters_chart

BROKEN = 0.2
"""Share of tokens that are unknown or pieces of characters from which on a language is doubtful."""
_STATUSES = {
    "ok": "Letter", "lookalike": "Lookalike", "late": "Later", "text": "Words",
    "out_of_range": "Beyond options", "word_start": "Starts a word", "empty": "Empty",
    "unparsed": "Unread", "scored": "Scored",
}  # fmt: skip


def trust_page(context: AlignContext) -> Page | None:
    """The first page; None where no sets were asked."""
    if context.table("align_trust") is None:
        return None
    blocks: list[Block] = []
    warnings = _warnings(context)
    if warnings:
        blocks.append(Prose(tuple(warnings), tone="caution"))
    parts = (_grid, letters_chart, _cells, _audit, _defects, _baselines)
    blocks += [block for part in parts if (block := part(context)) is not None]
    lead = (
        "A letter habit looks like agreement between languages, and an answer that was read "
        "wrongly looks like ignorance. What cannot be used is named here, before any result."
    )
    return Page("trust", "Can this be trusted?", lead, tuple(blocks))


def _warnings(context: AlignContext) -> list[str]:
    found = []
    audit = context.table("align_parse_audit")
    if audit is not None:
        apart = audit.filter(pl.col("warning").is_not_null())
        if apart.height:
            found.append(
                f"In {apart.height} of {audit.height} cells the published parser and the default "
                "one differ by a point of accuracy or more; the table says where."
            )
    cells = context.tables["align_cells"]
    cut = cells.filter(pl.col("truncated") * 10 >= pl.col("n")).unique(["model", "dataset", "lang"])
    if cut.height:
        found.append(
            f"In {cut.height} cells a tenth of the answers or more was cut off at the token limit."
        )
    free = context.table("align_free")
    for dataset, n in ({} if free is None else left_out(free)).items():
        found.append(
            f"Items of {dataset} with a single option ({n}) are left out where options were "
            "ranked: such a choice is always right."
        )
    tokens = context.table("align_tokens")
    if tokens is not None:
        bad = tokens.filter(pl.col("broken") > BROKEN * pl.col("tokens"))
        for (model,), rows in bad.group_by(["model"], maintain_order=True):
            langs = ", ".join(rows["lang"].unique(maintain_order=True))
            found.append(
                f"The tokenizer of {model} reads more than 20 % of the questions in {langs} as "
                "unknown tokens or pieces of characters; low accuracy there may be the tokenizer's."
            )
    return found


def _grid(context: AlignContext) -> Chart:
    """How many languages of each set can be used, by model."""
    frame = (
        context.named(context.tables["align_trust"])
        .group_by("system", "dataset", maintain_order=True)
        .agg(
            usable=pl.col("usable").sum(),
            of=pl.len(),
            degenerate=pl.col("set_degenerate").first(),
            reason=pl.col("reason").drop_nulls().mode().sort().first(),
        )
        .with_columns(
            share=pl.col("usable") / pl.col("of"), words=pl.format("{} of {}", "usable", "of")
        )
    )
    systems = frame["system"].unique(maintain_order=True).to_list()
    spec = shapes.heat_map(
        alt.X("dataset:N", sort=context.datasets, title=None, axis=alt.Axis(labelAngle=0)),
        alt.Y("system:N", sort=systems, title=None, axis=alt.Axis(labelLimit=200)),
        "share",
        "languages that can be used",
        {"system": ("model", ""), "dataset": ("set", ""), "words": ("usable", ""),
         "reason": ("most often", "")},
        rows_count=len(systems),
        row=22,
    )  # fmt: skip
    return Chart(
        "align-usable",
        "Languages that can be used",
        "Of each set's languages, those whose answers say something; the table below names every "
        "cell and the reason. Where half of a set's languages or more show one letter, its "
        "consistency has no headline.",
        "Heat map of the share of usable languages, model by set.",
        spec,
        frame,
        {"system": "Model", "dataset": "Set", "words": "Usable", "reason": "Most often"},
        {},
        "half",
    )


def _cells(context: AlignContext) -> TableView:
    frame = context.named(context.tables["align_trust"]).with_columns(
        usable=pl.when("usable").then(pl.lit("yes")).otherwise(pl.lit("no"))
    )
    return TableView(
        "align-trust",
        "Which cells can be used",
        "A cell is a model in one set and language. Not used: answers that nearly always begin "
        "alike, that copy the demonstration, that are no better than guessing, or that often name "
        "no option.",
        frame.sort("usable", "dataset", "lang"),
        {"system": "Model", "dataset": "Set", "lang": "Language", "usable": "Usable",
         "reason": "Why not"},
        {"lang": "lang"},
    )  # fmt: skip


def _audit(context: AlignContext) -> TableView | None:
    audit = context.table("align_parse_audit")
    if audit is None:
        return None
    read = audit.filter(pl.col("scored") < pl.col("n"))
    if not read.height:
        return None
    return TableView(
        "align-audit",
        "How answers were read",
        "Answers by what the parser found, and the accuracy (percent) by each of three parsers: "
        "the published one takes the first character, the default one looks for a letter, the "
        "lenient one also accepts an option's words.",
        context.named(read),
        {"system": "Model", "dataset": "Set", "lang": "Language", "n": "n",
         **{k: v for k, v in _STATUSES.items() if read[k].sum()},
         "acc_first_char": "Published", "acc_robust": "Default", "acc_lenient": "Lenient",
         "warning": "Warning"},
        {"lang": "lang"},
    )  # fmt: skip


def _defects(context: AlignContext) -> TableView | None:
    found = context.table("align_lint_summary")
    if found is None:
        return None
    return TableView(
        "align-lint",
        "What the sets cannot show",
        "Findings of the linter, counted. Errors make results wrong, warnings make them "
        "misleading.",
        found,
        {"dataset": "Set", "lang": "Language", "check": "Check", "severity": "Severity",
         "n": "Items", "message": "What it means"},
        {"lang": "lang"},
    )  # fmt: skip


def _baselines(context: AlignContext) -> TableView | None:
    lines = context.table("align_baselines")
    if lines is None:
        return None
    return TableView(
        "align-baselines",
        "Accuracy without knowledge",
        "Percent right by guessing, by always choosing the most frequent place (position), by the "
        "option most like the question (overlap), by order where options are numbers, and by "
        "always giving the most frequent answer of a relation (majority).",
        lines,
        {"dataset": "Set", "lang": "Language", "baseline": "Baseline", "n": "n", "acc": "Accuracy"},
        {"lang": "lang"},
    )
