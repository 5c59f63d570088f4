"""The wordings shipped with the built-in facts: one TOML file per language."""

import tomllib
import unicodedata
from functools import cache
from importlib.resources import files
from typing import Any

from polylore.errors import ConfigError, DataError
from polylore.facts.cldr.claims import RELATIONS

MENTION = "mention"
LEAST = {"prompts": 4, "statements": 6}
"""How many wordings of each kind a relation has at least in every language."""
_KIND = {"prompts": "prompt", "statements": "statement"}
_SLOTS = ("<subject>", "<mask>")


@cache
def languages() -> tuple[str, ...]:
    """Codes of all languages with a wording file, English first, then by code."""
    folder = files(__package__) / "wording"
    codes = [entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".toml")]
    return tuple(sorted(codes, key=lambda code: (code != "en", code)))


@cache
def wordings(lang: str) -> tuple[dict[str, Any], ...]:
    """Rows of `tables.raw.TEMPLATES` for one language.

    Prompts 0 and 1 begin like statements, so a model trained on the statements has seen their
    wording; the later prompts are wordings it has not seen.

    Raises:
        ConfigError: the language has no wording file.
        DataError: the file breaks a rule of the format.
    """
    if lang not in languages():
        raise ConfigError(
            f"The built-in facts have no wordings in '{lang}'; there are {', '.join(languages())}."
        )
    content = _read(lang)
    rows: list[dict[str, Any]] = []
    for relation in RELATIONS:
        for key, kind in _KIND.items():
            texts = _texts(lang, content, relation, key, LEAST[key])
            for text in texts:
                _check_slots(lang, relation, text, _SLOTS)
            rows += _rows(relation, lang, kind, texts)
    mentions = _texts(lang, content, MENTION, "statements", 4)
    for text in mentions:
        _check_slots(lang, MENTION, text, ("<name>",))
    return (*rows, *_rows(MENTION, lang, "mention", mentions))


@cache
def note(lang: str) -> str:
    """What the writer of the wordings says about the compromises made in this language."""
    return " ".join(str(_read(lang).get("notes", "")).split())


@cache
def _read(lang: str) -> dict[str, Any]:
    text = (files(__package__) / "wording" / f"{lang}.toml").read_text(encoding="utf-8")
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"Wording file {lang}.toml is not valid TOML ({error}).") from error
    if content.get("language") != lang:
        raise DataError(f'Wording file {lang}.toml must say: language = "{lang}".')
    unknown = set(content) - {*RELATIONS, MENTION, "language", "notes"}
    if unknown:
        raise DataError(f"Wording file {lang}.toml has no use for {', '.join(sorted(unknown))}.")
    return content


def _texts(lang: str, content: dict[str, Any], relation: str, key: str, least: int) -> list[str]:
    texts = content.get(relation, {}).get(key, [])
    where = f"Wording file {lang}.toml, [{relation}] {key}"
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise DataError(f"{where} must be a list of strings.")
    if len(texts) < least or len(set(texts)) < len(texts):
        raise DataError(f"{where} must have at least {least} different wordings.")
    for text in texts:
        if text != unicodedata.normalize("NFC", text) or text != text.strip():
            raise DataError(f"{where}: {text!r} is not NFC or has spaces at its ends.")
    return texts


def _check_slots(lang: str, relation: str, text: str, slots: tuple[str, ...]) -> None:
    if any(text.count(slot) != 1 for slot in slots) or text.count("<") != len(slots):
        raise DataError(
            f"Wording file {lang}.toml, [{relation}]: {text!r} must have {' and '.join(slots)} "
            "exactly once and no other slot."
        )


def _rows(relation: str, lang: str, kind: str, texts: list[str]) -> list[dict[str, Any]]:
    return [
        {"relation": relation, "lang": lang, "kind": kind, "variant": number, "template": text}
        for number, text in enumerate(texts)
    ]
