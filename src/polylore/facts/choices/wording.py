"""The words around a multiple-choice question, in the languages that have them (`wording.toml`)."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

LETTERS = "ABCDE"
"""Options are lettered so; no more than five can be."""


@dataclass(frozen=True)
class Wording:
    """What stands around a question."""

    lang: str
    letters: str
    """Instruction to answer with a letter."""
    plain: str
    """Instruction to answer in words."""
    question: str
    answer: str
    """Cues before the question and before the answer."""
    cause: str
    effect: str
    """What is asked about a premise."""


@cache
def wordings() -> dict[str, Wording]:
    """All of them, by language."""
    text = files(__package__).joinpath("wording.toml").read_text(encoding="utf-8")
    return {lang: Wording(lang, **values) for lang, values in tomllib.loads(text).items()}


def wording(lang: str) -> Wording:
    """The words of a language, English where it has none."""
    known = wordings()
    return known.get(lang) or known.get(lang.split("-")[0]) or known["en"]
