"""What looks at a model between updates, and leaves it as it was."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch
from accelerate.utils import gather_object

T = TypeVar("T")


@dataclass(frozen=True)
class Moment:
    """A model in training at a state, in evaluation mode."""

    t: int
    """Updates made; 0 is the state before the first."""
    global_step: int
    """Step of the checkpoint that training began with, plus t."""
    tokens: int
    """Tokens read since then, padding left out."""
    model: Any
    """The model, unwrapped."""
    tokenizer: Any
    device: torch.device
    rank: int
    """Number of this process."""
    world: int
    """Processes."""
    sharded: bool
    """Whether the weights are spread over processes, so that all must make the same passes."""

    @property
    def main(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> list[T]:
        """This process's part of the work: all of it if the model is spread over processes."""
        return list(items) if self.sharded else list(items[self.rank :: self.world])

    def gather(self, items: list[T]) -> list[T]:
        """What all processes found, on every process; all of them must call this."""
        if self.sharded or self.world == 1:
            return items
        return list(gather_object(items))


class Reader(Protocol):
    """Something that reads a model at some states."""

    def due(self, t: int) -> bool:
        """Whether the model is to be read after t updates; equal on all processes."""

    def read(self, moment: Moment) -> bool | None:
        """Read it; called on every process, without gradients. True ends training here.

        What it writes must be on the disk when it returns.
        """

    def resume(self, t: int) -> None:
        """Forget what was read after state t; -1: everything. Called at every start."""


def at(states: Iterable[int]) -> Callable[[int], bool]:
    """Due at these states."""
    chosen = frozenset(states)
    return lambda t: t in chosen


def every(n: int) -> Callable[[int], bool]:
    """Due at 0, n, 2n, ..."""
    return lambda t: t % n == 0
