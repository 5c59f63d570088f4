"""Golden cases of the classifier (specification of `patch`, section 9)."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from polylore.errors import DataError
from polylore.facts.lexicon import Lexicon, load_lexicon
from polylore.metrics.patching import Forms, Question, Rules, Verdict, classify, similarity_of

LANGS = ["en", "fr", "es", "ru"]


@pytest.fixture(scope="module")
def simlex(published: Path) -> Lexicon:
    path = published / "multisimlex" / "Vulic-2020-2244.tsv"
    if not path.exists():
        pytest.skip("published Multi-SimLex data is not on this machine")
    return load_lexicon(path)


@pytest.fixture(scope="module")
def forms(simlex: Lexicon) -> Forms:
    return Forms(simlex.frame)


@pytest.fixture(scope="module")
def rules(simlex: Lexicon) -> Rules:
    return Rules(similarity=similarity_of(simlex.similarity))


def concept(lexicon: Lexicon, word: str) -> str:
    found = [c for c in lexicon.concepts if lexicon.forms(c, "en")[0].text == word]
    assert len(found) == 1, (word, found)
    return found[0]


REAL = [
    ("en-fr", "house", "maison", "correct_first", None),
    ("en-fr", "house", "Maison", "correct_first", None),
    ("en-fr", "house", "la maison", "correct_first", "loose"),
    ("en-fr", "house", "house", "copy", "copy_source"),
    ("en-fr", "house", "casa", "wrong_language", None),
    ("es-fr", "dog", "dog", "wrong_language", "english_pivot"),
    ("en-fr", "football", "football", "correct_homograph", None),
    ("en-fr", "teacher", "enseignant", "correct_first", None),
    ("en-fr", "teacher", "professeur", "correct_alt", None),
    ("en-fr", "coin", "coin", "copy", "copy_source"),
    ("fr-en", "bread", "pain", "copy", "copy_source"),
    ("es-en", "foot", "pie", "copy", "copy_source"),
    ("fr-en", "deck", "bridge", "other_sense", None),
    ("en-ru", "bridge", "бридж", "other_sense", None),
    ("en-ru", "bridge", "мост", "correct_first", None),
    ("en-fr", "car", "automobile", "near_synonym", None),
    ("en-es", "breakfast", "desayunos", "form_variant", None),
    ("en-fr", "house", "", "fragment", None),
    ("en-fr", "house", "...", "fragment", None),
    ("en-fr", "house", "k", "fragment", None),
    ("en-fr", "house", "xyzzy", "other", None),
    ("en-fr", "house", "arbre", "lexicon_other", None),
]


@pytest.mark.parametrize(("langs", "asked", "answer", "category", "note"), REAL)
def test_published_words(
    simlex: Lexicon,
    forms: Forms,
    rules: Rules,
    langs: str,
    asked: str,
    answer: str,
    category: str,
    note: str | None,
) -> None:
    a, b = langs.split("-")
    q = concept(simlex, asked)
    verdict = classify(answer, Question(a, b, q, q), forms, rules)
    assert verdict.category == category
    assert verdict.loose is (note == "loose")
    assert verdict.subtype == (None if note == "loose" else note)


def test_published_senses_all_count_in_the_published_form(simlex: Lexicon, forms: Forms) -> None:
    q = concept(simlex, "bridge")
    verdict = classify("бридж", Question("en", "ru", q, q), forms, Rules(senses="any"))
    assert verdict.category == "correct_alt"


def test_published_target_leak(simlex: Lexicon, forms: Forms, rules: Rules) -> None:
    house, dog = concept(simlex, "house"), concept(simlex, "dog")
    patched = Question("en", "fr", house, dog, target=dog)
    assert classify("chien", patched, forms, rules).category == "target_leak"
    split = Question("en", "fr", house, dog, target=dog, subword=True)
    assert classify("le chien", split, forms, rules) == Verdict(
        "le chien", "target_leak", "subword", True
    )
    seen = classify("dog", patched, forms, rules)
    assert (seen.category, seen.subtype) == ("copy", "copy_visible")
    natural = Question("en", "fr", house, house)
    assert classify("chien", natural, forms, rules).category == "lexicon_other"


@pytest.fixture(scope="module")
def small(make: SimpleNamespace) -> Forms:
    words = {
        "cat": {"en": ["cat"], "fr": ["chat", "minou"], "de": ["Katze"], "es": ["gato"]},
        "dog": {"en": ["dog"], "fr": ["chien"], "de": ["Hund"], "es": ["perro"]},
        "wolf": {"en": ["wolf"], "fr": ["loup"], "de": ["Wolf"], "es": ["lobo"]},
        "fox": {"en": ["fox"], "fr": ["renard"], "de": ["Fuchs"], "es": ["zorro"]},
        "talk": {"en": ["chat"], "fr": ["causette"], "de": ["Plauderei"], "es": ["charla"]},
        "tree": {"en": ["tree"], "fr": ["arbre"], "de": ["Baum"], "es": ["árbol"]},
    }
    return Forms(make.lexicon(words).frame)


SIMILAR = {("dog", "wolf"): 4.5, ("dog", "fox"): 3.0, ("cat", "dog"): 2.9}


@pytest.mark.parametrize(
    ("answer", "category", "subtype"),
    [
        ("chien", "correct_first", None),
        ("loup", "near_synonym", None),
        ("le loup", "near_synonym", None),
        ("renard", "related", None),
        ("Hund", "wrong_language", None),
        ("der Hund", "wrong_language", None),
        ("Baum", "other", None),  # a word of a shot, but in neither language of the prompt
        ("tree", "shot_leak", None),
        ("arbre", "shot_leak", None),
        ("animal", "related", "hypernym"),
        ("chat", "lexicon_other", None),
        ("q", "fragment", None),
        ("犬", "other", None),
    ],
)
def test_small_words(small: Forms, answer: str, category: str, subtype: str | None) -> None:
    def relation(word: str, lang: str, given: str) -> str | None:
        return "hypernym" if (word, lang, given) == ("chien", "fr", "animal") else None

    rules = Rules(similarity=SIMILAR, relation=relation)
    question = Question("en", "fr", "dog", "dog", shots=("tree",))
    verdict = classify(answer, question, small, rules)
    assert (verdict.category, verdict.subtype) == (category, subtype)


def test_a_copied_word_that_means_something_else_is_a_copy(small: Forms) -> None:
    # fr chat = cat, en chat = talk: asked for the English of « chat », the model copies.
    verdict = classify("chat", Question("fr", "en", "cat", "cat"), small)
    assert (verdict.category, verdict.subtype) == ("copy", "copy_source")


def test_a_word_without_entry_is_refused(small: Forms) -> None:
    question = Question("cy", "fr", "dog", "cat", target="cat")
    with pytest.raises(DataError, match="'cat' has no word in 'cy'"):
        classify("zzz", question, small)
