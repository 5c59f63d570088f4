"""Conductivity over training seeds, and claims about it (specification of `align`, P4).

Seeds are drawn first, then subjects; the same draws of subjects serve all seeds and arms.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from polylore.metrics.align.claims import EQUALLY, unjudged, verdicts
from polylore.metrics.align.conduct import cd_draws
from polylore.metrics.align.hops import books, grade
from polylore.metrics.index import Array

Row = dict[str, Any]
POOR = 0.5
"""Half of what a perfect carry-over would be."""
LEVEL = "conductivity"
EQUAL = LEVEL + EQUALLY
"""Names of levels in claims: when gates passed, and at the last step of both arms."""


@dataclass(frozen=True)
class Carried:
    """Conductivity of one arm between two languages, by training seed."""

    arm: str
    source: str
    target: str
    by_seed: Mapping[int, Array]
    """(1 + D,): the estimate, then draws of subjects; null where nothing is known in the source."""
    passed: Mapping[int, bool | None] = field(default_factory=dict)
    """Whether the gate was passed, by seed; null where it was not asked."""

    @property
    def failed(self) -> list[int]:
        """Seeds that did not pass: what was taught was not learned, so nothing could be carried."""
        return [seed for seed in self.by_seed if not self.passed.get(seed, True)]


def carried(
    answers: pl.DataFrame,
    facts: pl.DataFrame,
    valid: pl.DataFrame,
    *,
    draws: int,
    seed: int,
    gates: pl.DataFrame | None = None,
) -> list[Carried]:
    """Conductivity of every arm at the last step of every run, by the default scoring.

    Args:
        answers: table FICTION_ANSWERS.
        facts: table FICTION_FACTS.
        valid: source, target and fact_id of the facts that can show conduction.
        draws: draws of subjects.
        seed: their seed.
        gates: arm, source, target, seed and gate_pass, if claims are to rest on runs that passed.
    """
    find = books(facts)
    last = answers.filter(pl.col("step") == pl.col("step").max().over("run_id"))
    found: list[Carried] = []
    keys = ["arm", "source", "target"]
    for (arm, source, target), group in last.group_by(keys, maintain_order=True):
        own = valid.filter((pl.col("source") == source) & (pl.col("target") == target))
        by_seed = {}
        passed: dict[int, bool | None] = {}
        if gates is not None:
            rows = gates.filter(arm=arm, source=source, target=target)
            passed = dict(rows.select("seed", "gate_pass").iter_rows())
        for (number,), asked in group.group_by(["seed"], maintain_order=True):
            graded = grade(asked, find(str(source), str(target)), "default")
            kept = graded.only(set(own["fact_id"]))
            by_seed[int(str(number))] = cd_draws(kept, draws, seed)
        found.append(Carried(str(arm), str(source), str(target), by_seed, passed))
    return found


def poor(one: Carried, margins: Sequence[float], seed: int) -> list[Row]:
    """The claim that conductivity is below half of a perfect one."""
    values = {number: own - POOR for number, own in one.by_seed.items()}
    about = {
        "claim": "facts taught in one language are poorly known in the other",
        "arm": one.arm,
        "minus": f"{POOR} of a perfect carry-over",
        "level": LEVEL,
        "group": f"{one.source}>{one.target}",
        "siblings": True,
    }
    return _judged(about, values, [one], margins, seed, up=False)


def equally_long(answers: pl.DataFrame, arm: str, minus: str) -> pl.DataFrame:
    """Answers of two arms, of each training seed at the last step that both were asked at.

    Args:
        answers: table FICTION_ANSWERS; arms are asked at the same steps until their gates pass.
        arm, minus: the arms.
    """
    own = answers.filter(pl.col("arm").is_in([arm, minus]))
    asked = own.select("arm", "seed", "target", "step").unique()
    both = asked.group_by("seed", "target", "step").agg(n=pl.col("arm").n_unique())
    last = both.filter(pl.col("n") == 2).group_by("seed", "target").agg(pl.col("step").max())
    return own.join(last, on=["seed", "target", "step"], how="semi", maintain_order="left")


def improved(
    arm: Carried,
    minus: Carried,
    margins: Sequence[float],
    seed: int,
    *,
    siblings: bool,
    level: str = LEVEL,
) -> list[Row]:
    """The claim that the arm conducts better than another one."""
    shared = [number for number in arm.by_seed if number in minus.by_seed]
    if not shared:
        return []
    values = {number: arm.by_seed[number] - minus.by_seed[number] for number in shared}
    about = {
        "claim": "the treatment before the injection makes facts carry over better",
        "arm": arm.arm,
        "minus": minus.arm,
        "level": level,
        "group": f"{arm.source}>{arm.target}",
        "siblings": siblings,
    }
    return _judged(about, values, [arm, minus], margins, seed, up=True)


def _judged(
    about: Row,
    by_seed: Mapping[int, Array],
    arms: Sequence[Carried],
    margins: Sequence[float],
    seed: int,
    *,
    up: bool,
) -> list[Row]:
    """Rows of ALIGN_CLAIMS; open with the reason where a seed cannot tell.

    Seeds are never left out: which of them fail depends on what is to be judged.
    """
    failed = [
        f"{one.arm} seed {number}" for one in arms for number in one.failed if number in by_seed
    ]
    if failed:
        return unjudged(about, f"gate not passed: {', '.join(failed)}", margins, up=up)
    empty = [str(number) for number, own in by_seed.items() if np.isnan(own[0])]
    if empty:
        reason = f"nothing is known in the source: seed {', '.join(empty)}"
        return unjudged(about, reason, margins, up=up)
    values_SD = np.stack(list(by_seed.values()))
    size, draws = len(values_SD), values_SD.shape[1] - 1
    drawn = values_SD[0, 1:]
    if size > 1:
        picks_DS = np.random.default_rng(seed).integers(size, size=(draws, size))
        drawn = values_SD[picks_DS, np.arange(1, draws + 1)[:, None]].mean(axis=1)
    return verdicts(about, float(values_SD[:, 0].mean()), drawn, margins, up=up)
