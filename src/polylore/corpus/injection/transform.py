"""The transform of the data stream: a row goes in, the row with its passages comes out.

It depends on the plan, the optimiser step and the row of the whole step alone, so it does not
matter how many processes share a step, in how many parts gradients are accumulated, or where a run
was resumed. Every row keeps its length and its number of labelled tokens, so the token mean of a
step is the same under any accumulation (specification of `inject`, section 4.1).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polylore.corpus.injection.format import RowFormat, Tokens
from polylore.errors import DataError

UNLABELLED = -100
"""Label of a position that is not predicted."""
AFTER_EOS = "after_eos"
MODES = ("prepend", "overwrite", AFTER_EOS, "own_row")


@dataclass(frozen=True)
class Block:
    """What is put into one row: its passages in the order of their slots, boundaries included."""

    mode: str
    tokens: Tokens
    weights: npt.NDArray[np.float32]
    where: str
    """The place and passages in words, for messages."""


@dataclass(frozen=True)
class Rows:
    """Rows of a step, ready for training."""

    tokens: Tokens
    """int64 (B, L)."""
    labels: Tokens
    """int64 (B, L): the tokens, -100 where there is padding; models shift them by one."""
    loss_weight: npt.NDArray[np.float32]
    """float32 (B, L): 1, or the weight of an injected token."""
    doc_id: Tokens
    """int64 (B, L): number of the document within its row."""
    step: int
    rows: Tokens
    """Row of the whole optimiser step of each of these rows."""


def apply(block: Block, tokens_L: Tokens, form: RowFormat) -> tuple[Tokens, slice]:
    """Put a block into a row.

    - `prepend`: the block, then the row, cut where the row ended before (the published form).
    - `overwrite`: the first tokens of the row give way, all others stay in their places.
    - `after_eos`: behind the first document boundary of the row, which is cut at its end.
    - `own_row`: like prepend, in a row that no other passage may share.

    Returns:
        The new row, and where the block lies in it.

    Raises:
        DataError: the row is too short, or has no boundary early enough.
    """
    real = int(form.real(tokens_L[None])[0])
    check_fits(block, real, form)
    n, start = len(block.tokens), form.head
    if block.mode == AFTER_EOS:
        start = _boundary(block, tokens_L[:real], form)
    out = tokens_L.copy()
    out[start : start + n] = block.tokens
    if block.mode != "overwrite":
        out[start + n : real] = tokens_L[start : real - n]
    return out, slice(start, start + n)


def check_fits(block: Block, real: int, form: RowFormat) -> None:
    """Refuse a row that is too short, rather than cut a passage.

    Raises:
        DataError: the row has fewer tokens without its padding.
    """
    if len(block.tokens) > real - form.head:
        raise DataError(
            f"{block.where} has {len(block.tokens)} tokens with its boundaries, but the row holds "
            f"{real - form.head}; choose another row, or pack rows more tightly."
        )


def _boundary(block: Block, real_L: Tokens, form: RowFormat) -> int:
    """Place behind the first document boundary of a row."""
    found = np.flatnonzero(real_L[form.head :] == form.eos)
    if len(found):
        start = form.head + int(found[0]) + 1
        if start + len(block.tokens) <= len(real_L):
            return start
    raise DataError(
        f"{block.where} should follow the first document boundary of its row, but there is "
        f"{'no room behind it' if len(found) else 'none'}; use the mode prepend."
    )


def documents(tokens_BL: Tokens, eos: int) -> Tokens:
    """Number of the document of each token within its row: it grows behind every boundary."""
    ends = (tokens_BL == eos).cumsum(axis=1)
    return np.concatenate([np.zeros((len(ends), 1), dtype=np.int64), ends[:, :-1]], axis=1)


def labelled(tokens_BL: Tokens, form: RowFormat) -> Tokens:
    """Labels of rows in which everything but the padding at their end is predicted."""
    labels = tokens_BL.copy()
    if form.pad is not None:
        labels[np.arange(form.length) >= form.real(tokens_BL)[:, None]] = UNLABELLED
    return labels
