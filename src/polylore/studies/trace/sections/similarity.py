"""Similarity: are facts represented alike in two languages, more than any two facts are?"""

from collections.abc import Callable

import altair as alt
import polars as pl

from polylore.report import Block, Chart, Definitions, Page, Prose, TableView, interval, shapes
from polylore.report.languages import ALL
from polylore.report.languages import name as language_name
from polylore.studies.trace.context import Context, with_names
from polylore.studies.trace.sections.similarity_groups import GROUP_BLOCKS
from polylore.studies.trace.sections.similarity_rows import (
    POSITIONS,
    captioned,
    headline_layer,
    headline_position,
    languages,
    layer_axis,
    layer_words,
    whole,
)

FORMS = {
    "cos": "same fact",
    "base_relation": "others of its relation",
    "base_all": "any others",
    "cos_centred": "same fact, means taken out",
}
"""Cosines that a layer is described by, in the order of their colours."""


def similarity_page(context: Context) -> Page | None:
    """None where nothing was measured."""
    if context.table("similarity_summary") is None:
        return None
    makers: tuple[Callable[[Context], Block | None], ...] = (
        _by_layer,
        _forms,
        _mexa,
        _map,
        _over_training,
        *GROUP_BLOCKS,
        _table,
    )
    blocks = [block for make in makers if (block := make(context)) is not None]
    lead = (
        "Inside the model a question is a vector in every layer. Are the vectors of one fact in "
        "two languages more alike than those of two facts? If so, the languages share something "
        "about the fact itself, not only the topic and the form of the question."
    )
    return Page("similarity", "Similarity", lead, (_reading(), *blocks, _terms(context)))


def _reading() -> Prose:
    return Prose(
        (
            "A large cosine says little: the vectors of most models share a direction, so any two "
            "of them are alike. What counts is the excess, the cosine of a fact with itself in the "
            "other language minus that of different facts of one relation. And alike is not yet "
            "used: that two languages represent a fact alike does not show that one took it from "
            "the other.",
        ),
        "caution",
    )


def _by_layer(context: Context) -> Chart | None:
    rows = context.at_end(whole(context)).drop_nulls("excess")
    if not rows.height:
        return None
    frame = with_names(rows).select(
        "language", "layer", "n", "excess", "excess_lo", "excess_hi", "cos", "base_relation",
        series=pl.col("position").replace_strict(POSITIONS), none=pl.lit(0.0),
    )  # fmt: skip
    layers = shapes.lines(
        layer_axis(context, None),
        alt.Y("excess:Q", title=None, axis=alt.Axis(format=".2f", tickCount=4)),
        {"language": ("language", ""), "layer": ("layer", "d"), "series": ("taken at", ""),
         "excess": ("excess", ".3f"), "excess_lo": ("from", ".3f"), "excess_hi": ("to", ".3f"),
         "cos": ("same fact", ".3f"), "base_relation": ("different facts", ".3f"),
         "n": ("facts", ",")},
        series="series",
        order=[w for w in POSITIONS.values() if w in set(frame["series"])],
        band=("excess_lo", "excess_hi"),
        reference="none",
    )  # fmt: skip
    return Chart(
        "similarity-layers",
        "How much more alike is a fact to itself than to others?",
        "Excess cosine by layer at the last checkpoint, with its 95 % band; dashed: none. Layer 0 "
        f"is the output of the embeddings; {layer_words(context)}. "
        + captioned(context, frame["n"]),
        "Small multiples of the excess cosine over layers, one per language, with a line at zero.",
        shapes.panels(layers, "language", languages(context)),
        frame.with_columns(interval("excess", "excess_lo", "excess_hi")),
        {"language": "Language", "layer": "Layer", "series": "Taken at", "n": "n",
         "excess_ci": "Excess", "cos": "Same fact", "base_relation": "Different facts"},
        {"excess_ci": "interval.number"},
        "panels",
    )  # fmt: skip


