"""What every room needs to know about languages and strings. No heavy imports."""

from polylore.text.languages import Language, check_language, language
from polylore.text.normalise import fold, normalise, splits_safely
from polylore.text.similarity import similarity

__all__ = [
    "Language",
    "check_language",
    "fold",
    "language",
    "normalise",
    "similarity",
    "splits_safely",
]
