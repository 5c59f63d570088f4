"""What a process keeps from one batch to the next: the work of one run, made once."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """Holds what was made last; what came before is let go first, so that two never exist."""

    def __init__(self) -> None:
        self._held: dict[Hashable, T] = {}

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What was made under a key, made now unless it was the last one asked for."""
        if key not in self._held:
            self.clear()
            self._held[key] = make()
        return self._held[key]

    def clear(self) -> None:
        """Let it go."""
        self._held.clear()
