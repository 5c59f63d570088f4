"""Readers of Multi-SimLex as its authors publish it: tables with the columns `<LANG> 1/2`.

Two shapes are known. One table for all languages has a pair of columns for each, English among
them. A table of one language has the English words in its own pair of columns and the words of the
language in `translation 1/2`. There are no sense rows and no citations, so every form is taken as
it stands. Header cells are stripped: a published file pads them with spaces.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polylore.errors import ConfigError, DataError
from polylore.facts.lexicon.lexicon import Lexicon
from polylore.facts.lexicon.slots import FirstForm, Slot, lexicon_of
from polylore.facts.table_files import records

CODES = {
    "ENG": "en",
    "CMN": "zh",
    "CYM": "cy",
    "EST": "et",
    "FIN": "fi",
    "FRA": "fr",
    "POL": "pl",
    "RUS": "ru",
    "SPA": "es",
    "YUE": "yue",
    "ARA": "ar",
    "HEB": "he",
    "SWA": "sw",
}
"""Names of the columns -> language code."""
_NAME = re.compile(r"([A-Za-z]{3}) ([12])")
_POS = {"N": "nouns", "V": "verbs", "A": "adjectives", "ADJ": "adjectives", "R": "adverbs"}
_POS |= {"ADV": "adverbs", "NOUN": "nouns", "VERB": "verbs"}


def is_raw_simlex(header: Sequence[str]) -> bool:
    """Whether a table's header is that of this layout."""
    names = {str(name).strip() for name in header}
    found = {match[1] for name in names if (match := _NAME.fullmatch(name))}
    return "ID" in names and any({f"{code} 1", f"{code} 2"} <= names for code in found)


def read_raw_simlex(
    paths: Sequence[str | Path],
    languages: Sequence[str] | None = None,
    *,
    first_form: FirstForm = "majority",
    pos: str | None = "nouns",
) -> Lexicon:
    """Read one table of all languages, or several tables of one language each.

    Raises:
        ConfigError: a language that the tables do not have.
        DataError: a table breaks its layout; the message names the line.
    """
    words: dict[tuple[int, int], dict[str, str]] = {}
    kinds: dict[int, str] = {}
    there: dict[str, None] = {"en": None}
    for path in paths:
        for where, padded in records(Path(path)):
            row = {str(name).strip(): value for name, value in padded.items()}
            pair = _number(row, where)
            kinds[pair] = _pos(row, where)
            for lang, position, form in _forms(row, where):
                there[lang] = None
                earlier = words.setdefault((pair, position), {}).setdefault(lang, form)
                if earlier != form:
                    raise DataError(
                        f"{where}: pair {pair} has {form!r} in {lang}, but {earlier!r} before."
                    )
    unknown = [lang for lang in languages or () if lang not in there]
    if unknown:
        raise ConfigError(
            f"{paths[0]} has no language {', '.join(map(repr, unknown))}; there are "
            f"{', '.join(there)}."
        )
    slots = [
        Slot(pair, position, forms["en"], kinds[pair], forms)
        for (pair, position), forms in words.items()
        if "en" in forms
    ]
    return lexicon_of(
        slots,
        list(dict.fromkeys(languages or there)),
        name="Multi-SimLex",
        source="Multi-SimLex",
        licence=None,
        pos=pos,
        first_form=first_form,
    )


def _number(row: Mapping[str, Any], where: str) -> int:
    try:
        return int(row["ID"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where}: ID must be the number of the pair.") from error


def _pos(row: Mapping[str, Any], where: str) -> str:
    text = str(row.get("PoS") or row.get("POS") or "").strip()
    if not text:
        raise DataError(f"{where}: PoS must say the part of speech.")
    return _POS.get(text.upper(), text.lower())


def _forms(row: Mapping[str, Any], where: str) -> list[tuple[str, int, str]]:
    pairs = [match for name in row if (match := _NAME.fullmatch(name))]
    translated = "translation 1" in row and "translation 2" in row
    if translated and len({match[1] for match in pairs}) != 1:
        raise DataError(
            f"{where}: a table with the columns translation 1 and translation 2 must have the "
            "columns of one language."
        )
    found = []
    for match in pairs:
        code, position = match[1].upper(), int(match[2])
        lang = CODES.get(code)
        if lang is None:
            raise DataError(f"{where}: column {match[0]!r} is of no language of Multi-SimLex.")
        text = _text(row[match[0]])
        if translated:
            found.append(("en", position, text))
            found.append((lang, position, _text(row[f"translation {position}"])))
        else:
            found.append((lang, position, text))
    return [(lang, position, text) for lang, position, text in found if text]


def _text(value: Any) -> str:
    return " ".join(str(value or "").split())
