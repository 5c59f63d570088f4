"""The figures of a link report (specification of `unify`, section 10.2)."""

import altair as alt
import polars as pl

from polylore.report import Chart, shapes
from polylore.report.axes import rows, share
from polylore.report.languages import ALL
from polylore.studies.unify.linking.context import (
    CONTROLS,
    POSITIONS,
    LinkContext,
    with_directions,
)

_CORRECTED = "U_norm minus that of a freshly initialised copy and of shuffled pairs"


def layer_map(context: LinkContext, position: str) -> Chart | None:
    """Corrected U by layer and checkpoint, mean over pairs of languages; raw without copies."""
    found = context.items().filter(position=position)
    column = "u_raw" if found["u_corrected"].null_count() == found.height else "u_corrected"
    frame = context.labelled(
        found.group_by("ckpt_id", "layer", maintain_order=True).agg(
            pl.col("u_raw", "u_corrected").mean(), pairs=pl.len() // 2
        )
    ).drop_nulls(column)
    if not frame.height:
        return None
    values = frame[column]
    low, high = (float(values.quantile(q) or 0) for q in (0.1, 0.9))
    labels = frame["label"].unique(maintain_order=True).to_list()
    layers = sorted(frame["layer"].unique().to_list(), reverse=True)
    spec = shapes.heat_map(
        alt.X("label:N", sort=labels, title=context.axis_title, axis=alt.Axis(labelAngle=0)),
        alt.Y("layer:O", sort=layers, title="hidden state"),
        column,
        "unification",
        {"label": (context.axis_title, ""), "layer": ("hidden state", ".0f"),
         "u_raw": ("U, raw", ".3f"), "u_corrected": ("U, corrected", ".3f"),
         "pairs": ("pairs of languages", ".0f")},
        domain=(min(0.0, low), max(high, 0.05)),
        form=".2f",
        row=16,
        rows_count=len(layers),
    )  # fmt: skip
    what = _CORRECTED if column == "u_corrected" else "U_norm as it is: no copy was made"
    return Chart(
        f"link-layers-{position.replace('_', '-')}",
        f"Unification by layer: {POSITIONS[position]}",
        f"{what}; mean over pairs of languages, facts that are not the same tokens in both. "
        "Hidden state 0 are the embeddings, the last one follows the final norm. Colours end "
        "where 80 % of the values end.",
        f"Map of unification scores by layer and checkpoint at the {POSITIONS[position]}.",
        spec,
        frame,
        {"label": context.axis_title.capitalize(), "layer": "Hidden state", "u_raw": "U, raw",
         "u_corrected": "U, corrected", "pairs": "Pairs"},
        layout="half",
    )  # fmt: skip


def against_accuracy(context: LinkContext) -> Chart | None:
    """U of a pair against P(right in b | right in a), one path per direction."""
    layer, position, _ = context.place
    found = context.items().filter(layer=layer, position=position)
    column = "u_raw" if found["u_corrected"].null_count() == found.height else "u_corrected"
    frame = with_directions(context.labelled(found.filter(pl.col("n_known") > 0))).drop_nulls(
        [column, "acc_known"]
    )
    if not frame.height:
        return None
    x = alt.X(f"{column}:Q", title="U, raw" if column == "u_raw" else "U, corrected",
              scale=alt.Scale(zero=False))  # fmt: skip
    y = share("acc_known", "right in the language asked, of those known", axis=alt.Y)
    tips = [
        alt.Tooltip("direction:N", title="direction"),
        alt.Tooltip("label:N", title=context.axis_title),
        alt.Tooltip(f"{column}:Q", title="U", format=".3f"),
        alt.Tooltip("acc_known:Q", title="right, of those known", format=".1%"),
        alt.Tooltip("n_known:Q", title="facts known", format=","),
    ]
    chart = alt.Chart(rows())
    layers = [chart.mark_point(size=42, opacity=0.9).encode(x=x, y=y, tooltip=tips)]
    if context.course.height > 1:
        path = chart.mark_line(style="reference", opacity=0.5)
        order = alt.Order("_place:Q")
        layers.insert(0, path.encode(x=x, y=y, detail="direction:N", order=order))
    small = int(frame["n_known"].min())  # type: ignore[arg-type]
    return Chart(
        "link-pairs",
        "Unification and accuracy across languages",
        "One point per direction (known in the first language, asked in the second) and "
        f"checkpoint; a thin line joins the checkpoints of a direction. Place: "
        f"{context.place_words}. A "
        f"point stands for {small} known facts or more: one of few facts says little.",
        "Points of unification against conditional accuracy per direction of languages.",
        shapes.single(layers, height=280),
        frame,
        {"direction": "Direction", "label": context.axis_title.capitalize(), "u_raw": "U, raw",
         "u_corrected": "U, corrected", "acc_known": "Right, of known", "n_known": "Known",
         "n": "Facts"},
        {"acc_known": "share"},
    )  # fmt: skip


