"""What a fact injected in one language is worth in another: matrices, curves and answers."""

from typing import Any

import altair as alt
import polars as pl

from polylore.report import Block, Chart, Page, TableView, interval, shapes
from polylore.report.axes import share
from polylore.report.numbers import in_lines, wrapped
from polylore.report.squares import marked, squares
from polylore.studies.inject.context import (
    InjectContext,
    in_words,
    order,
    own,
    pair,
    suffixed_column,
    suffixed_note,
)
from polylore.studies.inject.sections.course import pairs_chart

DEPTH = "memorization"
MATRICES = {
    "effectivity": ("E", "Gain per exposure", "nats per token", "Nats per target token: compare "
                    "within a column, since tokens of languages differ; the table has nats per "
                    "byte."),
    "source_normalised": ("T_src", "Share of the gain at home that arrives", "E[A→B] / E[A→A]",
                          "E[A→B] / E[A→A], the same items in both."),
    "target_normalised": ("T_tgt", "Share of what direct exposure would give", "E[A→B] / E[B→B]",
                          "E[A→B] / E[B→B]; items that other seeds tell in the other language "
                          "are on both sides, as far as there are such seeds."),
    "a_kernel": ("a", "Forgetting", "a per decade", "Decay of the kernel with a gain for every "
                 "exposure, share of the peak lost per factor of ten in steps."),
}  # fmt: skip
QUANTITIES = {
    "effectivity": "E, nats per token", "effectivity_per_byte": "E, nats per byte",
    "a_kernel": "a", "kappa": "κ", "source_normalised": "T_src", "target_normalised": "T_tgt",
    "retention_transfer": "a[A→B] − a[A→A]", "fact_specific_gain": "E of the swap margin",
    "margin_gain": "E of the distractor margin, nats",
    "margin_at_peak": "D of it at the last peak, nats",
    "retention_10": "R after 10", "retention_100": "R after 100", "retention_1000": "R after 1000",
}  # fmt: skip


def transfer_page(context: InjectContext) -> Page | None:
    """None if everything was asked in the language of injection."""
    table = context.pooled("inject_transfer")
    if table is None or not context.several:
        return None
    made = [_matrix(context, table, quantity) for quantity in MATRICES]
    blocks: list[Block] = [b for b in made if b is not None]
    for arm in context.arms[:2]:
        chart = pairs_chart(context, arm)
        if chart is not None:
            blocks.append(chart)
    table = order(context.ordered(table), "quantity", QUANTITIES)
    blocks += [b for b in (_answers(context), _table(table)) if b is not None]
    lead = (
        "How much of a gain, and of what is kept of it, reaches a language in which the fact was "
        "never told? Rows: language of injection; columns: language of the probe. Diagonals are "
        "direct exposure."
    )
    return Page("transfer", "Across languages", lead, tuple(blocks))


def _matrix(context: InjectContext, table: pl.DataFrame, quantity: str) -> Chart | None:
    short, title, unit, words = MATRICES[quantity]
    frame = table.filter(quantity=quantity, depth=DEPTH)
    if not frame["value"].count():
        return None
    if quantity.endswith("normalised"):
        # The diagonal of a ratio to itself.
        frame = frame.filter(~own())
    arms = [a for a in context.arms if a in set(frame["arm"])][:4]
    frame = order(frame.filter(pl.col("arm").is_in(arms)), "arm", arms)
    top = max(float(frame["value"].max() or 0), 1e-9)  # type: ignore[arg-type]
    low = min(float(frame["value"].min() or 0), 0.0)  # type: ignore[arg-type]
    if quantity.endswith("normalised"):
        top, low = max(top, 1.0), 0.0
    frame = marked(frame, "value", (low, top)).with_columns(
        said=pl.col("value").round(2).cast(pl.String),
        why=in_words("reason_null"),
        unit=pl.lit(unit),
    )
    langs = frame["probe_lang"].unique().sort().to_list()
    sources = frame["inject_lang"].unique().sort().to_list()
    parts = squares(
        {"shorthand": "probe_lang:N", "title": "asked in", "sort": langs,
         "axis": alt.Axis(labelAngle=0)},
        {"shorthand": "inject_lang:N", "title": "told in", "sort": sources},
        "value", unit,
        {"arm": ("arm", ""), "inject_lang": ("told in", ""), "probe_lang": ("asked in", ""),
         "value": (short, ".3f"), "lo": ("from", ".3f"), "hi": ("to", ".3f"),
         "why": ("why empty", "")},
        domain=(low, top), form=".2~f", lines=("said",) if len(langs) <= 6 else (),
    )  # fmt: skip
    return Chart(
        f"inject-matrix-{quantity.replace('_', '-')}",
        f"{title} ({short})",
        f"{words} Hatched: no number, the pop-up says why. " + context.said(f"{DEPTH} probes"),
        f"Heat maps of {short} by language of injection and of the probe, one per arm.",
        shapes.panels(parts, "arm", arms, height=max(54, 34 * len(sources))),
        frame.with_columns(interval("value")),
        {"arm": "Arm", "inject_lang": "Told in", "probe_lang": "Asked in", "value_ci": short,
         "n_items": "Items", "why": "Why empty"},
        {"value_ci": "interval.number", "inject_lang": "lang", "probe_lang": "lang"},
        "panels",
    )  # fmt: skip


