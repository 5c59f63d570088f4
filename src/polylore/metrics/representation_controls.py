"""Are facts that may have come by transfer closer to the pivot than matched ones? (`trace`, 4.5).

Cases and controls come from table CONTROLS: same checkpoint, language, relation, surface stratum
and nearly the same exposure. Of two facts of one relation the difference of their cosines is the
difference of their excess, so no baseline enters.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from polylore.metrics.bootstrap import Draws, divide, index_of
from polylore.metrics.index import Array, FactIndex, with_axis
from polylore.metrics.pathways.matched import FEWEST, MOST, PERMUTATIONS
from polylore.metrics.representation import Aligned, rounded, sources
from polylore.metrics.resamples import BLOCK, Resamples, ends
from polylore.tables.similarity import SIMILARITY_CONTROLS


def similarity_controls(
    rows: pl.DataFrame,
    controls: pl.DataFrame,
    facts: pl.DataFrame,
    checkpoints: pl.DataFrame,
    *,
    final: str | None = None,
    draws: Draws | None = None,
    seed: int = 0,
) -> pl.DataFrame:
    """Compare the similarities of matched facts at one checkpoint, by language and over all.

    The interval resamples facts: a case counts as often as it was drawn, its controls among
    themselves likewise; a case none of whose controls was drawn is left out of that draw. The
    p-value permutes who is the case within each set. Facts without a cosine at some place take no
    part.

    Args:
        rows: table SIMILARITY of one checkpoint.
        controls: table CONTROLS.
        facts: table FACTS.
        checkpoints: table CHECKPOINTS.
        final: checkpoint whose matches are used a second time.
        draws: bootstrap draws; without them the interval columns are null.
        seed: seed of the permutations.

    Returns:
        Table SIMILARITY_CONTROLS.
    """
    if not rows.height or not controls.height:
        return SIMILARITY_CONTROLS.empty()
    index = index_of(facts, draws)
    aligned = Aligned.of(rows, facts, index)
    resamples = Resamples.of(index, draws)
    ckpt_id = str(rows["ckpt_id"][0])
    generator = np.random.default_rng(seed)
    frames = []
    for groups_of, source in sources(ckpt_id, final):
        here = controls.filter(ckpt_id=source)
        for (case_set, control_set), pairs in here.group_by(
            "case_set", "control_set", maintain_order=True
        ):
            names = {"groups_of": groups_of, "case_set": case_set, "control_set": control_set}
            for scope, found in _scopes(aligned, pairs):
                numbers = found.compare(resamples, generator)
                frames.append(aligned.places.with_columns(**numbers, **_literals(names | scope)))
    if not frames:
        return SIMILARITY_CONTROLS.empty()
    whole = pl.concat(frames, how="diagonal_relaxed").with_columns(
        ckpt_id=pl.lit(ckpt_id), pivot=pl.lit(aligned.pivot)
    )
    return SIMILARITY_CONTROLS.validate(with_axis(whole, checkpoints))


def _literals(values: dict[str, Any]) -> dict[str, pl.Expr]:
    return {name: pl.lit(value) for name, value in values.items()}


def _scopes(aligned: Aligned, pairs: pl.DataFrame) -> Iterator[tuple[dict[str, str], "_Matched"]]:
    """Sets of each language and of all, in each stratum."""
    for stratum in ("all", "no_same_object"):
        parts = []
        for (lang,), own in pairs.group_by("lang", maintain_order=True):
            if str(lang) not in aligned.values:
                continue
            inside_F = dict(aligned.strata(str(lang)))[stratum]
            part = _Matched.of(own, aligned.values[str(lang)]["cos"], inside_F, aligned.index)
            parts.append(part)
            yield {"lang": str(lang), "stratum": stratum}, part
        if parts:
            yield {"lang": "all", "stratum": stratum}, _Matched.join(parts)


@dataclass(frozen=True)
class _Matched:
    """Sets of items: the case, then its controls; an item is a fact in one language."""

    set_SM: Array
    """Items, -1 where there are fewer."""
    fact_I: Array
    """Fact of each item."""
    x_IK: Array
    """Cosine of each item at each place; no NaN among the items of sets."""

    @classmethod
    def of(cls, pairs: pl.DataFrame, x_FK: Array, inside_F: Array, index: FactIndex) -> "_Matched":
        """The sets of one language; facts outside the stratum or without a cosine are left out."""
        usable_F = inside_F & ~np.isnan(x_FK).any(axis=1)
        row = {fact: n for n, fact in enumerate(index.fact_ids)}
        sets: dict[int, list[int]] = {}
        columns = ("fact_id", "control_fact_id")
        for case, control in pairs.select(columns).drop_nulls().iter_rows():
            if usable_F[row[case]] and usable_F[row[control]]:
                sets.setdefault(row[case], []).append(row[control])
        set_SM = np.full((len(sets), 1 + MOST), -1, dtype=np.int64)
        for s, (case_row, members) in enumerate(sets.items()):
            set_SM[s, 0] = case_row
            set_SM[s, 1 : 1 + len(members)] = members
        return cls(set_SM, np.arange(index.n), x_FK)

    @classmethod
    def join(cls, parts: list["_Matched"]) -> "_Matched":
        """The sets of several languages."""
        starts = np.cumsum([0, *(len(part.fact_I) for part in parts)])
        sets = [
            np.where(p.set_SM >= 0, p.set_SM + s, -1) for p, s in zip(parts, starts, strict=False)
        ]
        return cls(
            np.concatenate(sets),
            np.concatenate([part.fact_I for part in parts]),
            np.concatenate([part.x_IK for part in parts]),
        )

    def compare(self, resamples: Resamples, generator: np.random.Generator) -> dict[str, Any]:
        """Columns of SIMILARITY_CONTROLS, one value per place."""
        members = self.set_SM[:, 1:][self.set_SM[:, 1:] >= 0]
        row: dict[str, Any] = {
            "n_matched": pl.lit(len(self.set_SM)),
            "n_controls": pl.lit(len(np.unique(members))),
        }
        if len(self.set_SM) < FEWEST:
            return row | {"reason": pl.lit(f"fewer than {FEWEST} matched cases with a value")}
        there_SM = self.set_SM >= 0
        x_SMK = np.where(there_SM[:, :, None], self.x_IK[np.maximum(self.set_SM, 0)], 0.0)
        estimate, lo, hi = ends(self._differences(x_SMK, there_SM, resamples).T)
        cases_K = x_SMK[:, 0].mean(axis=0)
        numbers = {
            "cos_cases": cases_K,
            "cos_controls": cases_K - estimate,
            "difference": estimate,
            "difference_lo": lo,
            "difference_hi": hi,
            "p_value": _p_values(x_SMK, there_SM, estimate, generator),
        }
        return row | {name: rounded(name, values) for name, values in numbers.items()}

    def _differences(self, x_SMK: Array, there_SM: Array, resamples: Resamples) -> Array:
        """Mean of case minus mean of its controls, in the data and in every draw: (D, K)."""
        fact_SM = self.fact_I[np.maximum(self.set_SM, 0)]
        flat_K = x_SMK[:, 1:].reshape(-1, x_SMK.shape[2])
        step = max(1, BLOCK // max(1, there_SM.size))
        parts = []
        for start, stop in pairwise([*range(0, resamples.width, step), resamples.width]):
            w_SMD = resamples.weights_FD[fact_SM, start:stop] * there_SM[:, :, None]
            drawn_SD = w_SMD[:, 1:].sum(axis=1)
            case_SD = np.where(drawn_SD > 0, w_SMD[:, 0], 0.0)
            share_SMD = w_SMD[:, 1:] * divide(case_SD, np.where(drawn_SD > 0, drawn_SD, 1))[:, None]
            of_controls = share_SMD.reshape(len(flat_K), -1).T @ flat_K
            total_D1 = case_SD.sum(axis=0)[:, None]
            parts.append(divide(case_SD.T @ x_SMK[:, 0] - of_controls, total_D1))
        return np.concatenate(parts)


def _p_values(
    x_SMK: Array, there_SM: Array, observed_K: Array, generator: np.random.Generator
) -> Array:
    """Two-sided p-value of each place: who is the case is permuted within each set."""
    size_S = there_SM.sum(axis=1)
    others_SMK = (x_SMK.sum(axis=1, keepdims=True) - x_SMK) / (size_S - 1)[:, None, None]
    against_SMK = x_SMK - others_SMK
    picks_SP = (generator.random((len(size_S), PERMUTATIONS)) * size_S[:, None]).astype(np.int64)
    permuted_PK = np.zeros((PERMUTATIONS, x_SMK.shape[2]))
    for member in range(x_SMK.shape[1]):
        permuted_PK += (picks_SP == member).T.astype(float) @ against_SMK[:, member]
    permuted_PK /= len(size_S)
    extreme_K = (np.abs(permuted_PK) >= np.abs(observed_K) - 1e-12).sum(axis=0)
    return np.asarray((1 + extreme_K) / (1 + PERMUTATIONS))
