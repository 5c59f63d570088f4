"""Which language pairs the vectors of each setting come from (`patch`, sections 2 and 5)."""

from collections.abc import Iterable, Sequence

from polylore.errors import ConfigError

Pair = tuple[str, str]
"""(language of the left-hand word, language of the right-hand word)"""

SEEN = ("en", "zh", "et", "fi", "fr", "pl", "ru", "es", "yue")
"""Languages of the published study that its model is known to be trained on."""
PIVOT = "en"
UNPATCHED = ("src_unpatched", "tgt_unpatched")
SETTINGS = (*UNPATCHED, "tgt", "seen", "en_en", "self", "identity")
CONTROLS = (
    "random_concept",
    "shuffled_mean",
    "grand_mean",
    "gauss",
    "norm_matched",
    "samek",
    "shots_shuffled",
    "full_replace",
)
FURTHER = ("seen_without", "seen_balanced")
"""Made when asked for: the shared mean without each language, and balanced over families."""
OF_SEEN = frozenset(
    {"seen", *CONTROLS, *FURTHER} - {"full_replace"},
)
"""Settings that average what `seen` averages."""
FEWEST = 6
"""Language pairs below which the shared space is refused."""

FAMILIES = {
    "Germanic": ("en", "de", "nl"),
    "Romance": ("fr", "es", "it", "pt"),
    "Slavic": ("pl", "ru"),
    "Uralic": ("et", "fi"),
    "Celtic": ("cy",),
    "Bantu": ("sw",),
    "Sinitic": ("zh", "yue"),
    "Japonic": ("ja",),
    "Koreanic": ("ko",),
    "Indo-Aryan": ("hi", "bn", "ur"),
    "Iranian": ("fa",),
    "Semitic": ("ar", "he"),
    "Turkic": ("tr",),
    "Austronesian": ("id",),
    "Austroasiatic": ("vi",),
    "Tai": ("th",),
}
"""Branches over which `seen_balanced` balances; a language in none of them is one of its own."""


def read_pair(text: str) -> Pair:
    """A pair of languages written `a-b`; codes with a subtag are written `a>b`.

    Raises:
        ConfigError: it is not a pair.
    """
    sign = ">" if ">" in text else "-"
    parts = tuple(part.strip() for part in text.split(sign))
    if len(parts) != 2 or not all(parts):
        raise ConfigError(f"{text!r} is not a pair of languages; write it as fr-en or zh-Hant>en.")
    return parts[0], parts[1]


def seen_pairs(
    a: str, b: str, seen: Iterable[str], *, pivot: str = PIVOT, only: Sequence[Pair] | None = None
) -> list[Pair]:
    """Ordered pairs of different seen languages without the pivot, `a` and `b`: K = m(m - 1).

    Args:
        a: language of the left-hand words of the target prompt.
        b: language of its right-hand words.
        seen: languages that the model is known to be trained on.
        pivot: language that is left out too.
        only: pairs that may be used; all if None.
    """
    kept = [lang for lang in dict.fromkeys(seen) if lang not in (pivot, a, b)]
    pairs = [(x, y) for x in kept for y in kept if x != y]
    return pairs if only is None else [pair for pair in pairs if pair in only]


def balanced_weights(pairs: Sequence[Pair]) -> list[float]:
    """Weights, summing to 1, under which every pair of branches counts the same."""
    branch = {lang: name for name, langs in FAMILIES.items() for lang in langs}
    kinds = [(branch.get(x, x), branch.get(y, y)) for x, y in pairs]
    return [1 / (len(set(kinds)) * kinds.count(kind)) for kind in kinds]
