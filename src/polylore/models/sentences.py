"""Where in a sentence a vector is taken: character positions, turned into tokens once.

A sentence is a question and its answer. What stands before the answer does not depend on it in a
causal model, so one row of tokens serves all positions, unless the answer changes how the end of
the question is tokenised: then the question has a row of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from polylore.errors import ModelError
from polylore.models.loading import LanguageModel
from polylore.models.spans import offset_tokens, tail, target_span

Position = Literal["subject_last", "prompt_end", "answer_last", "weighted_mean"]
POSITIONS: tuple[Position, ...] = get_args(Position)
"""Last token of the subject, of the question, of the answer; mean over the whole sentence in which
token k counts k times (specification of `trace`, section 4.6)."""

_IN_QUESTION = ("subject_last", "prompt_end")

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sentence:
    """A question and its answer."""

    prompt: str
    """The question, without trailing delimiter."""
    subject_end: int
    """Index after the last character of the subject in it."""
    delimiter: str
    """What stands between question and answer."""
    answer: str


@dataclass(frozen=True)
class Placed:
    """Sentences as distinct rows of tokens, and the tokens that each position stands for."""

    positions: tuple[Position, ...]
    rows: list[list[int]]
    """Token ids; equal rows stand once, longest first."""
    row_PN: Ints
    """Row of each position and sentence."""
    first_PN: Ints
    """First token of the position, within its row."""
    last_PN: Ints
    """Last token; equal to the first but for weighted_mean."""
    tokenizer_hash: str

    @property
    def n(self) -> int:
        """Number of sentences."""
        return int(self.row_PN.shape[1])


def place(
    lm: LanguageModel, sentences: Sequence[Sentence], positions: Sequence[Position], *, bos: bool
) -> Placed:
    """Tokenise sentences and find their positions; serves all models with this tokenizer.

    A token that straddles the end of the subject counts as its last. The begin-of-text token is no
    part of a mean: it is the same in every sentence.

    Args:
        lm: the model, for its tokenizer and context.
        sentences: questions with answers.
        positions: where vectors are wanted.
        bos: put the begin-of-text token in front, if the tokenizer has one.

    Raises:
        ModelError: a tokenizer without character offsets, a subject or sentence without tokens, or
            more tokens than the model reads.
    """
    chosen = tuple(positions)
    prompts = [one.prompt for one in sentences]
    whole = [one.prompt + one.delimiter + one.answer for one in sentences]
    asked = offset_tokens(lm.tokenizer, prompts, bos=bos)
    told = offset_tokens(lm.tokenizer, whole, bos=bos)
    rows: dict[tuple[int, ...], int] = {}
    spans = np.zeros((3, len(chosen), len(sentences)), dtype=np.int64)
    for n, one in enumerate(sentences):
        (ids, offsets, shift), (full, _, _) = asked[n], told[n]
        if len(ids) == shift:
            raise ModelError(f"'{tail(one.prompt)}' has no tokens in this tokenizer; reword it.")
        lm.check_context(whole[n], len(full), "with its answer ")
        shares = full[: len(ids)] == ids and any(p not in _IN_QUESTION for p in chosen)
        for p, position in enumerate(chosen):
            inside = position in _IN_QUESTION
            key = tuple(ids if inside and not shares else full)
            last = (len(ids) if inside else len(full)) - 1
            if position == "subject_last":
                last = _subject_last(one, offsets) + shift
            first = shift if position == "weighted_mean" else last
            spans[:, p, n] = rows.setdefault(key, len(rows)), first, last
    keys = list(rows)
    order = sorted(range(len(keys)), key=lambda k: (-len(keys[k]), k))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return Placed(
        positions=chosen,
        rows=[list(keys[k]) for k in order],
        row_PN=rank[spans[0]],
        first_PN=spans[1],
        last_PN=spans[2],
        tokenizer_hash=lm.tokenizer_hash,
    )


def _subject_last(one: Sentence, offsets: Sequence[tuple[int, int]]) -> int:
    """Index of the last token of the subject."""
    span = target_span(offsets, one.subject_end - 1, one.subject_end)
    if one.subject_end < 1 or span is None:
        raise ModelError(
            f"The subject of '{tail(one.prompt)}' has no token of its own in this tokenizer, so it "
            "has no vector; remove or correct the fact."
        )
    return span[1] - 1
