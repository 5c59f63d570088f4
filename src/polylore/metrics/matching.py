"""Two ways to decide whether a generated text names the gold (specification of `trace`, 2.2)."""

import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from polylore.text import normalise
from polylore.text.languages import ARTICLES, UNBOUNDED

_WORD = frozenset("LNM")


def paper_match(prediction: str, gold: str) -> bool:
    """Two-way, case-insensitive prefix: the published matcher.

    Right iff the stripped prediction is a non-empty prefix of the gold, or the gold is a prefix of
    it. No aliases, no Unicode normalisation, no line cut; kept for comparison, since "E" counts as
    Europe and "Nigeria" as Niger.
    """
    p, g = prediction.strip().lower(), gold.lower().strip()
    return (p != "" and g.startswith(p)) or p.startswith(g)


def first_line(text: str) -> str:
    """Text up to the first newline after leading white space."""
    lines = text.lstrip().splitlines()
    return lines[0] if lines else ""


@dataclass(frozen=True)
class ObjectIndex:
    """The objects of one (relation, language): who else an answer might name."""

    entities: Mapping[str, str]
    """Normalised object -> identity of that object."""
    bounded: bool
    """Whether an answer must end at a word boundary."""
    articles: tuple[str, ...] = ()
    """Leading articles that may be removed once."""
    lengths: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        lengths = sorted({len(z) for z in self.entities if z}, reverse=True)
        object.__setattr__(self, "lengths", tuple(lengths))

    def hits(self, text: str, z: str) -> bool:
        """Whether a normalised text begins with a string, and that string ends there."""
        if not z or not text.startswith(z):
            return False
        if not self.bounded or len(text) == len(z):
            return True
        return unicodedata.category(text[len(z)])[0] not in _WORD

    def longest(self, text: str) -> str | None:
        """Longest object that a normalised text begins with."""
        for length in self.lengths:
            if length <= len(text):
                z = text[:length]
                if z in self.entities and self.hits(text, z):
                    return z
        return None

    def without_article(self, text: str) -> Iterable[str]:
        """The text without each leading article it begins with."""
        for article in self.articles:
            if text.startswith(article):
                yield normalise(text[len(article) :])


def object_index(
    objects: Mapping[str, str],
    lang: str,
    *,
    unbounded: Collection[str] = UNBOUNDED,
    articles: Mapping[str, tuple[str, ...]] = ARTICLES,
) -> ObjectIndex:
    """Index the objects of one (relation, language).

    Args:
        objects: object as written -> its identity; of strings equal after normalisation the
            smallest identity is kept.
        lang: language code.
        unbounded: primary language subtags that need no word boundary.
        articles: leading articles by primary language subtag.
    """
    entities: dict[str, str] = {}
    for text, identity in objects.items():
        z = normalise(text)
        if z and identity < entities.get(z, chr(0x10FFFF)):
            entities[z] = identity
    primary = lang.replace("_", "-").split("-")[0].lower()
    return ObjectIndex(entities, primary not in unbounded, tuple(articles.get(primary, ())))


def named_string(
    text: str, accepted: Collection[str], index: ObjectIndex, found: str | None = None
) -> str | None:
    """The longest string of accepted or competing ones that a normalised text begins with.

    Args:
        text: normalised prediction.
        accepted: normalised gold and aliases.
        index: the competitors.
        found: `index.longest(text)` if the caller has it already.
    """
    best = found
    for z in accepted:
        if (best is None or len(z) > len(best)) and index.hits(text, z):
            best = z
    return best


def default_match(prediction: str, accepted: Collection[str], index: ObjectIndex) -> bool:
    """Bounded match with the competitor rule (`trace`, section 2.2).

    Args:
        prediction: raw generated text.
        accepted: gold and aliases as written.
        index: objects of the same relation and language.

    Returns:
        Whether the longest string that the answer's first line begins with is the gold or an
        alias; one leading article is removed if nothing is found. A strict prefix of the gold is
        never right.
    """
    text = normalise(first_line(prediction))
    golds = frozenset(normalise(a) for a in accepted) - {""}
    named = named_string(text, golds, index, index.longest(text))
    if named is None:
        for shorter in index.without_article(text):
            named = named or named_string(shorter, golds, index, index.longest(shorter))
    return named is not None and named in golds
