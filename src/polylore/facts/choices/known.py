"""What is known of the four published sets (specification of `align`, sections 1 and 3.1)."""

from dataclasses import dataclass

LANGUAGES = ("en", "de", "fr", "it", "pl", "ru", "ar", "he", "ja", "zh")
PIVOT = "en"


@dataclass(frozen=True)
class KnownSet:
    """One published set."""

    n: int
    k: int
    reference: float
    """The published reference accuracy, in percent."""
    demonstration: str
    """Gold letter of the demonstration in the published prompt."""


SETS = {
    "xcsqa": KnownSet(1000, 5, 74.6, "D"),
    "xcopa": KnownSet(500, 2, 96.4, "A"),
    "xpeo": KnownSet(180, 4, 92.2, "D"),
    "xgeo": KnownSet(200, 4, 97.0, "D"),
}
"""In the order of the published results."""

LEVELS = {"basic": ("xcsqa", "xcopa"), "factual": ("xgeo", "xpeo")}
PERSONS = 90
"""xpeo asks for the birth of these persons, then for the deaths of the same ones."""


def relation_of(dataset: str, item: int) -> str | None:
    """Relation of an item; None where the set asks for no fact."""
    if dataset == "xgeo":
        return "admin_division"
    if dataset == "xpeo":
        return "birth_year" if item < PERSONS else "death_year"
    return None


def cluster_of(dataset: str, item: int) -> str:
    """What is drawn together: the two questions about one person, else the item alone."""
    return str(item % PERSONS if dataset == "xpeo" else item)
