"""Are the same items right in two languages? (specification of `align`, section 2.4)"""

from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from polylore.metrics.align.layout import Layout, once
from polylore.metrics.align.overlap import Counts
from polylore.metrics.align.performance import wilson
from polylore.metrics.align.wrong import agreement
from polylore.metrics.bootstrap import interval
from polylore.metrics.index import Array
from polylore.tables.align import CONSISTENCY, SYSTEM_KEY

Pairs = Literal["pivot", "all"]
CLASSES = ("both", "pivot_only", "lang_only", "neither")
CHUNK = 512
"""Pairs whose draws are held in memory at once."""
_WITH_INTERVAL = ("co_iou", "excess", "co_norm", "k_both")


@dataclass(frozen=True)
class _Pairing:
    """Which columns are compared, and what their rows are called."""

    keys: pl.DataFrame
    """SYSTEM columns, pivot, lang."""
    a: Array
    b: Array

    def part(self, rows: slice) -> "_Pairing":
        return _Pairing(self.keys[rows], self.a[rows], self.b[rows])


def consistency(
    layout: Layout,
    weights_DI: Array | None = None,
    *,
    pivot: str = "en",
    pairs: Pairs = "pivot",
    degenerate: Set[tuple[object, ...]] = frozenset(),
    exposure: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Every form of consistency of every pair of languages of every system.

    Only items answered in both languages count. The null and the ceiling within gold letters
    (`co_pos`, `co_posmax`) make that letter bias earns nothing in the headline `co_norm`.

    Args:
        layout: one set, read by one parser.
        weights_DI: bootstrap weights; without them there are no intervals.
        pivot: language that the others are compared with; systems without it have no rows.
        pairs: ``pivot``, or ``all`` for every ordered pair (source x target).
        degenerate: (SYSTEM..., lang) of cells that letter flags speak against.
        exposure: item, lang and seen (boolean) of this set, and model and step if it differs by
            them: adds a row per exposure class.

    Returns:
        Table ALIGN_CONSISTENCY; rankc and rotation columns are null, see `rotation`.
    """
    pairing = _pairing(layout, pivot, pairs)
    frames = []
    for start in range(0, pairing.keys.height, CHUNK):
        some = pairing.part(slice(start, start + CHUNK))
        whole_IP = layout.present_IC[:, some.a] & layout.present_IC[:, some.b]
        for name, mask_IP in _classes(layout, some, whole_IP, exposure):
            frames.append(_rows(layout, some, mask_IP, name, weights_DI, degenerate))
    if not frames:
        return CONSISTENCY.empty()
    return CONSISTENCY.validate(pl.concat(frames).filter(pl.col("n") > 0))


def _pairing(layout: Layout, pivot: str, pairs: Pairs) -> _Pairing:
    rows, a, b = [], [], []
    langs = layout.cells["lang"].unique(maintain_order=True).to_list()
    for system in layout.cells.select(SYSTEM_KEY).unique(maintain_order=True).iter_rows():
        for first in langs if pairs == "all" else [pivot]:
            for second in langs:
                here = (*system, first), (*system, second)
                if first != second and all(key in layout.column_of for key in here):
                    rows.append((*system, first, second))
                    a.append(layout.column_of[here[0]])
                    b.append(layout.column_of[here[1]])
    types = {name: layout.cells.schema[name] for name in SYSTEM_KEY}
    schema = types | {"pivot": pl.String(), "lang": pl.String()}
    return _Pairing(
        pl.DataFrame(rows, schema=schema, orient="row"), np.array(a, int), np.array(b, int)
    )


def _classes(
    layout: Layout, pairing: _Pairing, whole_IP: Array, exposure: pl.DataFrame | None
) -> Iterator[tuple[str, Array]]:
    """All items, then those of each exposure class; items of unknown exposure are in no class."""
    yield "all", whole_IP
    if exposure is None:
        return
    by = [name for name in ("model", "step", "lang") if name in exposure.columns]
    seen: dict[tuple[object, ...], Array] = {}
    for key, group in exposure.group_by(by, maintain_order=True):
        values = np.full(len(layout.items), -1, dtype=np.int8)
        known = group.filter(pl.col("item").is_in(layout.items.tolist()))
        at = np.searchsorted(layout.items, known["item"].to_numpy())
        values[at] = known["seen"].to_numpy()
        seen[key] = values
    unknown = np.full(len(layout.items), -1, dtype=np.int8)
    p_IP, l_IP = (
        np.stack(
            [
                seen.get(key, unknown)
                for key in pairing.keys.select(
                    [pl.col(side).alias("lang") if name == "lang" else pl.col(name) for name in by]
                ).iter_rows()
            ],
            axis=1,
        )
        for side in ("pivot", "lang")
    )
    for name, (p, l) in zip(CLASSES, ((1, 1), (1, 0), (0, 1), (0, 0)), strict=True):  # noqa: E741
        yield name, whole_IP & (p_IP == p) & (l_IP == l)


def _rows(
    layout: Layout,
    pairing: _Pairing,
    mask_IP: Array,
    name: str,
    weights_DI: Array | None,
    degenerate: Set[tuple[object, ...]],
) -> pl.DataFrame:
    p_IP = layout.right_IC[:, pairing.a] & mask_IP
    l_IP = layout.right_IC[:, pairing.b] & mask_IP
    sums = Counts.of(once(layout), mask_IP, p_IP, l_IP, layout.gold_I)
    columns = {form: values[0] for form, values in sums.forms(layout.chance).items()}
    beyond = columns.pop("k_beyond")
    columns |= agreement(layout, pairing.a, pairing.b, mask_IP)
    impossible: pl.Series = pl.Series([None] * pairing.keys.height, dtype=pl.Boolean())
    if weights_DI is not None:
        drawn = Counts.of(weights_DI, mask_IP, p_IP, l_IP, layout.gold_I).headline(layout.chance)
        for form in _WITH_INTERVAL:
            columns[f"{form}_lo"], columns[f"{form}_hi"] = interval(drawn[form])
        lo, _ = interval(drawn["k_beyond"])
        impossible = pl.Series(np.where(np.isnan(beyond), False, lo > 0))
    reasons = _reasons(layout, pairing, sums, columns["co_norm"], degenerate)
    counts = {"n": sums.n, "n_p": sums.p, "n_l": sums.l, "both": sums.both}
    return pairing.keys.with_columns(
        pl.lit(layout.dataset).alias("dataset"),
        pl.lit(layout.parser).alias("parser"),
        pl.lit(name).alias("exposure_class"),
        *(pl.Series(key, values[0].astype(np.int64)) for key, values in counts.items()),
        *(pl.Series(key, values).fill_nan(None) for key, values in columns.items()),
        impossible.alias("k_impossible"),
        pl.Series("reason", reasons, dtype=pl.String()),
    ).with_columns(interpretable=pl.col("reason").is_null())


def _reasons(
    layout: Layout,
    pairing: _Pairing,
    sums: Counts,
    co_norm: Array,
    degenerate: Set[tuple[object, ...]],
) -> list[str | None]:
    """Why a pair's consistency says nothing, the plainest reason first."""
    low = [wilson(right[0], sums.n[0])[0] <= layout.chance for right in (sums.p, sums.l)]
    found: list[str | None] = []
    for at, (*system, pivot, lang) in enumerate(pairing.keys.iter_rows()):
        bias = [code for code in (pivot, lang) if (*system, code) in degenerate]
        guess = [code for code, side in zip((pivot, lang), low, strict=True) if side[at]]
        if bias:
            found.append(f"one letter dominates in {' and '.join(bias)}")
        elif guess:
            found.append(f"not above chance in {' and '.join(guess)}")
        elif np.isnan(co_norm[at]):
            found.append("letter habits alone reach the ceiling")
        else:
            found.append(None)
    return found
