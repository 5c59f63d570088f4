"""Similarity of groups of facts: by how their answers got there, and beside matched controls."""

import altair as alt
import polars as pl

from polylore.report import Chart, TableView, interval, shapes
from polylore.report.languages import ALL
from polylore.studies.trace.context import Context
from polylore.studies.trace.sections.similarity_rows import (
    POSITIONS,
    captioned,
    headline_layer,
    headline_position,
    layer_axis,
    table,
)

CONTROLS = {
    "donor_knows": "wrong, though the pivot knows it",
    "donor_ignorant": "wrong, and the pivot is too",
    "paper_tn": "published classes: FN against TN",
}
"""Control sets in plain words, in the order of their colours."""
_STRATA = {"all": "all", "no_same_object": "differ"}
_OF = {"own": "this checkpoint", "final": "the last one"}


def _groups(context: Context) -> TableView | None:
    rows = context.at_end(table(context)).filter(
        pl.col("lang") == ALL,
        pl.col("kind") != "all",
        pl.col("layer") == headline_layer(context),
        pl.col("position") == headline_position(context),
        pl.col("groups_of") == "own",
    )
    if not rows.height:
        return None
    frame = rows.with_columns(
        interval("excess", "excess_lo", "excess_hi"),
        interval("cos_centred", "cos_centred_lo", "cos_centred_hi"),
        objects=pl.col("stratum").replace_strict(_STRATA),
        named=pl.when(kind="label").then("group").otherwise(pl.format("published: {}", "group")),
    )
    return TableView(
        "similarity-groups",
        "By how the answer got there",
        "Layer "
        f"{headline_layer(context)}, taken at the {POSITIONS[headline_position(context)]}, last "
        "checkpoint, all languages. Objects: all, or only those that differ in spelling from the "
        "pivot's. Groups differ in more than their label, so only matched facts can be compared. "
        + captioned(context, frame["n"]),
        frame,
        {"named": "Group", "objects": "Objects", "n": "n", "cos": "Same fact",
         "base_relation": "Different facts", "excess_ci": "Excess",
         "cos_centred_ci": "Means taken out", "cos_clipped": "Published form", "mexa": "Found"},
        {"excess_ci": "interval.number", "cos_centred_ci": "interval.number", "mexa": "share"},
        ("excess", True),
    )  # fmt: skip


def _rows(context: Context) -> pl.DataFrame | None:
    found = context.table("similarity_controls")
    if found is None:
        return None
    rows = found.filter(
        pl.col("lang") == ALL,
        pl.col("stratum") == "no_same_object",
        pl.col("position") == headline_position(context),
    ).drop_nulls("difference")
    return rows if rows.height else None


def _controls(context: Context) -> Chart | None:
    rows = _rows(context)
    rows = None if rows is None else context.at_end(rows).filter(groups_of="own")
    if rows is None or not rows.height:
        return None
    frame = rows.select(
        "layer", "difference", "difference_lo", "difference_hi", "p_value", "n_matched",
        "n_controls", series=pl.col("control_set").replace_strict(CONTROLS), none=pl.lit(0.0),
    )  # fmt: skip
    layers = shapes.lines(
        layer_axis(context, "layer"),
        alt.Y("difference:Q", title="difference of cosines", axis=alt.Axis(tickCount=5)),
        {"series": ("controls", ""), "layer": ("layer", "d"), "difference": ("difference", ".4f"),
         "difference_lo": ("from", ".4f"), "difference_hi": ("to", ".4f"),
         "p_value": ("p", ".3f"), "n_matched": ("matched", ",")},
        series="series",
        order=[w for w in CONTROLS.values() if w in set(frame["series"])],
        band=("difference_lo", "difference_hi"),
        reference="none",
    )  # fmt: skip
    return Chart(
        "similarity-controls",
        "Are transfer candidates closer to the pivot than matched facts?",
        "Cosine of facts labelled “transfer candidate” minus that of wrong facts of the same "
        "relation and nearly the same exposure (published classes: rarely read right minus rarely "
        "read wrong), by layer, at the last checkpoint, all languages, objects spelled "
        "differently; dashed: none. Each 95 % band is about one layer. "
        + captioned(context, frame["n_matched"]),
        "Line chart over layers of the difference in cosine between cases and matched controls.",
        shapes.single(layers),
        frame.with_columns(interval("difference", "difference_lo", "difference_hi")),
        {"series": "Controls", "layer": "Layer", "n_matched": "Matched", "n_controls": "Controls "
         "used", "difference_ci": "Difference", "p_value": "p"},
        {"difference_ci": "interval.number"},
        "half",
    )  # fmt: skip


def _over_training(context: Context) -> Chart | None:
    rows = _rows(context)
    if rows is None or not context.trajectory:
        return None
    rows = context.on_axis(rows).filter(control_set="donor_knows")
    if rows["ckpt_id"].n_unique() < 2:
        return None
    labels = context.checkpoints.select("ckpt_id", "label")
    frame = rows.join(labels, on="ckpt_id", how="left", maintain_order="left").select(
        "label", "step", "tokens", "layer", "n_matched", "difference", "difference_lo",
        "difference_hi", series=pl.col("groups_of").replace_strict(_OF),
        mark=pl.when(pl.col("difference_lo") > 0).then(pl.lit("✓")).otherwise(pl.lit("")),
    )  # fmt: skip
    own = frame.filter(pl.col("series") == _OF["own"])
    if own["label"].n_unique() < 2:
        return None
    top = own["difference"].max()
    spec = shapes.heat_map(
        alt.X("label:N", sort=own["label"].unique(maintain_order=True).to_list(),
              title=context.axis_title, axis=alt.Axis(labelAngle=-40)),
        alt.Y("layer:O", sort="descending", title="layer"),
        "difference",
        "transfer candidates minus controls",
        {"label": ("checkpoint", ""), "layer": ("layer", "d"),
         "difference": ("difference", ".4f"), "difference_lo": ("from", ".4f"),
         "difference_hi": ("to", ".4f"), "n_matched": ("matched", ",")},
        domain=(0, max(0.001, float(top))),  # type: ignore[arg-type]
        form=".3f",
        rows_count=own["layer"].n_unique(),
        row=18,
        mark="mark",
    )  # fmt: skip
    return Chart(
        "similarity-controls-map",
        "The same over training",
        "Transfer candidates of each checkpoint minus wrong facts that the pivot knows, by "
        "checkpoint and layer; below zero is shown as zero. ✓: the interval lies above zero; of "
        "forty cells where nothing differs one is expected to have it. "
        + captioned(context, own["n_matched"]),
        "Heat map of the difference in cosine by checkpoint and layer.",
        spec,
        own.with_columns(interval("difference", "difference_lo", "difference_hi")),
        {"label": "Checkpoint", "step": "Step", "tokens": "Tokens", "layer": "Layer",
         "n_matched": "Matched", "difference_ci": "Difference"},
        {"difference_ci": "interval.number", "tokens": "tokens"},
        "half",
    )  # fmt: skip


GROUP_BLOCKS = (_groups, _controls, _over_training)
