"""Training texts: which wordings a cell is told in, and how a wording is filled."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from polylore.errors import DataError

if TYPE_CHECKING:
    from polylore.facts.factset import FactSet

BARE = "mention:bare"
"""Wording of a mention in a language without mention sentences: the name alone."""


@dataclass(frozen=True)
class Wording:
    """One sentence frame, cut at its slots so that a name is never taken for a slot."""

    label: str
    """`statement:<n>`, `prompt:<n>` or `mention:<n>`."""
    pieces: tuple[str, ...]
    """Text before, between and after the slots."""
    slots: tuple[str, ...]
    """Names of the slots in order of the text."""

    def fill(self, **names: str) -> str:
        """The sentence with every slot replaced by its name."""
        parts = [self.pieces[0]]
        for slot, piece in zip(self.slots, self.pieces[1:], strict=True):
            parts += (names[slot], piece)
        return "".join(parts)


def cut(template: str, label: str, slots: tuple[str, ...]) -> Wording:
    """Cut a template at its slots, each of which must occur exactly once.

    Raises:
        DataError: a slot is missing or occurs twice.
    """
    for slot in slots:
        if template.count(f"<{slot}>") != 1:
            raise DataError(
                f"The wording {label} {template!r} must contain <{slot}> exactly once to be used "
                "as training text; change it."
            )
    found = sorted(slots, key=lambda slot: template.index(f"<{slot}>"))
    pieces, rest = [], template
    for slot in found:
        before, rest = rest.split(f"<{slot}>", 1)
        pieces.append(before)
    return Wording(label, (*pieces, rest), tuple(found))


def fact_wordings(factset: "FactSet", relation: str, lang: str, limit: int | None) -> list[Wording]:
    """Statements of a relation in a language, or its prompts if it has no statements.

    Raises:
        DataError: it has neither, or a wording lacks a slot.
    """
    for kind in ("statement", "prompt"):
        templates = factset.wordings(relation, lang, kind)[:limit]
        if templates:
            return [
                cut(template, f"{kind}:{n}", ("subject", "mask"))
                for n, template in enumerate(templates)
            ]
    raise DataError(
        f"Fact set {factset.name} has no wording of {relation} in {lang}; add a statement or a "
        "prompt, or leave that relation or language out."
    )


def mention_wordings(factset: "FactSet", lang: str) -> list[Wording]:
    """Sentences that merely name something; the bare name if the language has none."""
    templates = factset.wordings("mention", lang, "mention")
    return [cut(t, f"mention:{n}", ("name",)) for n, t in enumerate(templates)] or [
        Wording(BARE, ("", ""), ("name",))
    ]
