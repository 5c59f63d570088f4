"""Which steps become checkpoints, and the learning rate of a step: functions of the step only."""

import math

from polylore.training.config import ScheduleConfig, TrainConfig


def checkpoint_steps(total: int, config: ScheduleConfig) -> list[int]:
    """Steps after which a checkpoint is written, ascending, with 0 and the last step.

    Log-spaced steps are 10^(k / per_decade), rounded; linear ones are multiples of `every`.
    """
    steps = {0, total}
    if config.per_decade and total:
        steps |= log_steps(total, config.per_decade)
    if config.every:
        steps |= set(range(config.every, total, config.every))
    return sorted(step for step in steps if step <= total)


def log_steps(total: int, per_decade: int) -> set[int]:
    """Steps 10^(k / per_decade), rounded, up to `total` (at least 1)."""
    n = math.floor(math.log10(total) * per_decade) + 1
    return {round(10 ** (k / per_decade)) for k in range(n)}


def learning_rate(step: int, total: int, config: TrainConfig) -> float:
    """Rate of step 1..total: linear warm-up to the peak, then a cosine to the final rate."""
    warmup = round(config.warmup * total)
    if step <= warmup:
        return config.learning_rate * step / warmup
    progress = (step - warmup) / max(1, total - warmup)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return config.learning_rate * (config.final_rate + (1 - config.final_rate) * cosine)
