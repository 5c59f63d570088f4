"""The two string normalisations on which all comparisons in polylore rest."""

import unicodedata

# Unicode general categories whose characters are stripped at both ends of an answer:
# P punctuation, S symbols, Z separators.
_STRIPPED = ("P", "S", "Z")


def fold(text: str) -> str:
    """NFC after case folding: the weak equality behind "same string in two languages"."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def normalise(text: str) -> str:
    """NFKC, case folding, NFC, single spaces, and no punctuation or symbols at either end.

    This is the normalisation of the default matcher (specification of `trace`, section 2.2).
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    text = " ".join(unicodedata.normalize("NFC", text).split())
    start, end = 0, len(text)
    while start < end and unicodedata.category(text[start])[0] in _STRIPPED:
        start += 1
    while end > start and unicodedata.category(text[end - 1])[0] in _STRIPPED:
        end -= 1
    return text[start:end]


def splits_safely(char: str) -> bool:
    """Whether text may be cut before this character without changing its normalised form."""
    first = unicodedata.normalize("NFKC", char)[:1]
    # Nothing in these classes composes with what stands before it; conjoining Hangul does.
    return (
        unicodedata.combining(first) == 0
        and unicodedata.category(first)[0] != "M"
        and not 0x1160 <= ord(first) <= 0x11FF
    )
