"""Values that are written as one word on the command line."""

from collections.abc import Iterable
from difflib import get_close_matches


def split(text: str | None) -> list[str] | None:
    """The parts of `a,b,c`; None if nothing was given."""
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def nearest(name: str, known: Iterable[str]) -> str:
    """`; near it are a, b` with the known names most like one that is not known, or nothing."""
    found = get_close_matches(name, sorted(known), n=3)
    return f"; near it {'is' if len(found) == 1 else 'are'} {', '.join(found)}" if found else ""