def _forms(context: Context) -> Chart | None:
    rows = context.at_end(whole(context)).filter(
        (pl.col("lang") == ALL) & (pl.col("position") == headline_position(context))
    )
    parts = [
        rows.select("layer", "n", value=name, series=pl.lit(words)) for name, words in FORMS.items()
    ]
    frame = pl.concat(parts).drop_nulls("value")
    if not frame.height:
        return None
    layers = shapes.lines(
        layer_axis(context, "layer"),
        alt.Y("value:Q", title="mean cosine", axis=alt.Axis(format=".2f", tickCount=5)),
        {"series": ("with", ""), "layer": ("layer", "d"), "value": ("cosine", ".3f")},
        series="series",
        order=list(FORMS.values()),
    )
    return Chart(
        "similarity-forms",
        "Why the cosine alone misleads",
        "Mean cosine by layer over all languages: of the same fact in a language and in the pivot, "
        "beside that of different facts. Where the lines lie together, the layer does not tell "
        f"facts apart. Taken at the {POSITIONS[headline_position(context)]}. "
        + captioned(context, frame["n"]),
        "Line chart of mean cosines over layers: same fact, different facts, and centred.",
        shapes.single(layers),
        frame,
        {"series": "Pair of", "layer": "Layer", "value": "Mean cosine"},
        {},
        "half",
    )


def _mexa(context: Context) -> Chart | None:
    rows = context.at_end(whole(context)).filter(pl.col("lang") == ALL).drop_nulls("mexa")
    if not rows.height:
        return None
    frame = rows.select(
        "layer", "n", "mexa", "mexa_lo", "mexa_hi",
        series=pl.col("position").replace_strict(POSITIONS),
    )  # fmt: skip
    layers = shapes.lines(
        layer_axis(context, "layer"),
        alt.Y("mexa:Q", title="share of facts", axis=alt.Axis(format=".0%", tickCount=5)),
        {"series": ("taken at", ""), "layer": ("layer", "d"), "mexa": ("found", ".1%"),
         "mexa_lo": ("from", ".1%"), "mexa_hi": ("to", ".1%")},
        series="series",
        order=[w for w in POSITIONS.values() if w in set(frame["series"])],
        band=("mexa_lo", "mexa_hi"),
    )  # fmt: skip
    return Chart(
        "similarity-mexa",
        "Is a fact its own nearest neighbour?",
        "Share of facts whose vector in the pivot is nearer than that of any other fact, seen from "
        "both languages (MEXA), by layer, over all languages. One in as many as there are facts "
        "would be chance. " + captioned(context, frame["n"]),
        "Line chart over layers of the share of facts that are found by their vector.",
        shapes.single(layers),
        frame.with_columns(interval("mexa", "mexa_lo", "mexa_hi")),
        {"series": "Taken at", "layer": "Layer", "mexa_ci": "Found"},
        {"mexa_ci": "interval"},
        "half",
    )


def _map(context: Context) -> Chart | None:
    if not context.trajectory:
        return None
    rows = context.on_axis(whole(context)).filter(
        (pl.col("lang") == ALL) & (pl.col("position") == headline_position(context))
    )
    rows = rows.drop_nulls("excess")
    if rows["ckpt_id"].n_unique() < 2:
        return None
    labels = context.checkpoints.select("ckpt_id", "label")
    frame = rows.join(labels, on="ckpt_id", maintain_order="left", how="left").select(
        "label", "step", "tokens", "layer", "n", "excess", "excess_lo", "excess_hi",
        mark=pl.when(pl.col("excess_lo") > 0).then(pl.lit("✓")).otherwise(pl.lit("")),
    )  # fmt: skip
    top = frame["excess"].max()
    spec = shapes.heat_map(
        alt.X("label:N", sort=frame["label"].unique(maintain_order=True).to_list(),
              title=context.axis_title, axis=alt.Axis(labelAngle=-40)),
        alt.Y("layer:O", sort="descending", title="layer"),
        "excess",
        "excess cosine",
        {"label": ("checkpoint", ""), "layer": ("layer", "d"), "excess": ("excess", ".3f"),
         "excess_lo": ("from", ".3f"), "excess_hi": ("to", ".3f")},
        domain=(0, max(0.01, float(top))),  # type: ignore[arg-type]
        form=".2f",
        rows_count=frame["layer"].n_unique(),
        row=18,
        mark="mark",
    )  # fmt: skip
    return Chart(
        "similarity-map",
        "When, and in which layers?",
        "Excess cosine over all languages by checkpoint and layer, taken at the "
        f"{POSITIONS[headline_position(context)]}; below zero is shown as zero. ✓: the interval "
        "lies above zero. " + captioned(context, frame["n"]),
        "Heat map of the excess cosine by checkpoint and layer.",
        spec,
        frame.with_columns(interval("excess", "excess_lo", "excess_hi")),
        {"label": "Checkpoint", "step": "Step", "tokens": "Tokens", "layer": "Layer",
         "excess_ci": "Excess"},
        {"excess_ci": "interval.number", "tokens": "tokens"},
        "half",
    )  # fmt: skip


