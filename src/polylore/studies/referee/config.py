"""What the referee may be told."""

from pydantic import Field

from polylore.config import Config


class RefereeConfig(Config):
    """How labels are held against the truth, where polylore made corpus and model."""

    corpus: str | None = None
    """Composed corpus of the model; its design judges labels, without further training."""
    seeds: int = Field(default=3, ge=1)
    """With --with-referee: training runs to compare, each from other initial weights."""
    checkpoints: int = Field(default=3, ge=1)
    """Checkpoints at which labels are judged: the last, and earlier ones at a third of the next."""
    min_names: int = Field(default=3, ge=0)
    """How often the names of a held-out cell must occur in its language outside of facts."""


def compared_steps(steps: list[int], n: int) -> list[int]:
    """The last step and up to n - 1 earlier ones, each nearest to a third of the one after it."""
    left = sorted({step for step in steps if step > 0})
    if not left:
        return []
    chosen = [left.pop()]
    while left and len(chosen) < n:
        target = chosen[0] / 3
        nearest = min(left, key=lambda step: (abs(step - target), step))
        chosen.insert(0, nearest)
        left = [step for step in left if step < nearest]
    return chosen
