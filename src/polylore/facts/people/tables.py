"""Fictional items as three tables: subjects, the passages that tell of them, and the probes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from polylore.config import digest
from polylore.errors import DataError
from polylore.facts.table_files import records
from polylore.files import read_parquet, write_parquet
from polylore.tables import inject
from polylore.tables.contract import Table

NAMES = ("items", "passages", "probes")
_SCORED = ("prefix", "target", "suffix", "accepted", "distractors")
"""Columns of probes whose text is given to a model."""


@dataclass(frozen=True)
class Fiction:
    """Items of one study."""

    items: pl.DataFrame
    """Contract `tables.inject.ITEMS`."""
    passages: pl.DataFrame
    """Contract `tables.inject.PASSAGES`."""
    probes: pl.DataFrame
    """Contract `tables.inject.PROBES`."""

    @property
    def languages(self) -> list[str]:
        """Languages of passages and probes."""
        return sorted({*self.passages["lang"], *self.probes["lang"]})

    @property
    def controls(self) -> list[str]:
        """Items that are probed and never injected."""
        return self.items.filter("control")["item_id"].to_list()

    def digest(self) -> str:
        """SHA-256 of everything the tables hold."""
        return digest([getattr(self, name).to_dicts() for name in NAMES])

    def export(self, folder: str | Path) -> None:
        """Write items.parquet, passages.parquet and probes.parquet."""
        for name in NAMES:
            write_parquet(getattr(self, name), Path(folder) / f"{name}.parquet")


def read_fiction(folder: str | Path) -> Fiction:
    """Read the three tables of a folder: Parquet, JSON lines, CSV or TSV each.

    Raises:
        DataError: a table is missing, breaks its contract, or names what another one lacks.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}; give the one that holds the items.")
    frames, files = {}, {}
    for name in NAMES:
        found = [path for path in sorted(folder.glob(f"{name}.*")) if path.is_file()]
        if len(found) != 1:
            raise DataError(
                f"{folder} must hold one file {name}.parquet or {name}.jsonl; it has {len(found)}."
            )
        frames[name], files[name] = _read(found[0], name), str(found[0])
    return checked(Fiction(**frames), files)


def _read(path: Path, name: str) -> pl.DataFrame:
    table = getattr(inject, name.upper())
    if path.suffix == ".parquet":
        frame = read_parquet(path)
        places = [f"{path}, row {n}" for n in range(1, frame.height + 1)]
        _refuse_twins(table, frame.to_dicts(), places)
        whole: pl.DataFrame = table.validate(frame)
        return whole
    rows, places = [], []
    for where, record in records(path):
        unknown = set(record) - set(table.schema)
        if unknown:
            raise DataError(f"{where}: there is no field {', '.join(sorted(unknown))}.")
        lacking = [c.name for c in table.columns if not c.nullable and record.get(c.name) is None]
        if lacking:
            raise DataError(f"{where}: the field {', '.join(lacking)} is missing.")
        rows.append(record)
        places.append(where)
    _refuse_twins(table, rows, places)
    built: pl.DataFrame = table.build(rows)
    return built


def _refuse_twins(table: Table, rows: list[dict[str, Any]], places: list[str]) -> None:
    """Two rows of one identity, by their places in the file."""
    seen: dict[tuple[Any, ...], str] = {}
    for row, where in zip(rows, places, strict=True):
        key = tuple(row.get(name) for name in table.key)
        if None in key or not key:
            continue
        if key in seen:
            raise DataError(
                f"{where}: {', '.join(table.key)} {', '.join(map(str, key))} is also that of "
                f"{seen[key]}; give each row one of its own."
            )
        seen[key] = where


def checked(fiction: Fiction, where: str | Mapping[str, str]) -> Fiction:
    """Refuse tables that do not fit together, or whose texts cannot be scored.

    Args:
        fiction: the tables.
        where: what to call the place they come from, or each table's file by its name.

    Raises:
        DataError: an unknown item, an empty passage or target, text that is not NFC, an unknown
            span or one with a suffix that is missing, or a memorization probe whose target no
            passage of its item has.
    """
    place = {name: f"{where}, {name}" if isinstance(where, str) else where[name] for name in NAMES}
    known = set(fiction.items["item_id"])
    for name in ("passages", "probes"):
        frame = getattr(fiction, name)
        strange = frame.filter(~pl.col("item_id").is_in(list(known)))
        if strange.height:
            raise DataError(
                f"{place[name]}: item {strange['item_id'][0]} of {strange[name[:-1] + '_id'][0]} "
                "is not among the items; add it there, or mend its name."
            )
    for name, key, column in (
        ("passages", "passage_id", "text"),
        ("probes", "probe_id", "target"),
    ):
        frame = getattr(fiction, name)
        empty = frame.filter(pl.col(column).str.strip_chars().str.len_chars() == 0)
        if empty.height:
            raise DataError(
                f"{place[name]}: the {column} of {empty[key][0]} is empty; write one, or leave the "
                "row out."
            )
    for name, key, column in (
        ("passages", "passage_id", "text"),
        *(("probes", "probe_id", column) for column in _SCORED),
    ):
        frame = getattr(fiction, name)
        several = frame.schema[column] == pl.List(pl.String)
        texts = frame.select(key, column).explode(column) if several else frame
        loose = texts.filter(pl.col(column) != pl.col(column).str.normalize("NFC"))
        if loose.height:
            raise DataError(
                f"{place[name]}: the {column} of {loose[key][0]} is not in Unicode form NFC; "
                "normalise the file."
            )
    _check_spans(fiction, place["probes"])
    _check_told(fiction, place["probes"])
    return fiction


def _check_spans(fiction: Fiction, where: str) -> None:
    """What is scored is the target, or target and suffix together.

    Raises:
        DataError: another span, or a suffix to be scored that is not there.
    """
    rows = fiction.probes.select("probe_id", "score_span", "suffix")
    for probe, span, suffix in rows.iter_rows():
        if span not in ("target", inject.TARGET_SUFFIX):
            raise DataError(
                f"{where}: score_span of {probe} is {span!r}; write target, or target_suffix where "
                "the suffix is scored with it."
            )
        if span == inject.TARGET_SUFFIX and not suffix:
            raise DataError(
                f"{where}: {probe} is scored with its suffix, but has none; write one, or set "
                "score_span to target."
            )


def _check_told(fiction: Fiction, where: str) -> None:
    """A memorization probe asks for words of a passage, wherever its item has any in its language.

    Raises:
        DataError: no passage has its target, nor another accepted form of it.
    """
    told = fiction.passages.group_by("item_id", "lang").agg("text")
    texts = {(item, lang): own for item, lang, own in told.iter_rows()}
    asked = fiction.probes.filter(depth="memorization")
    for probe, item, lang, target, others in asked.select(
        "probe_id", "item_id", "lang", "target", "accepted"
    ).iter_rows():
        own = texts.get((item, lang))
        if own and not any(form in text for form in (target, *others) for text in own):
            raise DataError(
                f"{where}: target not found in the text: no passage of item {item} in {lang} has "
                f"{target!r}, for which the memorization probe {probe} asks; mend the target, or "
                "state it in a passage."
            )
