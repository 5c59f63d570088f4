"""Representations of the same facts in two languages, summed up by groups of facts.

Specification of `trace`, section 4.6. A group's *excess* is the mean over its facts of their cosine
minus the mean cosine of different facts of their relation. That base is estimated from the same
facts, so an interval lets it move too: in a draw it changes by twice the change of the mean of each
fact's own base, which is how a mean over pairs answers, to first order, to weights of the members.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from polylore.metrics.bootstrap import Draws, divide, index_of
from polylore.metrics.index import Array, FactIndex, with_axis
from polylore.metrics.resamples import Resamples, ends
from polylore.metrics.surface import surface
from polylore.tables.similarity import SIMILARITY_SUMMARY

STRATA = ("all", "no_same_object")
KINDS = ("label", "paper_class")
"""Columns of table CELLS whose values are groups."""
_PLACE = ("layer", "position")
DECIMALS = 6
"""Digits to which a cosine of float32 vectors is known."""

Key = tuple[str, str, str, str]
"""groups_of, kind, group, stratum."""


@dataclass(frozen=True)
class Aligned:
    """Similarities of one checkpoint as matrices: facts by places (layer, position)."""

    index: FactIndex
    pivot: str
    places: pl.DataFrame
    """layer, after_norm, position."""
    values: dict[str, dict[str, Array]]
    """By language: cos, cos_centred, base and mexa_hit, float64 (F, K), NaN where null."""
    differs: dict[str, Array]
    """By language: facts whose object is not spelled like the pivot's, bool (F,)."""

    @classmethod
    def of(cls, rows: pl.DataFrame, facts: pl.DataFrame, index: FactIndex) -> "Aligned":
        """Spread one checkpoint's rows of table SIMILARITY.

        Args:
            rows: table SIMILARITY of one checkpoint.
            facts: table FACTS.
            index: order of the facts.
        """
        pivot = str(rows["pivot"][0])
        places = rows.select("layer", "after_norm", "position").unique().sort(_PLACE)
        numbered = places.select(*_PLACE, pl.int_range(pl.len()).alias("_at"))
        joined = rows.join(numbered, on=_PLACE).join(index.rows, on="fact_id")
        values = {}
        for (lang,), part in joined.group_by("lang", maintain_order=True):
            at = part["_row"].to_numpy(), part["_at"].to_numpy()
            values[str(lang)] = {
                name: _spread(part[name], at, (index.n, places.height))
                for name in ("cos", "cos_centred", "base", "mexa_hit")
            }
        flags = surface(facts, pivot).filter(pl.col("same_object").fill_null(value=False))
        same = {str(lang): set(part["fact_id"]) for (lang,), part in flags.group_by("lang")}
        differs = {
            lang: np.array([fact not in same.get(lang, ()) for fact in index.fact_ids])
            for lang in values
        }
        return cls(index, pivot, places, values, differs)

    def strata(self, lang: str) -> Iterator[tuple[str, Array]]:
        """Each stratum and its facts."""
        yield STRATA[0], np.ones(self.index.n, dtype=bool)
        yield STRATA[1], self.differs[lang]


def _spread(column: pl.Series, at: tuple[Array, Array], shape: tuple[int, int]) -> Array:
    out_FK = np.full(shape, np.nan)
    out_FK[at] = column.cast(pl.Float64()).fill_null(float("nan")).to_numpy()
    return out_FK


