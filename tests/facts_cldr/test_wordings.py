"""Every wording file keeps the rules of its format, and the loader refuses those that do not."""

import unicodedata
from typing import Any

import pytest

from polylore.errors import ConfigError, DataError
from polylore.facts.cldr import wordings
from polylore.facts.cldr.claims import RELATIONS
from polylore.facts.factset import FactSet

REQUIRED = [
    "en",
    "fr",
    "es",
    "de",
    "ca",
    "tr",
    "ru",
    "uk",
    "el",
    "ar",
    "zh",
    "ja",
    "ko",
    "hi",
    "fi",
    "sw",
]
UNSPACED = {"zh", "ja"}


def heads(texts: list[str]) -> list[str]:
    return [text.split("<mask>")[0] for text in texts]


def test_the_sixteen_languages_are_there() -> None:
    assert set(REQUIRED) <= set(wordings.languages())
    assert wordings.languages()[0] == "en"


@pytest.mark.parametrize("lang", wordings.languages())
def test_numbers_slots_and_form(lang: str) -> None:
    rows = wordings.wordings(lang)
    for relation in RELATIONS:
        kinds = [row["kind"] for row in rows if row["relation"] == relation]
        assert kinds.count("prompt") >= 4
        assert kinds.count("statement") >= 6
    assert sum(row["kind"] == "mention" for row in rows) >= 4
    for row in rows:
        text = row["template"]
        slots = ["<name>"] if row["kind"] == "mention" else ["<subject>", "<mask>"]
        assert all(text.count(slot) == 1 for slot in slots), text
        assert text.count("<") == text.count(">") == len(slots), text
        assert text == unicodedata.normalize("NFC", text), text
        assert text == text.strip(), text
        assert "  " not in text, text
        assert not any(unicodedata.category(c) == "Cf" for c in text if c not in "\u200c\u200d")


@pytest.mark.parametrize("lang", wordings.languages())
@pytest.mark.parametrize("relation", list(RELATIONS))
def test_two_prompts_are_taught_and_the_others_are_not(
    everything: FactSet, relation: str, lang: str
) -> None:
    prompts = everything.wordings(relation, lang, "prompt")
    statements = everything.wordings(relation, lang, "statement")
    taught = heads(statements)
    for number, head in enumerate(heads(prompts)):
        assert (head in taught) == (number < 2), prompts[number]
        # An unseen wording is not the beginning of a longer statement either.
        assert number < 2 or not any(text.startswith(head) for text in statements)
    assert len(set(heads(prompts))) == len(prompts)


@pytest.mark.parametrize("lang", wordings.languages())
def test_prompts_ask_before_the_answer(everything: FactSet, lang: str) -> None:
    for relation in RELATIONS:
        for prompt in everything.wordings(relation, lang, "prompt"):
            assert prompt.index("<subject>") < prompt.index("<mask>"), prompt
            head = prompt.split("<mask>")[0]
            assert head.endswith(" ") != (lang in UNSPACED), prompt
        statements = everything.wordings(relation, lang, "statement")
        order = [text.index("<subject>") < text.index("<mask>") for text in statements]
        assert sum(order) >= 3, relation
        assert not all(order), relation


def broken(**changes: Any) -> dict[str, Any]:
    relation = {
        "prompts": [f"{n} <subject> <mask>" for n in range(4)],
        "statements": [f"{n} <subject> <mask>." for n in range(6)],
    }
    content: dict[str, Any] = {"language": "en", **{name: dict(relation) for name in RELATIONS}}
    content["mention"] = {"statements": [f"{n} <name>" for n in range(4)]}
    content["capital"].update(changes)
    return content


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompts": ["<subject> <mask>"] * 4}, "at least 4 different"),
        ({"prompts": ["<subject> <mask>"]}, "at least 4 different"),
        ({"statements": [f"{n} <subject>" for n in range(6)]}, "<mask> exactly once"),
        ({"prompts": [f"{n} <subject> <mask> <x>" for n in range(4)]}, "no other slot"),
        ({"prompts": [f"{n} <subject> <mask> " for n in range(4)]}, "spaces at its ends"),
        ({"prompts": [f"{n} e\u0301 <subject> <mask>" for n in range(4)]}, "not NFC"),
        ({"prompts": "text"}, "list of strings"),
    ],
)
def test_a_broken_file_is_refused(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], message: str
) -> None:
    monkeypatch.setattr(wordings, "_read", lambda lang: broken(**changes))
    with pytest.raises(DataError, match=message) as caught:
        wordings.wordings.__wrapped__("en")
    assert "en.toml" in str(caught.value)
    assert "capital" in str(caught.value)


def test_a_sound_file_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wordings, "_read", lambda lang: broken())
    assert len(wordings.wordings.__wrapped__("en")) == 7 * 10 + 4


def test_a_language_without_wordings_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no wordings in 'eo'.*en, ar, ca"):
        wordings.wordings("eo")
