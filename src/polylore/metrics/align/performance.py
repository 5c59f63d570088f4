"""Performance of every cell (specification of `align`, sections 2.3 and 2.5)."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from polylore.errors import ConfigError, DataError
from polylore.metrics.align.layout import Layout
from polylore.metrics.bootstrap import divide, interval
from polylore.metrics.index import Array
from polylore.tables.align import CELLS, SYSTEM_KEY

DEGENERATE = 0.9
"""A cell whose most frequent first character has at least this share shows a habit."""
Z = 1.959963984540054
"""Standard normal quantile of two-sided 95 %."""


def wilson(right: Array, n: Array) -> tuple[Array, Array]:
    """95 % Wilson interval of a proportion; NaN where n is 0."""
    share = divide(right, n)
    size = np.where(n > 0, n, 1)
    middle = (share + Z * Z / (2 * size)) / (1 + Z * Z / size)
    half = Z / (1 + Z * Z / size) * np.sqrt(share * (1 - share) / size + (Z / (2 * size)) ** 2)
    return middle - half, middle + half


def accuracies(layout: Layout, weights_DI: Array) -> Array:
    """Accuracy by draw and cell, as a share: float64 (D, C)."""
    right = (weights_DI @ layout.right_IC.astype(np.float32)).astype(np.float64)
    present = (weights_DI @ layout.present_IC.astype(np.float32)).astype(np.float64)
    return divide(right, present)


def relative(acc: Array, ref: Array, chance: float) -> Array:
    """Relative accuracy RA = (acc - chance)/(ref - chance), unclipped; all as shares.

    NaN where the reference is chance.
    """
    return divide(acc - chance, ref - chance)


def reference_accuracies(
    layout: Layout,
    acc_DC: Array,
    reference: str,
    constants: Mapping[str, float],
    pivot: str,
) -> Array:
    """The accuracy that counts as 1, by draw and cell: (D, C); NaN where the set has none.

    Args:
        layout: one set.
        acc_DC: its accuracies.
        reference: ``constants`` (published, per set), ``own_pivot`` (each system's own accuracy in
            the pivot), ``model:<name>:<lang>`` or ``human:<percent>``.
        constants: published references by set, in percent.
        pivot: pivot language.

    Raises:
        ConfigError: another form of reference.
        DataError: the model or pivot is not there, or the reference does not exceed chance.
    """
    kind, _, rest = reference.partition(":")
    named = f"the reference '{reference}'"
    if kind == "constants":
        ref = np.full(acc_DC.shape, constants.get(layout.dataset, np.nan) / 100)
    elif kind == "human":
        try:
            ref = np.full(acc_DC.shape, float(rest) / 100)
        except ValueError as error:
            raise ConfigError(f"{named} must give a percentage, such as human:95.") from error
    elif kind == "own_pivot":
        ref = acc_DC[:, _pivot_columns(layout, pivot)]
    elif kind == "model":
        ref = np.repeat(acc_DC[:, [_model_column(layout, rest)]], acc_DC.shape[1], axis=1)
    else:
        raise ConfigError(
            f"'{reference}' is no reference; use constants, own_pivot, model:<name>:<lang> or "
            "human:<percent>."
        )
    if layout.chance >= 1:  # one option each: nothing is above chance, whatever the reference
        return np.full(acc_DC.shape, np.nan)
    low = ref[0] <= layout.chance
    if low.any():
        at = int(np.flatnonzero(low)[0])
        raise DataError(
            f"In {layout.dataset}, {named} is {100 * ref[0, at]:.2f} % for "
            f"{layout.cells['model'][at]}, which does not exceed chance ({100 * layout.chance:g} "
            "%); choose another reference."
        )
    return ref


def _pivot_columns(layout: Layout, pivot: str) -> Array:
    found = []
    for row in layout.cells.select(SYSTEM_KEY).iter_rows():
        if (*row, pivot) not in layout.column_of:
            raise DataError(f"{row[0]} has no answers to {layout.dataset} in the pivot '{pivot}'.")
        found.append(layout.column_of[*row, pivot])
    return np.array(found, dtype=np.int64)


def _model_column(layout: Layout, name: str) -> int:
    model, _, lang = name.rpartition(":")
    found = [at for row, at in layout.column_of.items() if (row[0], row[-1]) == (model, lang)]
    if len(found) != 1:
        raise DataError(
            f"The reference model:{name} stands for {len(found)} cells of {layout.dataset}; name "
            "one model and language that answered it, as model:<name>:<lang>."
        )
    return found[0]


def performance(
    layout: Layout,
    weights_DI: Array | None = None,
    *,
    heads: pl.DataFrame,
    reference: str = "constants",
    constants: Mapping[str, float] | None = None,
    demonstrations: Mapping[str, str] | None = None,
    pivot: str = "en",
) -> pl.DataFrame:
    """Accuracy, relative accuracy and letter flags of every cell of a set.

    Args:
        layout: the set.
        weights_DI: bootstrap weights; without them RA has no interval.
        heads: what `letters` returned.
        reference: as for `reference_accuracies`.
        constants: published references by set, in percent.
        demonstrations: gold letter of the demonstration by set.
        pivot: pivot language.

    Returns:
        Rows of table ALIGN_CELLS, without position_sensitivity.
    """
    chance = layout.chance
    n_C = layout.present_IC.sum(axis=0)
    right_C = layout.right_IC.sum(axis=0)
    acc_1C = divide(right_C, n_C.astype(np.float64))[None]
    refer = (reference, constants or {}, pivot)
    ref_1C = reference_accuracies(layout, acc_1C, *refer)
    ra = relative(acc_1C, ref_1C, chance)[0]
    lo, hi = wilson(right_C, n_C)
    columns: dict[str, Array] = {
        "n": n_C,
        "right": right_C,
        "acc": 100 * right_C / n_C,
        "lo": 100 * lo,
        "hi": 100 * hi,
        "ra_paper": np.maximum(ra, 0),
        "ra": ra,
        "ref": 100 * ref_1C[0],
        "x": relative(acc_1C[0], np.ones(1), chance),
        "tv_gold": _distance(layout),
        "near_chance": lo <= chance,
    }
    if weights_DI is not None:
        acc_DC = accuracies(layout, weights_DI)
        refs = _sampled_reference(layout, acc_DC, ref_1C, *refer)
        columns["ra_lo"], columns["ra_hi"] = interval(relative(acc_DC, refs, chance))
    frame = layout.cells.with_columns(
        pl.lit(layout.dataset).alias("dataset"),
        pl.lit(layout.parser).alias("parser"),
        pl.lit(100 * chance).alias("chance"),
        *(
            pl.Series(name, values).fill_nan(None)
            if values.dtype.kind == "f"
            else pl.Series(name, values)
            for name, values in columns.items()
        ),
    )
    frame = frame.join(
        heads,
        on=[*SYSTEM_KEY, "dataset", "lang"],
        how="left",
        nulls_equal=True,
        maintain_order="left",
    )
    frame = frame.with_columns(
        degenerate=(pl.col("top_share") >= DEGENERATE).fill_null(False),
        demo_letter_share=_letter_share(layout, (demonstrations or {}).get(layout.dataset)),
        unparsed=pl.Series((layout.choice_IC == -1).sum(axis=0)),
        **{name: pl.col(name).fill_null(0) for name in ("out_of_range", "lookalike", "word_start")},
    )
    return CELLS.validate(frame)


def _sampled_reference(
    layout: Layout,
    acc_DC: Array,
    ref_1C: Array,
    reference: str,
    constants: Mapping[str, float],
    pivot: str,
) -> Array:
    """The reference in every draw; one that falls to chance in a draw is undefined there."""
    if reference == "own_pivot":
        refs = acc_DC[:, _pivot_columns(layout, pivot)]
    elif reference.startswith("model:"):
        refs = acc_DC[:, [_model_column(layout, reference.removeprefix("model:"))]]
    else:
        refs = ref_1C
    return np.where(refs > layout.chance, refs, np.nan)


def _distance(layout: Layout) -> Array:
    """tv_gold: answers without an option are a category of their own, which no gold is in."""
    n_C = layout.present_IC.sum(axis=0).astype(np.float64)
    if layout.free:
        return np.full(len(n_C), np.nan)
    total = divide((layout.choice_IC == -1).sum(axis=0), n_C)
    for option in range(layout.k):
        chosen = (layout.choice_IC == option).sum(axis=0)
        golden = (layout.present_IC & (layout.gold_I == option)[:, None]).sum(axis=0)
        total = total + np.abs(divide(chosen, n_C) - divide(golden, n_C))
    return np.asarray(total / 2)


def _letter_share(layout: Layout, letter: str | None) -> pl.Series:
    if letter is None:
        return pl.Series([None] * layout.cells.height, dtype=pl.Float64())
    n_C = layout.present_IC.sum(axis=0).astype(np.float64)
    chosen = (layout.choice_IC == ord(letter) - ord("A")).sum(axis=0)
    return pl.Series(divide(chosen, n_C))


def letters(parsed: pl.DataFrame) -> pl.DataFrame:
    """What answers begin with and how they were read, per system, set and language.

    Ties of the most frequent first character go to the one that came first.

    Returns:
        SYSTEM columns, dataset, lang, top_letter, top_share, out_of_range, lookalike, word_start.
    """
    keys = [*SYSTEM_KEY, "dataset", "lang"]
    rows = parsed.filter(pl.col("rotation").is_null())
    heads = (
        rows.filter(pl.col("head").is_not_null())
        .group_by([*keys, "head"])
        .agg(pl.len().alias("count"), pl.col("item").min().alias("first"))
        .sort([pl.col("count"), pl.col("first")], descending=[True, False])
        .group_by(keys)
        .agg(pl.col("head").first().alias("top_letter"), pl.col("count").first().alias("top"))
    )
    status = pl.col("status")
    counts = rows.group_by(keys, maintain_order=True).agg(
        pl.len().alias("total"),
        *(
            (status == name).sum().cast(pl.Int64()).alias(name)
            for name in ("out_of_range", "lookalike", "word_start")
        ),
    )
    return counts.join(heads, on=keys, how="left", nulls_equal=True, maintain_order="left").select(
        *keys,
        "top_letter",
        (pl.col("top") / pl.col("total")).alias("top_share"),
        "out_of_range",
        "lookalike",
        "word_start",
    )