def similarity_summary(
    rows: pl.DataFrame,
    base: pl.DataFrame,
    facts: pl.DataFrame,
    checkpoints: pl.DataFrame,
    cells: pl.DataFrame | None = None,
    *,
    final: str | None = None,
    draws: Draws | None = None,
) -> pl.DataFrame:
    """Sum up the similarities of one checkpoint, by language and over all of them.

    Groups without a fact have no row; a place in which a statistic is not defined for any fact has
    a null. MEXA's interval holds the other facts' vectors as they are.

    Args:
        rows: table SIMILARITY of one checkpoint.
        base: table SIMILARITY_BASE of it.
        facts: table FACTS.
        checkpoints: table CHECKPOINTS.
        cells: table CELLS, one matcher; its labels and classes are the groups. Without it there is
            the group of all facts only.
        final: checkpoint whose groups are used a second time at every checkpoint.
        draws: bootstrap draws; without them the interval columns are null.

    Returns:
        Table SIMILARITY_SUMMARY.
    """
    if not rows.height:
        return SIMILARITY_SUMMARY.empty()
    index = index_of(facts, draws)
    aligned = Aligned.of(rows, facts, index)
    resamples = Resamples.of(index, draws)
    bases = _Bases.of(base, aligned)
    pooled: dict[Key, _Sums] = {}
    frames = []
    for lang in aligned.values:
        own: dict[Key, _Sums] = {}
        groups = list(_groups(cells, str(rows["ckpt_id"][0]), final, lang, index))
        for stratum, inside_F in aligned.strata(lang):
            group_sums = _Stratum.of(aligned, bases, resamples, lang, stratum, inside_F)
            for groups_of, kind, group, member_F in groups:
                chosen_F = member_F & inside_F
                if chosen_F.any():
                    own[groups_of, kind, group, stratum] = group_sums.over(chosen_F)
        for key, sums in own.items():
            pooled.setdefault(key, _Sums()).add(sums)
        frames += [_frame(aligned, lang, key, sums) for key, sums in own.items()]
    frames += [_frame(aligned, "all", key, sums) for key, sums in pooled.items()]
    whole = pl.concat(frames).with_columns(
        ckpt_id=pl.lit(rows["ckpt_id"][0]), pivot=pl.lit(aligned.pivot)
    )
    return SIMILARITY_SUMMARY.validate(with_axis(whole.filter(pl.col("n") > 0), checkpoints))


def _groups(
    cells: pl.DataFrame | None, ckpt_id: str, final: str | None, lang: str, index: FactIndex
) -> Iterator[tuple[str, str, str, Array]]:
    """groups_of, kind, group and members of every group of a language."""
    yield "own", "all", "all", np.ones(index.n, dtype=bool)
    if cells is None:
        return
    for groups_of, source in sources(ckpt_id, final):
        here = cells.filter(ckpt_id=source, lang=lang)
        for kind in KINDS:
            named = here.filter(pl.col(kind).is_not_null() & (pl.col(kind) != "null"))
            for (group,), part in named.group_by(kind, maintain_order=True):
                yield groups_of, kind, str(group), _members(part["fact_id"], index)


def sources(ckpt_id: str, final: str | None) -> list[tuple[str, str]]:
    """Whose groups are used, and the checkpoint they come from."""
    return [("own", ckpt_id), *([] if final is None else [("final", final)])]


def _members(fact_ids: Sequence[str] | pl.Series, index: FactIndex) -> Array:
    chosen = set(fact_ids)
    return np.array([fact in chosen for fact in index.fact_ids])


@dataclass(frozen=True)
class _Bases:
    """Mean cosines of different facts: over all (K,) and within relations (R, K)."""

    over_all: dict[tuple[str, str], Array]
    within: dict[tuple[str, str], Array]

    @classmethod
    def of(cls, base: pl.DataFrame, aligned: Aligned) -> "_Bases":
        """By language and stratum."""
        places = aligned.places.select(*_PLACE, pl.int_range(pl.len()).alias("_at"))
        relations = aligned.index.relations
        code = {name: r for r, name in enumerate([*relations, "all"])}
        joined = base.join(places, on=_PLACE)
        over_all, within = {}, {}
        for (lang, stratum), part in joined.group_by("lang", "stratum"):
            at = np.array([code[r] for r in part["relation"]]), part["_at"].to_numpy()
            table_RK = _spread(part["base"], at, (len(code), places.height))
            over_all[str(lang), str(stratum)] = table_RK[-1]
            within[str(lang), str(stratum)] = table_RK[:-1]
        return cls(over_all, within)


@dataclass
class _Sums:
    """Sums over the facts of a group: (D, K) each, column 0 of D being the data."""

    top: dict[str, Array] = field(default_factory=dict)
    bottom: dict[str, Array] = field(default_factory=dict)

    def put(self, name: str, top: Array, bottom: Array) -> None:
        self.top[name], self.bottom[name] = top, bottom

    def add(self, other: "_Sums") -> None:
        """The same of another language."""
        for name in other.top:
            self.top[name] = self.top.get(name, 0.0) + other.top[name]
            self.bottom[name] = self.bottom.get(name, 0.0) + other.bottom[name]


