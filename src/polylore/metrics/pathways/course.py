"""All checkpoints of one matcher in the course of training: the source of the evidence."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from polylore.errors import DataError
from polylore.metrics.acquisition import first_true, run_starts, timeline
from polylore.metrics.bootstrap import Draws, index_of
from polylore.metrics.exposure import checked_exposure
from polylore.metrics.index import Array, FactIndex, combine_variants
from polylore.metrics.pathways.evidence import Evidence
from polylore.metrics.pathways.rules import PathwayRules
from polylore.metrics.pathways.surfaces import Surfaces
from polylore.tables.course import course


@dataclass(frozen=True)
class Course:
    """All checkpoints of one matcher, in order: the source of `Evidence`."""

    rules: PathwayRules
    index: FactIndex
    langs: tuple[str, ...]
    matcher: str
    ckpt_ids: tuple[str, ...]
    """Checkpoints with answers, in the course of training."""
    places_T: tuple[int, ...]
    """Last place of the timeline that each has passed; -1 before its first."""
    y_TFL: Array
    share_TFL: Array
    surfaces: Surfaces
    sustained_FL: Array
    """Place in the timeline from which each cell's knowledge is sustained; -1 never."""
    first_FL: Array
    """Place in the timeline of each cell's first right answer; -1 never."""
    exposure: pl.DataFrame
    guesses: pl.DataFrame
    """Frame of `guesses`."""

    @classmethod
    def of(
        cls,
        grades: pl.DataFrame,
        facts: pl.DataFrame,
        checkpoints: pl.DataFrame,
        exposure: pl.DataFrame,
        guesses: pl.DataFrame,
        rules: PathwayRules,
        *,
        draws: Draws | None = None,
    ) -> "Course":
        """Collect one matcher's answers.

        Args:
            grades: table GRADES of a single matcher.
            facts: table FACTS.
            checkpoints: table CHECKPOINTS, in the order of the series.
            exposure: frame of `exposure_at`; to treat exposure as unknown, give it without rows.
            guesses: frame of `guesses`, of this matcher.
            rules: pivot, donors, form of the curve, thresholds.
            draws: bootstrap draws that the course will be analysed with.

        Raises:
            ConfigError: the pivot was not asked.
            DataError: an exposure is negative or of an unknown fact; grades of several matchers, or
                of none.
        """
        if grades["matcher"].n_unique() != 1:
            raise DataError("Pathways follow one matcher; filter the grades to one of them.")
        index = index_of(facts, draws)
        asked = set(grades["lang"].unique())
        langs = tuple(c for c in facts["lang"].unique(maintain_order=True) if c in asked)
        rules.donors_of(langs)
        answered = set(grades["ckpt_id"].unique())
        ckpt_ids = tuple(c for c in course(checkpoints)["ckpt_id"] if c in answered)
        combined = combine_variants(grades)
        cells = pl.DataFrame({"ckpt_id": ckpt_ids}, schema={"ckpt_id": pl.String()}).join(
            pl.DataFrame({"lang": langs}), how="cross"
        )
        shape = (index.n, len(ckpt_ids), len(langs))
        y, share = (
            np.moveaxis(index.dense(combined, name, cells).reshape(shape), 1, 0)
            for name in ("y", "share")
        )
        times = [c for c in timeline(checkpoints)["ckpt_id"] if c in answered]
        place = {c: i for i, c in enumerate(times)}
        known = [ckpt_ids.index(c) for c in times]
        sustained, first = _events(y[known], rules.sustained)
        last = len(times) - 1
        return cls(
            rules=rules,
            index=index,
            langs=langs,
            matcher=str(grades["matcher"][0]),
            ckpt_ids=ckpt_ids,
            # A final model without a place in training has passed the whole timeline.
            places_T=tuple(place.get(c, last) for c in ckpt_ids),
            y_TFL=y,
            share_TFL=share,
            surfaces=Surfaces.of(facts, index, langs, rules.pivot),
            sustained_FL=sustained,
            first_FL=first,
            exposure=checked_exposure(exposure, index.fact_ids),
            guesses=guesses,
        )

    def __iter__(self) -> Iterator[Evidence]:
        """Evidence of each checkpoint, in order."""
        return (self.at(t) for t in range(len(self.ckpt_ids)))

    def timed(self) -> list[int]:
        """Checkpoints that are places of the timeline, each once."""
        found: list[int] = []
        for t, place in enumerate(self.places_T):
            if place >= 0 and (not found or place > self.places_T[found[-1]]):
                found.append(t)
        return found

    def at(self, t: int) -> Evidence:
        """Evidence of the t-th checkpoint."""
        cells = pl.DataFrame({"lang": self.langs})
        here = pl.col("ckpt_id") == self.ckpt_ids[t]
        counted = self.exposure.filter(here)
        known = counted.drop_nulls("exposure")
        kind = str(known["exposure_kind"][0]) if known.height else "none"
        donors = self.rules.donors_of(self.langs)
        y = self.y_TFL[t]
        k, right, first = self._donors(t, donors)
        return Evidence(
            index=self.index,
            langs=self.langs,
            donors=tuple(tuple(d) for d in donors),
            home=self.langs.index(self.rules.pivot),
            ckpt_id=self.ckpt_ids[t],
            matcher=self.matcher,
            y=y,
            share=self.share_TFL[t],
            e=self.index.dense(known, "exposure", cells),
            kind=kind,
            g=self.index.dense(self.guesses.filter(here), "g", cells),
            shared=self.surfaces.shared(self.rules.similar),
            donor_right=right,
            k=k,
            donor_first=first,
        )

    def _donors(self, t: int, donors: list[list[int]]) -> tuple[Array, Array, Array]:
        """k, whether a donor is right here, and where one first was."""
        y, place = self.y_TFL[t], self.places_T[t]
        lasting = (self.sustained_FL >= 0) & (self.sustained_FL <= place)
        knows = np.where(np.isnan(y) & ~lasting, np.nan, (y == 1) | lasting)
        never = np.iinfo(np.int64).max
        seen = np.where((self.first_FL >= 0) & (self.first_FL <= place), self.first_FL, never)
        k, right = np.zeros(y.shape), np.zeros(y.shape, dtype=bool)
        first = np.full(y.shape, -1)
        for at, own in enumerate(donors):
            if own:
                k[:, at] = np.fmax.reduce(knows[:, own], axis=1)
                right[:, at] = (y[:, own] == 1).any(axis=1)
                earliest = seen[:, own].min(axis=1)
                first[:, at] = np.where(earliest < never, earliest, -1)
        return k, right, first


def _events(y_TFL: Array, run: int) -> tuple[Array, Array]:
    """Places of the start of the first run of right answers, and of the first right answer.

    Null answers neither extend nor break a run.
    """
    steps, n_facts, n_langs = y_TFL.shape
    if not steps:
        nowhere = np.full((n_facts, n_langs), -1)
        return nowhere, nowhere
    y_UT = y_TFL.reshape(steps, -1).T
    place_UT = np.argsort(np.isnan(y_UT), axis=1, kind="stable")
    packed_UT = np.take_along_axis(y_UT, place_UT, axis=1) == 1
    found = []
    for starts_UT in (run_starts(packed_UT, run), packed_UT):
        at_U = first_true(starts_UT)
        place_U = place_UT[np.arange(len(at_U)), np.maximum(at_U, 0)]
        found.append(np.where(at_U >= 0, place_U, -1).reshape(n_facts, n_langs))
    return found[0], found[1]
