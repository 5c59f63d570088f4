"""Which word of a cell belongs to which slot, when multi-word forms blur the slots.

Multi-SimLex in Concepticon's layout joins the forms of all slots of a cell by single spaces, so a
form of two words looks like two forms (specification of `patch`, section 3).
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

Recovery = Literal["segment", "repeat"]


class Recovered(NamedTuple):
    """The forms of one cell, one per slot."""

    forms: tuple[str, ...] | None
    """None if the cell is missing or cannot be resolved."""
    how: str
    """segment, repeat (also as the fallback of segment), unresolved or missing."""


def recover(cell: str, citation: str, slots: int, method: Recovery = "segment") -> Recovered:
    """Divide a cell among its slots.

    Args:
        cell: forms of all slots, in order, joined by spaces.
        citation: the distinct forms as `main` or `main (alt1/alt2)`.
        slots: how many forms the cell holds.
        method: `segment` takes the one division into forms of the citation and falls back to
            `repeat` where there is none; `repeat` knows the number of slots alone.
    """
    words = cell.split()
    if not words:
        return Recovered(None, "missing")
    if method == "segment":
        found = segmentations(words, slots, cited_forms(citation))
        if len(found) == 1:
            return Recovered(found[0], "segment")
        if found:
            return Recovered(None, "unresolved")
    forms = repeated(words, slots)
    return Recovered(forms, "unresolved" if forms is None else "repeat")


def cited_forms(citation: str) -> tuple[str, ...]:
    """The distinct forms of a citation.

    >>> cited_forms("disease (illness/sickness)")
    ('disease', 'illness', 'sickness')
    """
    main, bracket, rest = citation.partition(" (")
    inside = rest.rpartition(")")[0] or rest
    parts = [main, *(inside.split("/") if bracket else ())]
    # Stray double spaces would make two forms of one.
    return tuple(dict.fromkeys(plain for part in parts if (plain := " ".join(part.split()))))


def repeated(words: Sequence[str], slots: int) -> tuple[str, ...] | None:
    """One word each, the whole cell for one slot, or equal chunks; None if none of these fits."""
    if len(words) == slots:
        return tuple(words)
    size, rest = divmod(len(words), slots)
    if rest or not size:
        return (" ".join(words),) if slots == 1 else None
    chunks = [" ".join(words[at : at + size]) for at in range(0, len(words), size)]
    return tuple(chunks) if len(set(chunks)) == 1 else None


def segmentations(words: Sequence[str], slots: int, forms: Sequence[str]) -> list[tuple[str, ...]]:
    """Divisions of the words into exactly `slots` of the forms; at most two are looked for."""
    candidates = [tuple(form.split()) for form in forms]
    found: list[tuple[str, ...]] = []
    hopeless: set[tuple[int, int]] = set()

    def extend(at: int, taken: tuple[str, ...]) -> None:
        if len(found) > 1 or (at, len(taken)) in hopeless:
            return
        if len(taken) == slots:
            if at == len(words):
                found.append(taken)
            return
        before = len(found)
        for form in candidates:
            if tuple(words[at : at + len(form)]) == form:
                extend(at + len(form), (*taken, " ".join(form)))
        if len(found) == before:
            hopeless.add((at, len(taken)))

    extend(0, ())
    return found