def _answers(context: InjectContext) -> Chart | None:
    table = context.pooled("inject_answer_transfer")
    if table is None:
        return None
    words = {"right": "right", "same": "same thing in both languages"}
    frame = table.filter(depth=DEPTH, lag=_middle(table)).drop_nulls("value")
    frame = frame.with_columns(
        label=pl.format("{}: {} → {}", "arm", "inject_lang", "probe_lang"),
        series=pl.col("quantity").replace_strict(words, return_dtype=pl.String),
    )
    frame = order(frame.sort("inject_lang", "probe_lang"), "arm", context.arms)
    names = frame["label"].unique(maintain_order=True).to_list()[:24]
    frame = frame.filter(pl.col("label").is_in(names))
    if not frame.height:
        return None
    frame = frame.with_columns(shown=pl.Series(wrapped(frame["label"]), dtype=pl.String))
    there = [w for w in words.values() if w in set(frame["series"])]
    lag = frame["lag"][0]
    tips: Any = {
        "label": ("", ""), "series": ("", ""), "value": ("share", ".1%"), "lo": ("from", ".1%"),
        "hi": ("to", ".1%"), "control": ("never injected", ".1%"), "n_facts": ("facts", "d"),
    }  # fmt: skip
    spec = shapes.dots(
        share("value", "share of facts"), "shown", wrapped(names), tips, series="series",
        series_order=there, reference="control",
    )  # fmt: skip
    return Chart(
        "inject-answers",
        "Free answers",
        f"Share of facts whose greedy answer is right {lag} steps after the last exposure, and "
        "whose answers in the languages of injection and of the probe name the same thing, right "
        "or wrong. Grey tick: facts that were never injected, at the same states. Line: 95 % over "
        "items. " + context.said(f"{DEPTH} probes"),
        "Dot plot of the share of right and of consistent answers by arm and pair of languages.",
        in_lines(spec, wrapped(names)),
        frame.with_columns(interval("value")),
        {"arm": "Arm", "inject_lang": "Told in", "probe_lang": "Asked in", "series": "Share",
         "lag": "Lag", "value_ci": "Value", "control": "Never injected", "n_facts": "Facts"},
        {"value_ci": "interval", "control": "share", "inject_lang": "lang", "probe_lang": "lang"},
    )  # fmt: skip


def _middle(table: pl.DataFrame) -> int:
    """The lag that is shown: 10, or the longest up to it."""
    lags = [v for v in table["lag"].unique().sort().to_list() if 0 <= v <= 10]
    return int(lags[-1]) if lags else int(table["lag"].max())  # type: ignore[arg-type]


def _table(table: pl.DataFrame) -> TableView:
    frame = table.with_columns(
        pair(),
        interval("value"),
        words=pl.col("quantity").replace(QUANTITIES),
        why=in_words("reason_null"),
        script=pl.when("same_script")
        .then(pl.lit("same"))
        .when(pl.col("same_script").is_not_null())
        .then(pl.lit("other")),
    )
    return TableView(
        "inject-transfer-table",
        "All numbers by pair of languages",
        "With 95 % intervals over items, all pairs resampled together. A ratio is empty unless "
        "the interval of its denominator lies above 0. E of the swap margin: the rise of y over y "
        "with the subject of another item, so that a word that became likelier after any subject "
        "does not count." + _unswapped(table) + suffixed_note(frame),
        frame,
        {"arm": "Arm", "depth": "Depth", "pair": "Told → asked", "words": "Quantity",
         "value_ci": "Value", "n_items": "Items", "script": "Script", "name_form": "Names",
         "background_loss_a": "Held-out loss, told", "background_loss_b": "Held-out loss, asked",
         **suffixed_column(frame), "why": "Why empty"},
        {"value_ci": "interval.number", "background_loss_a": "number",
         "background_loss_b": "number", "suffixed": "share"},
    )  # fmt: skip


def _unswapped(table: pl.DataFrame) -> str:
    """In how many cells swapped subjects could be read, where that is not all of them."""
    keys = ["arm", "depth", "inject_lang", "probe_lang"]
    cells = table.select(keys).n_unique()
    swapped = table.filter(quantity="fact_specific_gain").drop_nulls("value")
    found = swapped.select(keys).n_unique() if swapped.height else 0
    if found == cells:
        return ""
    return (
        f" It is there for {found} of {cells} cells: the other probes have no partner, an item of "
        "the same arm and language of injection that is asked the same with another answer, as "
        "happens in small arms, or swapped subjects were not read."
    )
