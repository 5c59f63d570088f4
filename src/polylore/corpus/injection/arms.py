"""What an arm does with an item: how often, when, in which texts and languages."""

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field, model_validator

from polylore.config import Config
from polylore.errors import ConfigError


class ArmConfig(Config):
    """One condition of injection."""

    name: str
    """Name of the arm, as tables and plots show it."""
    texts: Literal["same", "variants", "languages"] = "same"
    """The original every time, another variant each time, or the original in turning languages."""
    timing: Literal["even", "expanding", "random", "poisson"] = "even"
    """Equal gaps, growing gaps, steps drawn from a span, or gaps drawn at a constant rate."""
    n: int = Field(default=10, ge=0)
    """Exposures of every item; 0 for an arm that is probed and never injected."""
    interval: int = Field(default=100, ge=1)
    """Steps between exposures: all of them, the first, or on average, as the timing has it."""
    ratio: float = Field(default=2.0, gt=0)
    """With `expanding`: every gap is so many times the one before (less than 1 contracts)."""
    anchor: Literal["first", "last"] = "first"
    """Which exposure is at the same step in all arms."""
    copies: int = Field(default=1, ge=1)
    """Rows of the batch that carry the passage at every exposure."""
    loss_weight: float = Field(default=1.0, gt=0)
    """Weight of injected tokens in the loss."""
    mode: Literal["prepend", "overwrite", "after_eos", "own_row"] = "prepend"
    """How a row takes up a passage; see `transform.apply`."""

    @model_validator(mode="after")
    def _means_something(self) -> Self:
        if self.name == NEVER and self.n:
            raise ValueError(f"the arm {NEVER} is the control and must have n = 0")
        if not self.name:
            raise ValueError("an arm needs a name")
        return self


NEVER = "never"
DUPLICATION = ArmConfig(name="duplication")
PARAPHRASE = ArmConfig(name="paraphrase", texts="variants")
ONCE = ArmConfig(name="once", n=1)
CONTROL = ArmConfig(name=NEVER, n=0)
MIXED_LANGUAGE = ArmConfig(name="mixed_language", texts="languages")
STANDARD = (DUPLICATION, PARAPHRASE, ONCE, CONTROL)
"""The four arms of the published study."""


def interval_sweep(
    intervals: Sequence[int], n: int = 6, *, anchor: Literal["first", "last"] = "last"
) -> list[ArmConfig]:
    """One arm per interval, equal in the number of exposures and in the last (or first) of them."""
    return [
        ArmConfig(name=f"interval_{interval}", n=n, interval=interval, anchor=anchor)
        for interval in intervals
    ]


def batch_matched(
    arm: ArmConfig, match: Literal["none", "share", "count"], small: int, large: int
) -> tuple[ArmConfig, ArmConfig]:
    """The same arm in a small and in a large batch (specification of `inject`, section 2.8).

    Args:
        arm: the arm as it would be alone.
        match: `none` (as published: a passage weighs large/small times more in the small batch),
            `share` (its tokens weigh less there) or `count` (more rows carry it in the large one).
        small: rows of the small batch.
        large: rows of the large batch; a multiple of the small one for `count`.

    Raises:
        ConfigError: `count` with rows that are no multiple.
    """
    if match == "share":
        return arm.model_copy(update={"loss_weight": arm.loss_weight * small / large}), arm
    if match == "count":
        if large % small:
            raise ConfigError(
                f"{large} rows are no multiple of {small}, so copies cannot match the dose; match "
                "by share."
            )
        return arm, arm.model_copy(update={"copies": arm.copies * (large // small)})
    return arm, arm