@dataclass(frozen=True)
class _Stratum:
    """One language and stratum, ready to be summed over groups."""

    index: FactIndex
    weights_DF: Array
    values: dict[str, Array]
    base_K: Array
    base_RK: Array
    moved_RDK: Array
    """Base of each relation in every draw; NaN where there is none."""

    @classmethod
    def of(
        cls,
        aligned: Aligned,
        bases: _Bases,
        resamples: Resamples,
        lang: str,
        stratum: str,
        inside_F: Array,
    ) -> "_Stratum":
        index, values = aligned.index, aligned.values[lang]
        weights_DF = np.ascontiguousarray(resamples.weights_FD.T)
        base_RK = bases.within[lang, stratum]
        moved = []
        for r, (_, rows) in enumerate(index.slices()[:-1]):
            own_FK = np.where(inside_F[rows, None], values["base"][rows], np.nan)
            mean_DK = _mean(weights_DF[:, rows], own_FK)
            # A draw without any fact of the relation says nothing about its base.
            shift_DK = np.nan_to_num(mean_DK - mean_DK[:1], nan=0.0)
            moved.append(base_RK[r] + 2 * shift_DK)
        return cls(
            index, weights_DF, values, bases.over_all[lang, stratum], base_RK, np.array(moved)
        )

    def over(self, chosen_F: Array) -> _Sums:
        """Sums over some facts."""
        sums = _Sums()
        at = np.flatnonzero(chosen_F)
        w_DN = self.weights_DF[:, at]
        for name in ("cos", "cos_centred", "mexa_hit"):
            values_NK = self.values[name][at]
            known_NK = ~np.isnan(values_NK)
            sums.put(name, w_DN @ np.where(known_NK, values_NK, 0), w_DN @ known_NK)
        cos_NK = self.values["cos"][at]
        clipped_NK = np.clip(np.nan_to_num(cos_NK, nan=0.0), 0, 1)
        there_K = (~np.isnan(cos_NK)).sum(0, keepdims=True).astype(float)
        sums.put("cos_clipped", clipped_NK.sum(0, keepdims=True), there_K)
        whole = ~np.isnan(self.base_K)
        sums.put("base_all", np.nan_to_num(self.base_K) * there_K, there_K * whole)
        self._put_excess(sums, at, w_DN)
        return sums

    def _put_excess(self, sums: _Sums, at: Array, w_DN: Array) -> None:
        cos_NK = self.values["cos"][at]
        shape = (w_DN.shape[0], cos_NK.shape[1])
        top_DK, base_DK, bottom_DK = (np.zeros(shape) for _ in range(3))
        for r, (_, rows) in enumerate(self.index.slices()[:-1]):
            inside = (at >= rows.start) & (at < rows.stop)
            if not inside.any():
                continue
            known_NK = ~np.isnan(cos_NK[inside]) & ~np.isnan(self.base_RK[r])
            n_DK = w_DN[:, inside] @ known_NK
            base_DK += n_DK * np.nan_to_num(self.moved_RDK[r])
            top_DK += w_DN[:, inside] @ np.where(known_NK, cos_NK[inside], 0)
            bottom_DK += n_DK
        sums.put("excess", top_DK - base_DK, bottom_DK)
        sums.put("base_relation", base_DK[:1], bottom_DK[:1])


def _mean(weights_DN: Array, values_NK: Array) -> Array:
    known_NK = ~np.isnan(values_NK)
    return divide(weights_DN @ np.where(known_NK, values_NK, 0), weights_DN @ known_NK)


def rounded(name: str, values: Array) -> pl.Series:
    """Statistics of cosines as a column: rounding must not look like a difference from zero."""
    return pl.Series(name, np.round(values, DECIMALS) + 0.0).fill_nan(None)


def _frame(aligned: Aligned, lang: str, key: Key, sums: _Sums) -> pl.DataFrame:
    """Rows of one group, one per place."""
    columns: dict[str, Array] = {}
    for name in ("cos", "excess", "cos_centred", "mexa_hit"):
        found = ends(divide(sums.top[name], sums.bottom[name]).T)
        plain = name.removesuffix("_hit")
        columns |= dict(zip((plain, f"{plain}_lo", f"{plain}_hi"), found, strict=True))
    for name in ("cos_clipped", "base_all", "base_relation"):
        columns[name] = divide(sums.top[name], sums.bottom[name])[0]
    names = zip(("groups_of", "kind", "group", "stratum"), key, strict=True)
    return aligned.places.with_columns(
        *(rounded(name, values) for name, values in columns.items()),
        pl.Series("n", sums.bottom["cos"][0]).cast(pl.Int64()),
        lang=pl.lit(lang),
        **{name: pl.lit(value) for name, value in names},
    )
