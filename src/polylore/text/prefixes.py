"""Strings of which one is the beginning of another: what a prefix matcher confuses."""

from collections.abc import Iterable


def in_prefix_conflict(texts: Iterable[str]) -> set[str]:
    """Those strings that are a strict prefix of another one, or have another as strict prefix.

    Linear in the total length: every string looks its own beginnings up in the set of all.
    """
    known = set(texts)
    found: set[str] = set()
    for text in known:
        for end in range(1, len(text)):
            if text[:end] in known:
                found |= {text, text[:end]}
    return found
