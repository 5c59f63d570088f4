"""How answers change when a vector is put in (specification of `patch`, section 2).

Rows of the matrix: class of the natural answer for the source concept; columns: class of the
patched answer to the same item. Only on clean items is wrong -> right a gain; on others it may be a
change of behaviour, such as translating instead of copying a word that is spelled alike.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from polylore.metrics.index import Array
from polylore.metrics.patching.chance import benjamini_hochberg, mcnemar
from polylore.metrics.patching.curves import SUBSETS, Analysis
from polylore.metrics.patching.errors import category_of
from polylore.tables.contract import Table
from polylore.tables.patch_derived import CHANGES, SHARES, TRANSITIONS

NATURAL = "src_unpatched"
CLASSES = ("gain", "shift_up", "loss", "shift_down", "synonym_switch", "same", "other_change")
_RUN = ["ckpt_id", "setting", "intervention", "onset"]


@dataclass(frozen=True)
class Changes:
    """Both tables about changes."""

    transitions: pl.DataFrame
    """Table TRANSITIONS."""
    changes: pl.DataFrame
    """Table CHANGES."""


def change_class() -> pl.Expr:
    """Class of a change, from the columns from, to, right_from, right_to and clean."""
    switch = (
        (pl.col("from") != pl.col("to"))
        & pl.col("right_from")
        & pl.col("right_to")
        & ((pl.col("from") == "correct_alt") | (pl.col("to") == "correct_alt"))
    )
    up = ~pl.col("right_from") & pl.col("right_to")
    down = pl.col("right_from") & ~pl.col("right_to")
    clean = pl.col("clean")
    return (
        pl.when(up & clean)
        .then(pl.lit("gain"))
        .when(up)
        .then(pl.lit("shift_up"))
        .when(down & clean)
        .then(pl.lit("loss"))
        .when(down)
        .then(pl.lit("shift_down"))
        .when(switch)
        .then(pl.lit("synonym_switch"))
        .when(pl.col("from") == pl.col("to"))
        .then(pl.lit("same"))
        .otherwise(pl.lit("other_change"))
    )


def matched(errors: pl.DataFrame) -> pl.DataFrame:
    """Every patched answer beside the natural one of the same checkpoint, languages and item.

    Args:
        errors: table ERRORS; codes given by people count where there are any.

    Returns:
        Keys of the patched answer with from, to, right_from, right_to, clean and class.
    """
    final = category_of(errors).filter(pl.col("setting") != "samek")
    keys = ["ckpt_id", "lang_a", "lang_b", "pair_id"]
    before = final.filter((pl.col("setting") == NATURAL) & pl.col("onset").is_null()).select(
        *keys, pl.col("category").alias("from"), right_from="right"
    )
    after = final.filter(pl.col("onset").is_not_null()).select(
        *keys, "setting", "intervention", "onset", "clean",
        pl.col("category").alias("to"), right_to="right",
    )  # fmt: skip
    both = after.join(before, on=keys, how="inner", maintain_order="left")
    return both.with_columns(change_class().alias("class"))


def transitions(errors: pl.DataFrame, analysis: Analysis) -> Changes:
    """Transition matrices with shares and their intervals, and what accuracy gained and lost.

    acc_patched - acc_unpatched = (gain + shift_up - loss - shift_down)/n holds exactly. McNemar's
    test is made for single language pairs only: the items of several pairs share their concepts.

    Args:
        errors: table ERRORS.
        analysis: the run, for its draws and its checkpoints.
    """
    cells, sums = [], []
    for keys, rows in _runs(matched(errors), analysis):
        cells += [f.with_columns(keys) for f in _cells(rows, ["from", "to", "class"], analysis)]
        sums.append(_accuracy(rows).with_columns(keys))
    if not cells:
        return Changes(TRANSITIONS.empty(), CHANGES.empty())
    return Changes(
        _finished(TRANSITIONS, pl.concat(cells), analysis),
        _finished(CHANGES, _adjusted(pl.concat(sums)), analysis),
    )


def error_shares(errors: pl.DataFrame, analysis: Analysis) -> pl.DataFrame:
    """How often answers are of each class, with clustered intervals.

    Args:
        errors: table ERRORS; codes given by people count where there are any.
        analysis: the run, for its draws and its checkpoints.

    Returns:
        Table SHARES.
    """
    final = category_of(errors).filter(pl.col("setting") != "samek")
    cells = [
        frame.with_columns(keys)
        for keys, rows in _runs(final, analysis)
        for frame in _cells(rows, ["category"], analysis)
    ]
    return _finished(SHARES, pl.concat(cells), analysis) if cells else SHARES.empty()


def _runs(frame: pl.DataFrame, analysis: Analysis) -> Iterator[tuple[list[pl.Expr], pl.DataFrame]]:
    """Rows of each checkpoint, setting, onset and subset, with their places, in order."""
    axes = analysis.values.axes
    pairs = pl.DataFrame({"pair_id": axes.pairs_I, "_i": np.arange(len(axes.pairs_I))})
    langs = pl.DataFrame(
        [(a, b, p) for p, (a, b) in enumerate(axes.langs_P)],
        schema=["lang_a", "lang_b", "_p"], orient="row",
    )  # fmt: skip
    order = {ckpt: k for k, ckpt in enumerate(axes.ckpts_K)}
    rows = (
        frame.filter(pl.col("ckpt_id").is_in(list(order)))
        .join(pairs, on="pair_id", how="inner")
        .join(langs, on=["lang_a", "lang_b"], how="inner")
        .with_columns(_k=pl.col("ckpt_id").replace_strict(order, return_dtype=pl.Int64))
        .sort("_k", "setting", "intervention", "onset", "_p", "_i")
    )
    for run in rows.partition_by(_RUN, maintain_order=True):
        for subset in SUBSETS:
            chosen = run if subset == "full" else run.filter("clean")
            if chosen.height:
                kinds = {c: run.schema[c] for c in _RUN}
                keys = [pl.lit(chosen[c][0], dtype=t).alias(c) for c, t in kinds.items()]
                yield [*keys, pl.lit(subset).alias("subset")], chosen


def _finished(table: Table, frame: pl.DataFrame, analysis: Analysis) -> pl.DataFrame:
    placed = frame.join(analysis.places, on="ckpt_id", how="left", maintain_order="left")
    return table.validate(placed.select(table.schema.keys()))


def _cells(rows: pl.DataFrame, names: list[str], analysis: Analysis) -> Iterator[pl.DataFrame]:
    """Counts and shares of each value of some columns, for every pair and pool of pairs."""
    kinds = rows.select(names).unique().sort(names)
    coded = rows.join(kinds.with_row_index("_c"), on=names, how="left")
    values_PIG = _indicators(coded, analysis, kinds.height)
    for a, b, e in analysis.resample.estimates(values_PIG):
        n = np.rint(e.mean_G * e.n_G).astype(np.int64)
        yield kinds.with_columns(
            lang_a=pl.lit(a),
            lang_b=pl.lit(b),
            n=pl.Series(n),
            share=pl.Series(e.mean_G),
            lo=pl.Series(e.lo_G, nan_to_null=True),
            hi=pl.Series(e.hi_G, nan_to_null=True),
        ).filter(pl.col("n") > 0)


def _indicators(coded: pl.DataFrame, analysis: Analysis, kinds: int) -> Array:
    """1 in the column of an item's cell, 0 in all others, NaN where the item has no answer."""
    axes = analysis.values.axes
    out_PIG = np.full((len(axes.langs_P), len(axes.pairs_I), kinds), np.nan)
    p, i = coded["_p"].to_numpy(), coded["_i"].to_numpy()
    out_PIG[p, i] = 0.0
    out_PIG[p, i, coded["_c"].to_numpy()] = 1.0
    return out_PIG


def _accuracy(rows: pl.DataFrame) -> pl.DataFrame:
    counted = {c: (pl.col("class") == c).sum().cast(pl.Int64) for c in CLASSES[:4]}
    own = rows.group_by("lang_a", "lang_b", maintain_order=True).agg(
        n_items=pl.len().cast(pl.Int64),
        acc_unpatched=pl.col("right_from").mean(),
        acc_patched=pl.col("right_to").mean(),
        **counted,
    ).with_columns(
        n01=pl.col("gain") + pl.col("shift_up"), n10=pl.col("loss") + pl.col("shift_down")
    )  # fmt: skip
    tested = [mcnemar(a, b) for a, b in own.select("n01", "n10").iter_rows()]
    return own.with_columns(p=pl.Series(tested, dtype=pl.Float64))


def _adjusted(sums: pl.DataFrame) -> pl.DataFrame:
    """Benjamini-Hochberg over the language pairs of one run and subset."""
    parts = []
    for part in sums.partition_by([*_RUN, "subset"], maintain_order=True):
        adjusted = benjamini_hochberg(part["p"].to_list()) if part.height > 1 else [None]
        parts.append(part.with_columns(p_bh=pl.Series(adjusted, dtype=pl.Float64)))
    return pl.concat(parts)
