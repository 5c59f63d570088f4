"""What is asked of a model, and the same tokenised once for all its checkpoints."""

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from polylore.errors import ModelError
from polylore.models.loading import LanguageModel
from polylore.models.packing import Row, Trie, plain_rows
from polylore.models.prefix_cache import cached_groups
from polylore.models.spans import Encoded, encode


@dataclass(frozen=True)
class Question:
    """A prompt and the answers to compare."""

    prompt: str
    """Everything before the answer, without trailing delimiter."""
    delimiter: str
    """What stands between prompt and answer: a space, or nothing."""
    candidates: tuple[str, ...]
    """The answers, in any order."""


@dataclass(frozen=True)
class EngineReport:
    """Which engine answered, and why."""

    engine: str
    """packed, cached or plain."""
    reason: str
    """Why this engine, and why not those before it."""
    checked: int
    """Questions on which it was compared with plain."""
    difference: float | None
    """Its largest difference from plain, in units of the tolerance; null for plain itself."""


@dataclass
class Prepared:
    """Questions tokenised and arranged once, for every checkpoint with this tokenizer."""

    questions: tuple[Question, ...]
    strings: list[Encoded]
    """One per question and candidate, in order."""
    owner: list[int]
    """The question each string belongs to."""
    tokenizer_hash: str
    longest: int
    """Tokens of the longest string."""
    rows: dict[tuple[str, int], list[list[Row]]] = field(default_factory=dict, repr=False)
    """Arranged rows by engine and limit, in groups that may be read together."""
    trie: Trie | None = field(default=None, repr=False)
    report: EngineReport | None = None
    """Which engine answered in the last run."""
    _judged: tuple[weakref.ref[Any], str, EngineReport] | None = field(default=None, repr=False)

    def verdict(self, model: Any, engine: str) -> EngineReport | None:
        """What was found when this model object was first asked; None if it was not."""
        if self._judged is not None and self._judged[0]() is model and self._judged[1] == engine:
            return self._judged[2]
        return None

    def remember(self, model: Any, engine: str, report: EngineReport) -> None:
        """Keep what was found for this model object."""
        self._judged = (weakref.ref(model), engine, report)

    def arranged(self, engine: str, limit: int) -> list[list[Row]]:
        """The rows of an engine, in groups that may be read together; kept for the next model.

        Args:
            engine: plain, packed or cached.
            limit: longest tree row for packed, tokens in memory at once for cached.
        """
        key = (engine, 0 if engine == "plain" else limit)
        if key not in self.rows:
            if engine == "packed":
                self.rows[key] = [self.tree().rows(limit)]
            elif engine == "cached":
                self.rows[key] = cached_groups(self.strings, limit)
            else:
                self.rows[key] = [plain_rows(self.strings)]
        return self.rows[key]

    def part(self, strings: Sequence[int]) -> "Prepared":
        """Some of the strings, arranged on their own."""
        return Prepared(
            questions=self.questions,
            strings=[self.strings[k] for k in strings],
            owner=[self.owner[k] for k in strings],
            tokenizer_hash=self.tokenizer_hash,
            longest=max((len(self.strings[k].ids) for k in strings), default=0),
        )

    def tree(self) -> Trie:
        """The strings as a trie."""
        if self.trie is None:
            self.trie = Trie(self.strings, self.owner)
        return self.trie


def prepare(lm: LanguageModel, questions: Sequence[Question], *, bos: bool) -> Prepared:
    """Tokenise questions once; the result serves all models with the same tokenizer.

    Args:
        lm: the model, for its tokenizer and context.
        questions: what to ask.
        bos: put the begin-of-text token in front, if the tokenizer has one.

    Raises:
        ModelError: a tokenizer without offsets, a candidate without tokens, nothing in front of an
            answer, or a string longer than the model's context.
    """
    questions = tuple(questions)
    pairs = [(k, candidate) for k, q in enumerate(questions) for candidate in q.candidates]
    strings = encode(
        lm.tokenizer,
        [questions[k].prompt + questions[k].delimiter for k, _ in pairs],
        [candidate for _, candidate in pairs],
        bos=bos,
    )
    for (k, candidate), string in zip(pairs, strings, strict=True):
        if string.start == 0:
            raise ModelError(
                f"Nothing stands before the answer '{candidate}', so its probability is not "
                "defined; give it a prompt, or a begin-of-text token with bos=True."
            )
        lm.check_context(questions[k].prompt, len(string.ids), f"with the answer '{candidate}' ")
    return Prepared(
        questions=questions,
        strings=strings,
        owner=[k for k, _ in pairs],
        tokenizer_hash=lm.tokenizer_hash,
        longest=max((len(s.ids) for s in strings), default=0),
    )
