"""When a model in training is asked, and what that costs. No model is needed here."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from polylore.errors import ConfigError

At = str | Iterable[int] | Callable[[int], bool]
"""Steps to ask at: `log:20`, a list of steps, or a function that says yes or no to a step."""


def schedule(at: At) -> Callable[[int], bool]:
    """Which steps are due.

    `log:n` means step 0 and the steps 10^(k / n), rounded: n in every factor of ten.

    Raises:
        ConfigError: something else.
    """
    if callable(at):
        return at
    if isinstance(at, str):
        kind, _, number = at.partition(":")
        if kind != "log" or not number.isdecimal() or int(number) < 1:
            raise ConfigError(
                f"at='{at}' is no schedule; write 'log:20' for twenty log-spaced steps in every "
                "factor of ten, or give a list of steps or a function of the step."
            )
        return _log_spaced(int(number))
    steps = list(at)
    wrong = [step for step in steps if not isinstance(step, int) or step < 0]
    if wrong or not steps:
        raise ConfigError(
            f"at holds {wrong[0]!r}, which is not a step." if wrong else "at holds no step."
        )
    return frozenset(steps).__contains__


def _log_spaced(per_decade: int) -> Callable[[int], bool]:
    from polylore.training.schedule import log_steps

    known = {0, 1}
    reached = 1

    def due(step: int) -> bool:
        nonlocal known, reached
        if step > reached:
            reached = 10 * step
            known = {0} | log_steps(reached + 1, per_decade)
        return step in known

    return due


class Cost:
    """The clock: time spent on asking against time spent on training, over all sessions."""

    def __init__(self, max_share: float | None) -> None:
        if max_share is not None and not max_share > 0:
            raise ConfigError(
                f"max_share must be above 0, not {max_share}; 0.05 lets probing take a twentieth "
                "of the training time, None sets no limit."
            )
        self.max_share = max_share
        self.probes: list[dict[str, Any]] = []
        self.put_off: list[int] = []
        self._trained = 0.0
        self._since = time.perf_counter()

    def resume(self, noted: dict[str, Any]) -> None:
        """Count on from what earlier sessions noted."""
        self.probes = list(noted["probes"])
        self.put_off = list(noted["put_off"])
        self._trained = float(noted["training_seconds"])
        self.start()

    def start(self) -> None:
        """Training begins now."""
        self._since = time.perf_counter()

    @property
    def asking(self) -> float:
        """Seconds spent on asking."""
        return float(sum(probe["seconds"] for probe in self.probes))

    @property
    def training(self) -> float:
        """Seconds spent on everything else since the start."""
        return self._trained + time.perf_counter() - self._since

    def allows(self) -> bool:
        """Whether one more probe, as dear as the last, keeps the share; the first always does."""
        if self.max_share is None or not self.probes:
            return True
        expected = self.asking + float(self.probes[-1]["seconds"])
        return expected <= self.max_share * self.training

    def defer(self, step: int) -> None:
        """Note that the probe of a step waits for the next step that is due."""
        self.put_off = sorted({*self.put_off, step})

    def add(self, step: int, begin: float) -> None:
        """Note a probe that began at `begin` and ends now; its time is not training time."""
        now = time.perf_counter()
        self._trained += begin - self._since
        self._since = now
        self.probes.append({"step": step, "seconds": now - begin})

    def plain(self) -> dict[str, Any]:
        """What the manifest keeps under `probing`."""
        training = self.training
        asked = {probe["step"] for probe in self.probes}
        return {
            "max_share": self.max_share,
            "seconds": self.asking,
            "training_seconds": training,
            "share": self.asking / training if training else None,
            "probes": self.probes,
            "put_off": [step for step in self.put_off if step not in asked],
        }


def sentences(noted: dict[str, Any]) -> tuple[str, ...]:
    """The cost of probing in plain words, from what the manifest keeps."""
    share = noted["share"]
    limit = "no limit was set" if noted["max_share"] is None else f"limit {noted['max_share']:.1%}"
    first = (
        f"Asked during training at {len(noted['probes'])} steps: {noted['seconds']:.1f} s beside "
        f"{noted['training_seconds']:.1f} s of training"
        + (f", a share of {share:.1%} ({limit})." if share is not None else f" ({limit}).")
    )
    if not noted["put_off"]:
        return (first, "No step that was due was left out.")
    steps = ", ".join(f"{step:,}" for step in noted["put_off"])
    return (first, f"Put off to the next due step to keep within the limit: steps {steps}.")
