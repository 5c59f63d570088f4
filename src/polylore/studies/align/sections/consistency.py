"""Are the same items right in two languages, beyond accuracy and letter habits?"""

import altair as alt
import polars as pl

from polylore.report import Block, Chart, Page, TableView, interval, shapes
from polylore.report.axes import rows as rows_
from polylore.report.axes import share
from polylore.studies.align.context import AlignContext, slug
from polylore.studies.align.sections.course import consistency_curves
from polylore.tables.align import SYSTEM_KEY

_FORMS = {
    "co_iou": "measured",
    "co_indep": "if languages were independent",
    "co_pos": "if independent given the gold letter",
}

MANY = 60
"""Pairs of languages from which on points are small."""
MOST = 4
"""Models whose consistency by exposure stands in one picture."""


def consistency_page(context: AlignContext) -> Page | None:
    """None without pairs of languages."""
    pairs = context.table("align_consistency")
    if pairs is None:
        return None
    rows = pairs.filter(context.headline & (pl.col("exposure_class") == "all"))
    blocks: list[Block] = [_against_accuracy(context, rows)]
    for draw in (_matrix, consistency_curves):
        blocks += [c for name in context.datasets if (c := draw(context, name)) is not None]
    blocks += [c for c in (_exposure(context, pairs),) if c is not None]
    blocks.append(_table(context, pairs))
    lead = (
        "Items right in both languages, of those right in either. Two accurate models agree for "
        "that reason alone, and so do two letter habits; only what is above both says more."
    )
    return Page("consistency", "Consistency", lead, tuple(blocks))


def _against_accuracy(context: AlignContext, rows: pl.DataFrame) -> Chart:
    least = pl.min_horizontal("n_p", "n_l") / pl.col("n")
    own = context.named(rows.with_columns(least=least))
    keys = ["system", "dataset", "pivot", "lang", "least", "n", "reason"]
    # The baselines first, so that what was measured lies on top.
    frame = pl.concat(
        [
            own.select(*keys, pl.col(form).alias("co"), pl.lit(words).alias("form"))
            for form, words in reversed(_FORMS.items())
        ]
    ).filter(pl.col("co").is_not_null())
    tips = [
        alt.Tooltip("system:N", title="model"), alt.Tooltip("dataset:N", title="set"),
        alt.Tooltip("pivot:N", title="source"), alt.Tooltip("lang:N", title="target"),
        alt.Tooltip("least:Q", title="lower accuracy", format=".1%"),
        alt.Tooltip("co:Q", title="consistency", format=".3f"),
        alt.Tooltip("reason:N", title="says nothing"),
    ]  # fmt: skip
    points = (
        alt.Chart(rows_())
        .mark_point(size=16 if own.height > MANY else 40)
        .encode(
            x=alt.X(
                "least:Q",
                title="lower accuracy of the two",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format=".0%", values=[0, 0.5, 1]),
            ),
            y=share("co", "consistency (IoU)", 1.0, axis=alt.Y),
            color=alt.Color(
                "form:N", scale=alt.Scale(domain=[*_FORMS.values()]), legend=alt.Legend(title=None)
            ),
            opacity=alt.condition("datum.reason == null", alt.value(0.75), alt.value(0.25)),
            tooltip=tips,
        )
    )
    return Chart(
        "align-consistency",
        "Consistency against accuracy",
        "One point per model and pair of languages, beside what would be there if languages "
        "shared nothing. Where the three lie together, agreement says nothing; pale: a pair that "
        "cannot be read at all.",
        "Scatter plots of consistency by the lower accuracy of two languages, with two baselines.",
        shapes.panels([points], "dataset", context.datasets, height=150),
        frame,
        {"system": "Model", "dataset": "Set", "pivot": "Source", "lang": "Target",
         "least": "Lower accuracy", "form": "Which", "co": "Consistency", "n": "n"},
        {"least": "share", "pivot": "lang", "lang": "lang"},
        "panels",
    )  # fmt: skip


_SEEN = {
    "both": "read in both",
    "pivot_only": "in the source alone",
    "lang_only": "in the target alone",
    "neither": "in neither",
}


