"""Logs whose truth is known: exposures of one kernel, superposed, with noise."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import polars as pl
import pytest


def kernel(tau, g, a, p=8, r=0.7, form=None):
    u = np.maximum(tau - p, 1)
    rise = np.where(tau > 0, 1 - r ** np.clip(tau, 0, p), 0)
    return g * rise * (np.maximum(1 - a * np.log10(u), 0) if form is None else form(u))


def drift(rng, sd, n, rho):
    """Noise whose neighbours are correlated."""
    steps = rng.normal(0, sd, n)
    if rho:
        steps[1:] *= np.sqrt(1 - rho**2)
        for t in range(1, n):
            steps[t] += rho * steps[t - 1]
    return steps


@dataclass
class World:
    """Items of some arms, probed in some languages."""

    arms: dict[str, list[int]]
    """Steps of the exposures of each arm."""
    n: int = 12
    controls: int = 20
    states: int = 400
    read: list[int] | None = None
    noise: float = 0.02
    common: np.ndarray | None = None
    gain: dict[tuple[str, str], float] = field(default_factory=lambda: {("en", "en"): 0.4})
    a: dict[tuple[str, str], float] = field(default_factory=lambda: {("en", "en"): 0.2})
    fall: tuple[float, ...] = ()
    """Factors of the gains, exposure by exposure; all one if empty."""
    form: Callable[[np.ndarray], np.ndarray] | None = None
    """How a gain is lost, of u; straight in its logarithm if None."""
    rho: float = 0.0
    stagger: int = 0
    own: dict[int, list[int]] = field(default_factory=dict)
    """Steps of the exposures of single items, by their number within an arm, before the stagger."""
    spread: float = 0.3
    """How much items differ in their gain (sd of its logarithm)."""
    seed: int = 0
    run: str = "run"

    def log(self) -> pl.DataFrame:
        rng = np.random.default_rng(self.seed)
        t = np.arange(self.states)
        common = np.zeros(self.states) if self.common is None else self.common
        rows = []
        for arm, times in [*self.arms.items(), ("never", [])]:
            for item in range(self.controls if arm == "never" else self.n):
                for (source, target), g in self.gain.items():
                    if arm == "never" and source != next(iter(self.gain))[0]:
                        continue
                    own = g * np.exp(rng.normal(0, self.spread))
                    for probe in range(3):
                        y = -6 + common + drift(rng, self.noise, self.states, self.rho)
                        for i, step in enumerate(self.own.get(item, times) if times else []):
                            tau = t - step - self.shift(arm, item)
                            g = own * (self.fall[i] if self.fall else 1)
                            y = y + kernel(tau, g, self.a[source, target], form=self.form)
                        name = f"{arm}-{source}-{item}"
                        rows.append((name, f"{name}/{target}/{probe}", arm, source, target, y))
        parts = []
        for item, probe, arm, source, target, y in rows:
            keep = t if self.read is None else np.array(self.read)
            parts.append(
                pl.DataFrame({"t": keep, "mean_logprob": y[keep]}).with_columns(
                    run_id=pl.lit(self.run),
                    item_id=pl.lit(item),
                    probe_id=pl.lit(probe),
                    arm=pl.lit(arm),
                    inject_lang=pl.lit("none" if arm == "never" else source),
                    probe_lang=pl.lit(target),
                    depth=pl.lit("memorization"),
                    sum_logprob=pl.Series(3 * y[keep]),
                    n_target_bytes=pl.lit(10 if target == "en" else 30),
                    swap_mean_logprob=pl.Series(np.full(len(keep), -6.0)),
                )
            )
        return pl.concat(parts)

    def shift(self, arm: str, item: int) -> int:
        return (item * 7) % self.stagger if self.stagger else 0

    def exposures(self) -> pl.DataFrame:
        sources = sorted({source for source, _ in self.gain})
        return pl.DataFrame(
            [
                {
                    "run_id": self.run,
                    "item_id": f"{arm}-{source}-{item}",
                    "exposure": n,
                    "step": step + self.shift(arm, item),
                }
                for arm, times in self.arms.items()
                for source in sources
                for item in range(self.n)
                for n, step in enumerate(self.own.get(item, times))
            ]
        )


@pytest.fixture
def world():
    return World