def forest(context: LinkContext) -> Chart | None:
    """Coefficient of the score in the adjusted fit, per direction."""
    frame = _ordered(context.reported().filter(control="none").drop_nulls("coef"))
    if not frame.height:
        return None
    spec = shapes.dots(
        alt.X("coef:Q", title="log-odds of a right answer per standard deviation of the score"),
        "direction",
        frame["direction"].unique(maintain_order=True).to_list(),
        {"direction": ("", ""), "coef": ("coefficient", ".2f"), "coef_lo": ("from", ".2f"),
         "coef_hi": ("to", ".2f"), "delta_auc": ("gain in AUC", ".3f"), "given": ("given", ""),
         "n_known": ("known facts", ",")},
        interval=("coef_lo", "coef_hi"),
        rule=0,
    )  # fmt: skip
    return Chart(
        "link-forest",
        "What the score adds",
        "Coefficient of the score of single facts in a logistic fit of right and wrong among known "
        "facts, given what the table names; last checkpoint, the half of the facts that did not "
        f"choose the place, {context.place_words}. Intervals resample facts.",
        "Forest plot of coefficients of the score, one row per direction.",
        spec,
        frame,
        {"direction": "Direction", "n_known": "Known", "coef": "Coefficient", "coef_lo": "from",
         "coef_hi": "to", "delta_auc": "Gain in AUC", "given": "Given"},
        layout="half",
    )  # fmt: skip


def controls(context: LinkContext) -> Chart | None:
    """AUC of the score beside its negative controls."""
    frame = _ordered(context.reported().drop_nulls("auc")).with_columns(
        what=pl.col("control").replace_strict(CONTROLS, return_dtype=pl.String)
    )
    if not frame.height:
        return None
    order = [name for name in CONTROLS.values() if name in set(frame["what"])]
    spec = shapes.dots(
        alt.X("auc:Q", title="AUC among known facts", scale=alt.Scale(zero=False)),
        "direction",
        frame["direction"].unique(maintain_order=True).to_list(),
        {"direction": ("", ""), "what": ("", ""), "auc": ("AUC", ".3f"), "lo": ("from", ".3f"),
         "hi": ("to", ".3f"), "n_known": ("known facts", ",")},
        series="what",
        series_order=order,
        rule=0.5,
    )  # fmt: skip
    return Chart(
        "link-controls",
        "Single facts, and what must show nothing",
        "Chance that a fact that is right in the language asked has a higher score than one that "
        "is wrong, among facts known in the first language. With exchanged outcomes (within a "
        "relation) and shuffled pairs nothing but 0.5 is honest; a fresh initialisation shows what "
        f"shared tokens alone do. Last checkpoint; place: {context.place_words}.",
        "Dots of AUC per direction beside negative controls.",
        spec,
        frame,
        {"direction": "Direction", "what": "What", "n_known": "Known", "auc": "AUC", "lo": "from",
         "hi": "to"},
        layout="half",
    )  # fmt: skip


def _ordered(frame: pl.DataFrame) -> pl.DataFrame:
    """All directions together first, then one by one."""
    first = (pl.col("lang_a") != ALL).cast(pl.Int8)
    return frame.sort(first, "direction", maintain_order=True)
