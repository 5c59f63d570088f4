"""The learning rate of an update: a function of its number only."""

import math

from polylore.training.continued.config import RESUMED, RateConfig

_TOKENS = 2_000_000_000_000  # the published runs were to read so many in all
_ROW = 2048
_ROWS_BEFORE, _ROWS_AFTER = 2160, 2048  # per step, before and after they were resumed


def planned_steps(resumed: int) -> int:
    """Steps of the published runs if they are resumed at this step (7B)."""
    left = _TOKENS - resumed * _ROWS_BEFORE * _ROW
    return resumed + left // (_ROWS_AFTER * _ROW)


def resumed_rate(step: int, resumed: int, formula: str) -> float:
    """Rate of a published run at a step, having been resumed at another.

    Specification of `inject`, section 4.2: linear for the 7B model, cosine for the 1B model.
    """
    if formula == "linear":
        return 3e-4 - 2.7e-4 * (step - 5000) / (planned_steps(resumed) - 5000)
    return 4e-5 + 3.6e-4 * (1 + math.cos(math.pi * (step - 2000) / (739_328 - 2000))) / 2


def rate(t: int, updates: int, config: RateConfig, peak: float, start: int) -> float:
    """Rate of update t = 1, 2, ..., updates.

    Args:
        t: number of the update.
        updates: updates of the run.
        config: the schedule.
        peak: highest rate, before the factor; not used by `resume_formula`.
        start: step of the checkpoint, for `resume_formula`.
    """
    if config.schedule == RESUMED:
        # The first update is made with the rate of the step that was resumed.
        full = resumed_rate(start + t - 1, start, config.formula)
    else:
        full = peak * _share(t, updates, config)
    full *= config.factor
    return full * min(1.0, t / config.warmup) if config.warmup else full


def _share(t: int, updates: int, config: RateConfig) -> float:
    if config.schedule == "constant":
        return 1.0
    progress = max(0.0, (t - config.warmup) / max(1, updates - config.warmup))
    down = progress if config.schedule == "linear" else (1 - math.cos(math.pi * progress)) / 2
    return 1 - (1 - config.final) * down
