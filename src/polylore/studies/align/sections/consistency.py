"""Are the same items right in two languages, beyond accuracy and letter habits?"""

import altair as alt
import polars as pl

from polylore.report import Block, Chart, Page, TableView, interval, shapes
from polylore.report.axes import rows as rows_
from polylore.report.axes import share
from polylore.studies.align.context import AlignContext, slug
from polylore.tables.align import SYSTEM_KEY

_FORMS = {
    "co_iou": "measured",
    "co_indep": "if languages were independent",
    "co_pos": "if independent given the gold letter",
}


def consistency_page(context: AlignContext) -> Page | None:
    """None without pairs of languages."""
    pairs = context.table("align_consistency")
    if pairs is None:
        return None
    rows = pairs.filter(context.headline & (pl.col("exposure_class") == "all"))
    blocks: list[Block] = [_against_accuracy(context, rows)]
    blocks += [c for name in context.datasets if (c := _matrix(context, rows, name)) is not None]
    blocks.append(_table(context, pairs))
    lead = (
        "Items right in both languages, of those right in either. Two accurate models agree for "
        "that reason alone, and so do two letter habits; only what is above both says more."
    )
    return Page("consistency", "Consistency", lead, tuple(blocks))


def _against_accuracy(context: AlignContext, rows: pl.DataFrame) -> Chart:
    least = pl.min_horizontal("n_p", "n_l") / pl.col("n")
    own = context.named(rows.with_columns(least=least))
    keys = ["system", "dataset", "pivot", "lang", "least", "n"]
    frame = pl.concat(
        [
            own.select(*keys, pl.col(form).alias("co"), pl.lit(words).alias("form"))
            for form, words in _FORMS.items()
        ]
    ).filter(pl.col("co").is_not_null())
    tips = [
        alt.Tooltip("system:N", title="model"), alt.Tooltip("dataset:N", title="set"),
        alt.Tooltip("pivot:N", title="source"), alt.Tooltip("lang:N", title="target"),
        alt.Tooltip("least:Q", title="lower accuracy", format=".1%"),
        alt.Tooltip("co:Q", title="consistency", format=".3f"),
    ]  # fmt: skip
    points = (
        alt.Chart(rows_())
        .mark_point(size=30)
        .encode(
            x=share("least", "lower accuracy of the two", 1.0, axis=alt.X),
            y=share("co", "consistency (IoU)", 1.0, axis=alt.Y),
            color=alt.Color(
                "form:N", scale=alt.Scale(domain=[*_FORMS.values()]), legend=alt.Legend(title=None)
            ),
            tooltip=tips,
        )
    )
    return Chart(
        "align-consistency",
        "Consistency against accuracy",
        "One point per model, set and pair of languages, beside what would be there if languages "
        "shared nothing. Where the three lie together, agreement says nothing.",
        "Scatter plot of consistency by the lower accuracy of two languages, with two baselines.",
        shapes.single([points], height=280),
        frame,
        {"system": "Model", "dataset": "Set", "pivot": "Source", "lang": "Target",
         "least": "Lower accuracy", "form": "Which", "co": "Consistency", "n": "n"},
        {"least": "share", "pivot": "lang", "lang": "lang"},
    )  # fmt: skip


def _matrix(context: AlignContext, rows: pl.DataFrame, dataset: str) -> Chart | None:
    own = context.last(rows).filter(pl.col("dataset") == dataset)
    if not own.height:
        return None
    several = own["pivot"].n_unique() > 1
    if several:
        # One matrix per set: the system with most pairs that can be read, the first of equals.
        counts = own.group_by(SYSTEM_KEY, maintain_order=True).agg(pl.col("interpretable").sum())
        best = counts.sort("interpretable", descending=True, maintain_order=True).head(1)
        own = own.join(best.select(SYSTEM_KEY), on=SYSTEM_KEY, how="semi", nulls_equal=True)
    frame = context.named(own).with_columns(
        mark=pl.when("interpretable").then(pl.lit("")).otherwise(pl.lit("×"))
    )
    rows_by = "pivot" if several else "system"
    order = context.languages
    spec = shapes.heat_map(
        alt.X("lang:N", sort=order, title="target", axis=alt.Axis(labelAngle=0)),
        alt.Y(f"{rows_by}:N", sort=order if several else None, title="source" if several else None,
              axis=alt.Axis(labelLimit=200)),
        "co_norm",
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
