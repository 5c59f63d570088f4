"""The keys under which an answer and a word of the lexicon are compared.

Specification of `patch`, section 2: the answer ends at the first closing quote or newline; the
strict key folds what never tells two words apart; the loose key also drops one leading article.
"""

import re
from collections.abc import Mapping

from polylore.text import normalise

_END = re.compile('["”»」\n]')
# A stress mark is no letter in Cyrillic; in Latin script é is one and must stay.
_STRESS = re.compile("([\u0400-\u052f])\u0301")

ARTICLES: dict[str, tuple[str, ...]] = {
    "en": ("a ", "an ", "the "),
    "fr": ("le ", "la ", "les ", "l'", "l’", "un ", "une ", "des "),
    "es": ("el ", "la ", "los ", "las ", "un ", "una "),
    "de": ("der ", "die ", "das ", "ein ", "eine "),
    "it": ("il ", "lo ", "la ", "i ", "gli ", "le ", "l'", "l’", "un ", "una "),
    "pt": ("o ", "a ", "os ", "as ", "um ", "uma "),
}
"""Leading articles that the loose key drops once."""


def answer_of(raw: str) -> tuple[str, bool]:
    """The answer in a generated text, and whether nothing ended it.

    Returns:
        The text before the first closing quote or newline, and True if there is none of them.
    """
    # What was generated begins right behind the opening quote: a newline there ends the answer.
    parts = _END.split(raw, maxsplit=1)
    return parts[0], len(parts) == 1


def strict_key(text: str) -> str:
    """NFKC, case folding, single spaces, no outer punctuation, no stress marks in Cyrillic."""
    return _STRESS.sub(r"\1", normalise(text))


def loose_key(strict: str, lang: str, folding: Mapping[int, str] | None = None) -> str:
    """The strict key without one leading article.

    Args:
        strict: strict key.
        lang: language of the word; decides which articles there are.
        folding: character table (as `str.maketrans` makes it) from traditional to simplified
            characters, used for Chinese and Cantonese.
    """
    primary = lang.replace("_", "-").split("-")[0].lower()
    for article in ARTICLES.get(primary, ()):
        if strict.startswith(article) and len(strict) > len(article):
            strict = strict[len(article) :]
            break
    if folding is not None and primary in ("zh", "yue"):
        strict = strict.translate(folding)
    return strict


def distance_within(first: str, second: str, most: int) -> bool:
    """Whether at most so many insertions, deletions and substitutions lie between two strings."""
    if abs(len(first) - len(second)) > most:
        return False
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(second, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
        if min(row) > most:
            return False
    return row[-1] <= most


def is_variant(answer: str, form: str) -> bool:
    """Whether an answer is an inflected or misspelled form of a word.

    At most one edit where the shorter of them has up to five characters, else two; or a common
    beginning of at least 80 % of the longer one. Strings of one or two characters are never
    variants.
    """
    short, long = sorted((answer, form), key=len)
    if len(short) <= 2:
        return False
    common = next(
        (i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short)
    )
    return common >= 0.8 * len(long) or distance_within(short, long, 1 if len(short) <= 5 else 2)
