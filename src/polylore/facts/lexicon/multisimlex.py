"""Reader of Multi-SimLex in Concepticon's layout (specification of `patch`, section 3).

2,244 rows are word senses; each stands in one or more slots, the places of rated pairs. Data:
Vulić et al. 2020, through Concepticon (CC BY 4.0).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polylore.errors import ConfigError, DataError
from polylore.facts.lexicon.lexicon import Lexicon
from polylore.facts.lexicon.recovery import Recovery, recover
from polylore.facts.lexicon.slots import FirstForm, Slot, drop_row, lexicon_of
from polylore.facts.table_files import records

COLUMNS = {
    "en": "ENGLISH",
    "zh": "CHINESE",
    "cy": "WELSH",
    "et": "ESTONIAN",
    "fi": "FINNISH",
    "fr": "FRENCH",
    "pl": "POLISH",
    "ru": "RUSSIAN",
    "es": "SPANISH",
    "yue": "CANTONESE",
    "ar": "ARABIC",
    "he": "HEBREW",
}
"""Language -> its column; the ten of the published study first."""
ERRATA = {"zh": "MANDARIN", "fr": "FRENCH", "ru": "RUSSIAN", "es": "SPANISH"}
SOURCE = "Multi-SimLex (Concepticon Vulic-2020-2244)"
LICENCE = "CC BY 4.0"
_PLAIN = ("NUMBER", "POS", "SIMLEX_IDS")


@dataclass(frozen=True)
class Cell:
    """How one cell was divided among its slots."""

    row: str
    lang: str
    words: int
    slots: int
    how: str


@dataclass(frozen=True)
class Slots:
    """Everything the file says, slot by slot."""

    slots: list[Slot]
    cells: list[Cell]
    languages: list[str]
    rows: int


def is_multisimlex(header: Sequence[str]) -> bool:
    """Whether a table's header is that of this layout."""
    return {"SIMLEX_IDS", "ENGLISH_IN_SOURCE"} <= set(header)


def read_multisimlex(
    path: str | Path,
    languages: Sequence[str] | None = None,
    *,
    recovery: Recovery = "segment",
    first_form: FirstForm = "majority",
    pos: str | None = "nouns",
) -> Lexicon:
    """Read the lexicon of a Multi-SimLex file.

    Args:
        path: the TSV file.
        languages: languages that every slot must have; all of the file if None.
        recovery: how multi-word forms are found; see `recovery.recover`.
        first_form: which form is shown in prompts: majority, or stacking (published).
        pos: part of speech to keep (nouns, verbs, adjectives, adverbs); all if None.

    Raises:
        ConfigError: a language that the file does not have.
        DataError: the file breaks its layout; the message names the line.
    """
    read = read_slots(path, recovery)
    unknown = [lang for lang in languages or () if lang not in read.languages]
    if unknown:
        raise ConfigError(
            f"{path} has no language {', '.join(map(repr, unknown))}; it has "
            f"{', '.join(read.languages)}."
        )
    lost = [f"{c.row} {c.lang}" for c in read.cells if c.how in ("unresolved", "missing")]
    drops = [drop_row("resolved_cells", "cells", len(read.cells) - len(lost), lost)]
    return lexicon_of(
        read.slots,
        list(dict.fromkeys(languages or read.languages)),
        name="Multi-SimLex",
        source=SOURCE,
        licence=LICENCE,
        pos=pos,
        first_form=first_form,
        drops=drops,
    )


def read_slots(path: str | Path, recovery: Recovery = "segment") -> Slots:
    """All slots of the file, with the forms of each language that it has.

    Raises:
        DataError: a missing column, or a cell with another number of values than slots.
    """
    slots: list[Slot] = []
    cells: list[Cell] = []
    languages: list[str] = []
    rows = 0
    for where, row in records(Path(path)):
        if not rows:
            languages = _languages(row, str(path))
        rows += 1
        slots += _row(row, where, languages, recovery, cells)
    return Slots(slots, cells, languages, rows)


def _languages(row: dict[str, Any], path: str) -> list[str]:
    there = [lang for lang, name in COLUMNS.items() if name in row and f"{name}_IN_SOURCE" in row]
    missing = [name for name in _PLAIN if name not in row]
    if missing or "en" not in there:
        raise DataError(
            f"{path} lacks the column {(missing or ['ENGLISH_IN_SOURCE'])[0]}; it must have the "
            "layout of Concepticon's list Vulic-2020-2244."
        )
    return there


def _row(
    row: dict[str, Any], where: str, languages: list[str], recovery: Recovery, cells: list[Cell]
) -> Iterator[Slot]:
    places = [_place(text, where) for text in (row["SIMLEX_IDS"] or "").split()]
    if not places:
        raise DataError(f"{where}: SIMLEX_IDS names no slot.")
    n = len(places)
    forms: dict[str, tuple[str, ...]] = {}
    for lang in languages:
        cell, citation = (row[f"{COLUMNS[lang]}{end}"] or "" for end in ("_IN_SOURCE", ""))
        found = recover(cell, citation, n, recovery)
        cells.append(Cell(row["NUMBER"], lang, len(cell.split()), n, found.how))
        if found.forms is not None:
            forms[lang] = found.forms
    if "en" not in forms:
        raise DataError(f"{where}: the English forms cannot be divided among its {n} slots.")
    scores = _numbers(row, "ENGLISH_SCORE", n, where)
    errata = {lang: _numbers(row, f"{name}_ERRATUM", n, where) for lang, name in ERRATA.items()}
    for at, (pair, position) in enumerate(places):
        yield Slot(
            pair,
            position,
            forms["en"][at],
            row["POS"],
            {lang: found[at] for lang, found in forms.items()},
            row["NUMBER"],
            None if scores is None else scores[at],
            frozenset(lang for lang, marks in errata.items() if marks is not None and marks[at]),
        )


def _place(text: str, where: str) -> tuple[int, int]:
    pair, _, position = text.partition(":")
    if not pair.isdecimal() or position not in ("1", "2"):
        raise DataError(f"{where}: {text!r} in SIMLEX_IDS is not PAIR:1 or PAIR:2.")
    return int(pair), int(position)


def _numbers(row: dict[str, Any], column: str, n: int, where: str) -> list[float] | None:
    if column not in row:
        return None
    try:
        values = [float(text) for text in (row[column] or "").split()]
    except ValueError as error:
        raise DataError(f"{where}: {column} must hold numbers ({error}).") from error
    if len(values) != n:
        raise DataError(f"{where}: {column} has {len(values)} values for {n} slots.")
    return values
