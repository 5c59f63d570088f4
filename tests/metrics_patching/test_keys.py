"""Keys of answers and of words."""

import pytest

from polylore.metrics.patching import answer_of, loose_key, strict_key
from polylore.metrics.patching.keys import distance_within, is_variant


@pytest.mark.parametrize(
    ("raw", "answer", "open_"),
    [
        ('maison"\nEnglish', "maison", False),
        ("maison» - ", "maison", False),
        ("猫」", "猫", False),
        ("maison\nfoo", "maison", False),
        ("\nmaison", "", False),
        ("une très longue", "une très longue", True),
        ("", "", True),
    ],
)
def test_answer_ends_at_quote_or_newline(raw: str, answer: str, open_: bool) -> None:
    assert answer_of(raw) == (answer, open_)


def test_strict_key_folds_case_width_spaces_and_outer_punctuation() -> None:
    assert strict_key("  “Ｍaison  Blanche”. ") == "maison blanche"
    assert strict_key("...") == ""


def test_stress_marks_go_in_cyrillic_only() -> None:
    assert strict_key("соба\u0301ка") == "собака"
    assert strict_key("cafe\u0301") == strict_key("café") == "café"
    # й and ё are letters of their own.
    assert strict_key("ёй") == "ёй"


@pytest.mark.parametrize(
    ("word", "lang", "key"),
    [
        ("la maison", "fr", "maison"),
        ("l’eau", "fr", "eau"),
        ("l'eau", "it", "eau"),
        ("the the", "en", "the"),
        ("die Katze", "de", "katze"),
        ("um gato", "pt-BR", "gato"),
        ("la maison", "de", "la maison"),
        ("la", "fr", "la"),
        ("lama", "fr", "lama"),
    ],
)
def test_loose_key_drops_one_article(word: str, lang: str, key: str) -> None:
    assert loose_key(strict_key(word), lang) == key


def test_loose_key_folds_characters_of_chinese_only() -> None:
    folding = str.maketrans("貓", "猫")
    assert loose_key("貓", "yue", folding) == "猫"
    assert loose_key("貓", "ja", folding) == "貓"


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [("", "", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("ab", "ba", 2), ("хлеб", "хлеба", 1)],
)
def test_edit_distance(a: str, b: str, distance: int) -> None:
    assert distance_within(a, b, distance)
    assert distance == 0 or not distance_within(a, b, distance - 1)


@pytest.mark.parametrize(
    ("answer", "form", "variant"),
    [
        ("desayunos", "desayuno", True),
        ("cats", "cat", True),
        ("cattle", "cat", False),
        ("chiens", "chien", True),
        ("chienne", "chien", False),  # two edits from a word of five
        ("krankenhäuser", "krankenhaus", False),
        ("krankenhause", "krankenhaus", True),
        ("internationally", "internationale", True),
        ("as", "a", False),
        ("ok", "oki", False),
    ],
)
def test_variants(answer: str, form: str, variant: bool) -> None:
    assert is_variant(answer, form) is variant
    assert is_variant(form, answer) is variant