def _over_training(context: Context) -> Chart | None:
    if not context.trajectory:
        return None
    layer = headline_layer(context)
    rows = context.on_axis(whole(context)).filter(
        (pl.col("layer") == layer) & (pl.col("position") == headline_position(context))
    )
    rows = rows.drop_nulls("excess")
    if rows["ckpt_id"].n_unique() < 2:
        return None
    frame = with_names(rows).select(
        "language", "x", "step", "tokens", "n", "excess", "excess_lo", "excess_hi",
        none=pl.lit(0.0),
    )  # fmt: skip
    layers = shapes.lines(
        context.axis.encode("x", None),
        alt.Y("excess:Q", title=None, axis=alt.Axis(format=".2f", tickCount=4)),
        {"language": ("language", ""), "step": ("step", ","), "tokens": ("tokens", ","),
         "excess": ("excess", ".3f"), "excess_lo": ("from", ".3f"), "excess_hi": ("to", ".3f"),
         "n": ("facts", ",")},
        band=("excess_lo", "excess_hi"),
        reference="none",
    )  # fmt: skip
    return Chart(
        "similarity-over-training",
        "The middle layer over training",
        f"Excess cosine in layer {layer}, halfway through the model, over {context.axis_title} "
        "(log scale), with its 95 % band, taken at the "
        f"{POSITIONS[headline_position(context)]}; dashed: none. " + captioned(context, frame["n"]),
        "Small multiples of the excess cosine over training, one per language.",
        shapes.panels(layers, "language", languages(context)),
        frame.with_columns(interval("excess", "excess_lo", "excess_hi")),
        {"language": "Language", "step": "Step", "tokens": "Tokens", "n": "n",
         "excess_ci": "Excess"},
        {"excess_ci": "interval.number", "tokens": "tokens"},
        "panels",
    )  # fmt: skip


def _table(context: Context) -> TableView:
    frame = (
        context.at_end(whole(context))
        .filter(pl.col("layer") == headline_layer(context))
        .with_columns(
            interval("excess", "excess_lo", "excess_hi"),
            interval("mexa", "mexa_lo", "mexa_hi"),
            taken=pl.col("position").replace_strict(POSITIONS),
        )
    )
    return TableView(
        "similarity-table",
        "All forms in the middle layer",
        "Published form: cosines below 0 count as 0. Last checkpoint, layer "
        f"{headline_layer(context)}. " + captioned(context, frame["n"]),
        frame,
        {"lang": "Language", "taken": "Taken at", "n": "n", "cos": "Same fact",
         "base_relation": "Different facts, one relation", "base_all": "Any different facts",
         "excess_ci": "Excess", "cos_centred": "Means taken out", "cos_clipped": "Published form",
         "mexa_ci": "Found (MEXA)"},
        {"lang": "lang", "excess_ci": "interval.number", "mexa_ci": "interval"},
        ("excess", True),
    )  # fmt: skip


def _terms(context: Context) -> Definitions:
    pivot = language_name(context.pivot)
    return Definitions(
        "Words used on this page",
        (
            (
                "Cosine",
                "How alike two vectors point: 1 the same way, 0 not at all, −1 opposite ways. "
                f"Always between a language and {pivot}.",
            ),
            (
                "Base",
                "Mean cosine of different facts, one in each language: over all facts, or only of "
                "one relation, which takes out what a relation and its wording have in common.",
            ),
            ("Excess", "Cosine of a fact with itself minus the base of its relation."),
            (
                "Means taken out",
                "Cosine after subtracting the mean vector of each language, which takes out what "
                "all its facts have in common.",
            ),
            (
                "Taken at",
                "Last token of the subject, of the question, or of the answer behind it; or the "
                "mean over question and answer in which the k-th token counts k times. Questions "
                "are asked bare, without demonstrations.",
            ),
        ),
    )
