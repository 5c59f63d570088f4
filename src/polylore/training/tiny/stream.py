"""What a world hands to training: batches of token ids, as functions of the step alone."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """Presentations of one step. B rows, T tokens."""

    tokens: Ints
    """Token ids (B, T): prompt and value, right padded where rows differ in length."""
    cell: Ints
    """Which cell each row presents (B,); training does not read it."""
    pad: Ints | None = None
    """Tokens of padding at the end of each row (B,); None where rows are of equal length."""


class Stream(Protocol):
    """Training data of one run."""

    def batch(self, step: int) -> Batch:
        """The batch of step 1, 2, ...; the same whenever and however often it is asked for."""
        ...
