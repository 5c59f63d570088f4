"""Prompts as text (specification of `patch`, section 2)."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from polylore.facts.lexicon import Lexicon
from polylore.studies.patch.planning.pairs import ConceptPair


class PromptKey(NamedTuple):
    """What a prompt is; see the contract `tables.patch.PROMPTS`."""

    pair_id: str
    role: str
    lang_a: str
    lang_b: str

    @property
    def prompt_id(self) -> str:
        """Identity as a string."""
        return f"{self.pair_id}.{self.role}.{self.lang_a}>{self.lang_b}"


class Written(NamedTuple):
    """A prompt as text."""

    concept: str
    shots: tuple[str, ...]
    shots_b: tuple[str, ...] | None
    text: str
    """Everything up to the opening quote."""
    start: int
    """First character of the query's object."""
    stop: int
    """Character after it."""


def write(key: PromptKey, pair: ConceptPair, lexicon: Lexicon, names: Mapping[str, str]) -> Written:
    """Write one prompt."""
    concept = pair.target if key.role == "target" else pair.source
    shots = pair.target_shots if key.role in ("target", "replace") else pair.source_shots
    shots_b = _unrelated(pair) if key.role == "shuffled" else None
    a, b = key.lang_a, key.lang_b
    lines = demonstrations(shots, shots_b or shots, a, b, lexicon, names)
    word = lexicon.forms(concept, a)[0].text
    head = f'{lines}{names[a]}: "'
    return Written(
        concept,
        shots,
        shots_b,
        f'{head}{word}" - {names[b]}: "',
        len(head),
        len(head) + len(word),
    )


def demonstrations(
    left: Sequence[str],
    right: Sequence[str],
    a: str,
    b: str,
    lexicon: Lexicon,
    names: Mapping[str, str],
) -> str:
    """One line for each demonstration."""
    return "".join(
        f'{names[a]}: "{lexicon.forms(x, a)[0].text}" - '
        f'{names[b]}: "{lexicon.forms(y, b)[0].text}"\n'
        for x, y in zip(left, right, strict=True)
    )


def _unrelated(pair: ConceptPair) -> tuple[str, ...]:
    """Each demonstration's right-hand word is another one's; a single one borrows the target's."""
    shots = pair.source_shots
    return (*shots[1:], shots[0]) if len(shots) > 1 else pair.target_shots[:1]
