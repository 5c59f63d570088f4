"""Lexicons as plain tables: long (a row per form) or wide (a column per language).

Long: `concept_id`, `lang`, `form` and, optionally, `rank`, `aliases`, `sense_id`, `senses`, `pos`,
`n_slots`, `erratum`, `source`, `licence`; without `rank` the order of rows decides. Wide: one row
per concept, one column per language whose cells list the forms, the first form first. A list is a
JSON array, a Python list of strings, or has `|` between its items. Header cells are stripped.
"""

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from polylore.errors import ConfigError, DataError
from polylore.facts.lexicon.lexicon import Lexicon
from polylore.facts.lexicon.slots import drop_row
from polylore.facts.table_files import records
from polylore.tables.lexicon import LEXICON, LEXICON_DROPS
from polylore.text import check_language

LONG = ("concept_id", "lang", "form")
IDS = ("concept_id", "id", "word_original")
"""Names that the column of the concept may have in a wide table."""
_ABOUT = frozenset({*IDS, "pos", "source", "licence", "licence_url", "Unnamed: 0", ""})


def read_words(path: str | Path, languages: Sequence[str] | None = None) -> Lexicon:
    """Read a long or wide table of words.

    Raises:
        ConfigError: a language that the table does not have.
        DataError: a missing column, an empty form, an unknown language, or a duplicate
            (concept, language, rank); the message names the line.
    """
    path = Path(path)
    rows: list[dict[str, Any]] = []
    places: dict[tuple[str, str, int], str] = {}
    empty: list[str] = []
    for where, padded in records(path):
        record = {str(name).strip(): value for name, value in padded.items()}
        found = _long(record, where, places) if "form" in record else _wide(record, where, empty)
        for row in found:
            spot = (row["concept_id"], row["lang"], row["rank"])
            if spot in places:
                raise DataError(
                    f"{where}: concept {spot[0]!r} has rank {spot[2]} in {spot[1]} a second time "
                    f"(first: {places[spot]}); a rank may occur once."
                )
            places[spot] = where
            rows.append({"source": path.name, **row})
    for lang in {row["lang"]: None for row in rows}:
        _checked(lang, path)
    drops = [drop_row("cells_with_a_form", "cells", len(rows), empty)]
    lexicon = Lexicon(path.stem, LEXICON.build(rows), LEXICON_DROPS.build(drops))
    return lexicon if languages is None else lexicon.filter(languages=languages)


def _checked(lang: str, path: Path) -> None:
    try:
        check_language(lang)
    except ConfigError as error:
        raise DataError(f"{path}: {error}") from error


def _long(
    record: Mapping[str, Any], where: str, places: Mapping[tuple[str, str, int], str]
) -> Iterator[dict[str, Any]]:
    concept, lang, form = (_text(record.get(name), name, where) for name in LONG)
    rank = record.get("rank")
    if rank is None:
        rank = next(n for n in range(len(places) + 1) if (concept, lang, n) not in places)
    senses = _list(record.get("senses"), "senses", where)
    sense = record.get("sense_id")
    if sense is not None:
        senses = list(dict.fromkeys([str(sense), *senses]))
    yield {
        "concept_id": concept,
        "lang": lang,
        "rank": _integer(rank, "rank", where),
        "form": form,
        "aliases": _list(record.get("aliases"), "aliases", where),
        "sense_id": senses[0] if senses else None,
        "senses": senses,
        "pos": record.get("pos"),
        "n_slots": _integer(record.get("n_slots") or 1, "n_slots", where),
        "erratum": str(record.get("erratum") or "").lower() in ("1", "true"),
        "flags": _list(record.get("flags"), "flags", where),
        **{k: record[k] for k in ("source", "licence") if record.get(k) is not None},
    }


def _wide(record: Mapping[str, Any], where: str, empty: list[str]) -> Iterator[dict[str, Any]]:
    name = next((name for name in IDS if name in record), None)
    if name is None:
        raise DataError(
            f"{where}: a table of words needs the columns concept_id, lang and form, or concept_id "
            "and one column per language."
        )
    concept = _text(record[name], name, where)
    for lang, cell in record.items():
        if lang in _ABOUT:
            continue
        forms = _list(cell, lang, where)
        if not forms:
            empty.append(f"{concept} {lang}")
        for rank, form in enumerate(dict.fromkeys(forms)):
            yield {
                "concept_id": concept,
                "lang": lang,
                "rank": rank,
                "form": form,
                "aliases": [],
                "senses": [],
                "pos": record.get("pos"),
                "n_slots": 1,
                "erratum": False,
                "flags": [],
                **{k: record[k] for k in ("source", "licence") if record.get(k) is not None},
            }


def _text(value: Any, name: str, where: str) -> str:
    text = "" if value is None else str(value).strip()
    if not text:
        raise DataError(f"{where}: {name} is empty or missing; it must be a string with text.")
    return text


def _integer(value: Any, name: str, where: str) -> int:
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: {name} must be a whole number, not {value!r}.") from error


def _list(value: Any, name: str, where: str) -> list[str]:
    items = value
    if value is None:
        return []
    if isinstance(value, str):
        items = _parsed(value.strip(), name, where)
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise DataError(f"{where}: {name} must be a list of strings, not {value!r}.")
    return [item.strip() for item in items if item.strip()]


def _parsed(text: str, name: str, where: str) -> Any:
    if not text.startswith("["):
        return text.split("|")
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        try:
            # Published tables hold Python lists; only literals are read, nothing is run.
            return ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
            raise DataError(f"{where}: {name} is not a list that can be read: {text!r}.") from error
