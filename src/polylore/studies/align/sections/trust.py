"""Can this be trusted? Which cells say something, how answers were read, what the sets lack."""

import polars as pl

from polylore.report import Block, Page, Prose, TableView
from polylore.studies.align.context import AlignContext

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
    blocks += [
        b
        for b in (_cells(context), _audit(context), _defects(context), _baselines(context))
        if b is not None
    ]
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
