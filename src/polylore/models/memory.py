"""How much is read at once: a token budget that shrinks when memory runs out."""

import gc
from collections.abc import Callable, Sequence, Sized
from dataclasses import dataclass
from typing import TypeVar

import torch

from polylore.errors import ConfigError, ModelError

R = TypeVar("R", bound=Sized)
T = TypeVar("T")

_LOGITS = 2**27
"""Logits held at once at the start, in numbers; half a gigabyte in float32."""


@dataclass
class Budget:
    """Tokens, padding included, and logit rows of one forward pass."""

    tokens: int
    heads: int
    """Positions whose logits are computed in one pass."""

    @classmethod
    def start(cls, tokens: int, vocabulary: int) -> "Budget":
        """The budget asked for.

        Raises:
            ConfigError: it is not positive.
        """
        if tokens < 1:
            raise ConfigError(f"token_budget must be at least 1, not {tokens}.")
        return cls(tokens, max(1, _LOGITS // vocabulary))

    def halve(self, rows: int) -> None:
        """Shrink after running out of memory with so many rows.

        Raises:
            ModelError: a single row did not fit, so there is nothing left to shrink.
        """
        if rows == 1:
            raise ModelError(
                "One row alone does not fit into memory; use a smaller number format, a larger "
                "device, or shorter prompts."
            )
        self.tokens = max(1, self.tokens // 2)
        self.heads = max(1, self.heads // 2)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def take(self, rows: Sequence[R], first: int, heads: Sequence[int] | None = None) -> int:
        """How many rows from `first` on fit; at least one."""
        width = count = logits = 0
        while first + count < len(rows):
            width = max(width, len(rows[first + count]))
            logits += heads[first + count] if heads else 1
            if count and ((count + 1) * width > self.tokens or logits > self.heads):
                break
            count += 1
        return count


def attempt(work: Callable[[], T]) -> T | None:
    """Do some work; None if memory ran out, with everything that the work held released."""
    try:
        return work()
    except Exception as error:
        if not out_of_memory(error):
            raise
    return None


def out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch means that memory ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    message = str(error)
    return isinstance(error, RuntimeError) and (
        "out of memory" in message or "DefaultCPUAllocator: can't allocate memory" in message
    )
