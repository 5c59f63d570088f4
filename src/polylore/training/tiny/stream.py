"""What a world hands to training: batches of token ids, as functions of the step alone."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


class Batch(Protocol):
    """Presentations of one step. B rows, T tokens; the value is at the end of each row.

    Where rows differ in length they are padded on the right, and the batch has one attribute more:
    `pad`, the number of padding tokens of each row (B,).
    """

    @property
    def tokens(self) -> Ints:
        """Token ids (B, T): prompt and value."""
        ...


class Stream(Protocol):
    """Training data of one run."""

    def batch(self, step: int) -> Batch:
        """The batch of step 1, 2, ...; the same whenever and however often it is asked for."""
        ...


def padding(batch: Batch) -> Ints | None:
    """Padding tokens at the end of each row (B,); None if no row has any."""
    pad: Ints | None = getattr(batch, "pad", None)
    return pad if pad is not None and pad.any() else None