def _exposure(context: AlignContext, pairs: pl.DataFrame) -> Chart | None:
    """Consistency by what training told; None where that is unknown."""
    own = context.last(
        pairs.filter(
            context.headline
            & (pl.col("exposure_class") != "all")
            & (pl.col("pivot") == context.pivot)
        )
    )
    if not own.height:
        return None
    frame = context.named(own).with_columns(
        seen=pl.col("exposure_class").replace_strict(_SEEN, return_dtype=pl.String()),
        panel=pl.format("{}, {}", "dataset", "lang"),
    )
    systems = frame["system"].unique(maintain_order=True).to_list()
    if len(systems) > MOST:
        frame = frame.filter(pl.col("system").is_in(systems[:MOST]))
    order = [words for words in _SEEN.values() if words in set(frame["seen"])]
    y = alt.Y("seen:N", sort=order, title=None, axis=alt.Axis(labelLimit=140))
    chart = alt.Chart(rows_())
    colour = (
        {}
        if len(systems) == 1
        else {"color": alt.Color("system:N", legend=alt.Legend(title=None)),
              "yOffset": alt.YOffset("system:N")}
    )  # fmt: skip
    layers = [
        chart.mark_rule(strokeWidth=2, opacity=0.55).encode(
            x=alt.X("co_iou_lo:Q"), x2="co_iou_hi", y=y, **colour
        ),
        chart.mark_tick(style="reference-tick", size=11).encode(
            x=alt.X("co_pos:Q"), y=y, **{k: v for k, v in colour.items() if k != "color"}
        ),
        chart.mark_point(size=46, opacity=1).encode(
            x=share("co_iou", "consistency (IoU)"), y=y, **colour,
            tooltip=[
                alt.Tooltip("system:N", title="model"), alt.Tooltip("seen:N", title="read"),
                alt.Tooltip("co_iou:Q", title="IoU", format=".2f"),
                alt.Tooltip("co_pos:Q", title="by habit", format=".2f"),
                alt.Tooltip("n:Q", title="facts"),
            ],
        ),
    ]  # fmt: skip
    panels = frame["panel"].unique(maintain_order=True).to_list()
    return Chart(
        "align-exposure",
        "Consistency by what training told",
        "Facts read in both languages may be right in both without any transfer; only the other "
        "rows can speak for it. Line: 95 %; grey tick: what letter habits alone give.",
        "Dot plots of consistency by where training told the facts, one per set and language.",
        shapes.panels(layers, "panel", panels, height=20 * len(order) + 8 * len(systems[:MOST])),
        frame.with_columns(interval("co_iou", "co_iou_lo", "co_iou_hi")),
        {"system": "Model", "dataset": "Set", "lang": "Target", "seen": "Read", "n": "Facts",
         "n_p": "right in source", "n_l": "right in target", "co_iou_ci": "IoU",
         "co_pos": "by habit", "reason": "Says nothing"},
        {"lang": "lang", "co_iou_ci": "interval"},
        "panels",
    )  # fmt: skip


def _matrix(context: AlignContext, dataset: str) -> Chart | None:
    own = context.last(
        context.tables["align_consistency"].filter(
            context.headline & (pl.col("exposure_class") == "all") & (pl.col("dataset") == dataset)
        )
    )
    if not own.height:
        return None
    several = own["pivot"].n_unique() > 1
    if several:
        # One matrix per set: the system with most pairs that can be read, the first of equals.
        counts = own.group_by(SYSTEM_KEY, maintain_order=True).agg(pl.col("interpretable").sum())
        best = counts.sort("interpretable", descending=True, maintain_order=True).head(1)
        own = own.join(best.select(SYSTEM_KEY), on=SYSTEM_KEY, how="semi", nulls_equal=True)
    # A cell that says nothing has no colour: a deep one would be believed all the same.
    frame = context.named(own).with_columns(
        mark=pl.when("interpretable").then(pl.lit("")).otherwise(pl.lit("×")),
        shown=pl.when("interpretable").then("co_norm"),
    )
    rows_by = "pivot" if several else "system"
    order = context.languages
    spec = shapes.heat_map(
        alt.X("lang:N", sort=order, title="target", axis=alt.Axis(labelAngle=0)),
        alt.Y(f"{rows_by}:N", sort=order if several else None, title="source" if several else None,
              axis=alt.Axis(labelLimit=200)),
        "shown",
        "consistency beyond habits",
        {"system": ("model", ""), "pivot": ("source", ""), "lang": ("target", ""),
         "co_norm": ("normalised", ".2f"),
         "co_norm_lo": ("from", ".2f"), "co_norm_hi": ("to", ".2f"), "co_iou": ("IoU", ".2f"),
         "co_pos": ("IoU by habit", ".2f"), "reason": ("says nothing", "")},
        form=".1f",
        rows_count=frame[rows_by].n_unique(),
        mark="mark",
    )  # fmt: skip
    name = frame["system"][0] if several else f"Against {frame['pivot'][0]}"
    return Chart(
        f"align-matrix-{slug(dataset)}",
        f"{dataset}: source and target",
        f"{name}. 0: what independent languages with these letter habits would share; 1: all that "
        "their accuracies allow. ×: says nothing, the table gives the reason. "
        f"n = {frame['n'].max()}.",
        f"Heat map of normalised consistency in {dataset}, source by target language.",
        spec,
        frame.with_columns(interval("co_norm", "co_norm_lo", "co_norm_hi")),
        {"system": "Model", "pivot": "Source", "lang": "Target",
         "co_norm_ci": "Normalised", "co_iou": "IoU",
         "co_pos": "IoU by habit", "n": "n", "reason": "Says nothing"},
        {"pivot": "lang", "lang": "lang", "co_norm_ci": "interval"},
        "half",
    )  # fmt: skip


def _table(context: AlignContext, pairs: pl.DataFrame) -> TableView:
    return TableView(
        "align-pairs",
        "Every pair of languages",
        "IoU is the published form by our reading; its formula was not published. Known in both: "
        "share of items if guesses are uniform and independent. Shared rankings and crossed orders "
        "need scores of options.",
        context.named(pairs),
        {"system": "Model", "mode": "Mode", "parser": "Parser", "dataset": "Set",
         "pivot": "Source", "lang": "Target", "n": "n", "n_p": "right in source",
         "n_l": "right in target", "both": "in both", "co_iou": "IoU", "co_indep": "independent",
         "co_pos": "by habit", "co_norm": "Normalised", "co_norm_lo": "from", "co_norm_hi": "to",
         "k_both": "Known in both", "rankc": "Rankings", "rankc_null": "by chance",
         "co_crossrot": "Crossed orders", "pos_inflation": "Order inflates by",
         "reason": "Says nothing"},
        {"pivot": "lang", "lang": "lang"},
    )  # fmt: skip
