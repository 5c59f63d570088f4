"""Is a language as good as the reference?"""

import altair as alt
import polars as pl

from polylore.report import Block, Chart, Page, TableView, shapes
from polylore.studies.align.context import MODES, AlignContext, slug
from polylore.studies.align.sections.course import accuracy_curves

SPOKEN = 8
"""Models up to which every cell also says its accuracy."""


def performance_page(context: AlignContext) -> Page | None:
    """None where no sets were asked."""
    if context.table("align_cells") is None:
        return None
    blocks: list[Block] = []
    for name in context.datasets:
        charts = (_map(context, name), accuracy_curves(context, name))
        blocks += [chart for chart in charts if chart is not None]
    blocks.append(_table(context))
    classes = _classes(context)
    if classes is not None:
        blocks.append(classes)
    return Page("performance", "Performance", "How much is right in each language?", tuple(blocks))


def _map(context: AlignContext, dataset: str) -> Chart | None:
    cells = context.tables["align_cells"].filter(context.headline & (pl.col("dataset") == dataset))
    if not cells.height:
        return None
    frame = context.trusted(context.named(cells)).with_columns(
        mark=pl.when(pl.col("why").is_not_null()).then(pl.lit("×")).otherwise(pl.lit("")),
        percent=pl.col("acc").round(0).cast(pl.Int64).cast(pl.String),
        acc=pl.col("acc") / 100,
        lo=pl.col("lo") / 100,
        hi=pl.col("hi") / 100,
    )
    systems = frame["system"].unique(maintain_order=True).to_list()
    if len(systems) <= SPOKEN:
        frame = frame.with_columns(mark=pl.concat_str("percent", "mark", separator=" "))
    there = set(frame["lang"])
    spec = shapes.heat_map(
        alt.X("lang:N", sort=[c for c in context.languages if c in there], title=None,
              axis=alt.Axis(labelAngle=0)),
        alt.Y("system:N", sort=systems, title=None, axis=alt.Axis(labelLimit=200)),
        "x",
        "accuracy, corrected for chance",
        {"system": ("model", ""), "lang": ("language", ""), "acc": ("accuracy", ".1%"),
         "lo": ("from", ".1%"), "hi": ("to", ".1%"), "x": ("corrected", ".2f"),
         "why": ("cannot be used", "")},
        rows_count=len(systems),
        row=22,
        mark="mark",
    )  # fmt: skip
    chance = float(frame["chance"][0])
    return Chart(
        f"align-performance-{slug(dataset)}",
        f"{dataset}: accuracy by language",
        f"(a − c)/(1 − c), with chance c = {chance:.4g} %: 0 is guessing, 1 all right. "
        f"{'Numbers: accuracy in percent. ' if len(systems) <= SPOKEN else ''}×: cannot be used, "
        f"see the first page. Answers: {MODES.get(frame['mode'][0], frame['mode'][0])}. "
        f"n = {frame['n'].max()}.",
        f"Heat map of chance-corrected accuracy in {dataset}, model by language.",
        spec,
        frame,
        {"system": "Model", "lang": "Language", "n": "n", "acc": "Accuracy", "lo": "from",
         "hi": "to", "x": "Corrected", "why": "Cannot be used"},
        {"acc": "share", "lo": "share", "hi": "share", "lang": "lang"},
        "half" if len(there) <= 6 else "wide",
    )  # fmt: skip


def _table(context: AlignContext) -> TableView:
    return TableView(
        "align-cells",
        "Every cell",
        "All ways of answering and all parsers. Accuracy in percent with its Wilson interval; RA "
        "is relative to the reference, unclipped, with its bootstrap interval; in the published "
        "form it is clipped at 0. Order decides: share of items whose answer changes with the "
        "order of options.",
        context.named(context.tables["align_cells"]),
        {"system": "Model", "mode": "Mode", "parser": "Parser", "dataset": "Set",
         "lang": "Language", "n": "n", "acc": "Accuracy", "lo": "from", "hi": "to",
         "x": "Corrected", "ra": "RA", "ra_lo": "RA from", "ra_hi": "RA to",
         "ra_paper": "RA, published form", "top_letter": "Most frequent beginning",
         "top_share": "its share", "position_sensitivity": "Order decides"},
        {"lang": "lang", "top_share": "share", "position_sensitivity": "share"},
    )  # fmt: skip


def _classes(context: AlignContext) -> TableView | None:
    grades = context.table("align_free")
    if grades is None:
        return None
    written = grades.filter(pl.col("candidates") == 0)
    if not written.height:
        return None
    keys = ["model", "step", "mode", "variant", "dataset", "lang"]
    counts = written.group_by([*keys, "answer_class"], maintain_order=True).len("n")
    return TableView(
        "align-classes",
        "What free answers name",
        "The right answer; the right one in another language; another answer of the same kind; "
        "several; something else; nothing.",
        context.named(counts),
        {"system": "Model", "dataset": "Set", "lang": "Language", "answer_class": "Names",
         "n": "Answers"},
        {"lang": "lang"},
    )  # fmt: skip
