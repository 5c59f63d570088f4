"""Fact sets as plain tables: .jsonl, .csv, .tsv or .parquet, one row per fact and language.

Columns: `relation`, `lang`, `subject`, `object` and, optionally, `fact_id`, `aliases`,
`candidates`, `candidate_ids`, `gold_pos`, `flags`. Without `fact_id` the set must be parallel: the
k-th row of a relation is the same fact in every language. In .csv and .tsv a list is written as a
JSON array or with `|` between its items; .tsv knows no quotes, .csv follows RFC 4180.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from polylore.errors import ConfigError, DataError
from polylore.facts.checks import SLOTS, check_template
from polylore.facts.factset import FactSet
from polylore.facts.rows import Rows, prompts_from_json, templates_frame
from polylore.facts.table_files import SUFFIXES, records

TEXTS = ("relation", "lang", "subject", "object")
LISTS = ("aliases", "candidates", "candidate_ids", "flags")
OPTIONAL = ("fact_id", "gold_pos", *LISTS)


def read_file(
    path: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    templates: str | Path | None = None,
    name: str | None = None,
) -> FactSet:
    """Read a table of facts.

    Args:
        path: the table.
        columns: our column name -> the file's, for those that differ.
        templates: `{lang: {relation: template or [templates]}}` as .json, or a table with the
            columns relation, lang, template (optionally kind and variant). If None,
            `<stem>.templates.*` or `templates.*` beside the table.
        name: name of the set, the file's stem if None.

    Raises:
        ConfigError: an unknown column in the mapping, or an unknown file type.
        DataError: missing columns, empty cells, repeated facts, no templates.
    """
    path = Path(path)
    mapping = _mapping(columns)
    facts = Rows(path.name)
    counter: dict[tuple[str, str], int] = {}
    for number, (where, record) in enumerate(records(path)):
        row = {ours: record.get(theirs) for ours, theirs in mapping.items()}
        missing = [mapping[key] for key in TEXTS if mapping[key] not in record]
        if missing:
            raise DataError(
                f"{where}: the column {', '.join(missing)} is missing; the columns there are "
                f"{', '.join(record)}."
            )
        texts = {key: _text(row[key], key, where) for key in TEXTS}
        if mapping["fact_id"] in record and number and counter:
            raise DataError(f"{where}: there is a fact_id here but not in the rows before.")
        if mapping["fact_id"] in record:
            fact_id = _identity(row["fact_id"], where)
        elif number and not counter:
            raise DataError(f"{where}: there is no fact_id here, but in the rows before.")
        else:
            fact_id = _numbered(texts["relation"], texts["lang"], counter)
        lists = {key: _list(row[key], key, where) for key in LISTS}
        gold_pos = _candidates(lists, row["gold_pos"], texts["object"], fact_id, where)
        facts.add(
            fact_id,
            texts["relation"],
            texts["lang"],
            texts["subject"],
            texts["object"],
            where,
            gold_pos=gold_pos,
            **lists,
        )
    _refuse_uneven(counter, path)
    frame = facts.frame()
    return FactSet(name or path.stem, frame, read_templates(_templates_file(path, templates)))


def _numbered(relation: str, lang: str, counter: dict[tuple[str, str], int]) -> str:
    """`<relation>:<number of the row within relation and language>`."""
    number = counter.get((relation, lang), 0)
    counter[relation, lang] = number + 1
    return f"{relation}:{number}"


def _mapping(columns: Mapping[str, str] | None) -> dict[str, str]:
    known = (*TEXTS, *OPTIONAL)
    unknown = [key for key in columns or {} if key not in known]
    if unknown:
        raise ConfigError(
            f"Unknown column {', '.join(unknown)} in the column mapping; the columns of a fact "
            f"table are {', '.join(known)}."
        )
    return {key: (columns or {}).get(key, key) for key in known}


def _text(value: Any, key: str, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{where}: the {key} is empty or not text; fill it in or delete the row.")
    return value


def _identity(value: Any, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise DataError(f"{where}: fact_id must be a string or an integer, not {value!r}.")
    return str(value)


def _list(value: Any, key: str, where: str) -> Sequence[str]:
    if value is None:
        return ()
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("["):
            try:
                value = json.loads(text)
            except json.JSONDecodeError as error:
                raise DataError(f"{where}: {key} is not a JSON array ({error}).") from error
        else:
            value = [part.strip() for part in text.split("|")] if text else []
    items = value if isinstance(value, list) else None
    if items is None or not all(isinstance(item, str) and item.strip() for item in items):
        raise DataError(f"{where}: {key} must be a list of non-empty strings, not {value!r}.")
    return items


def _candidates(
    lists: dict[str, Sequence[str]], gold_pos: Any, gold: str, fact_id: str, where: str
) -> int | None:
    """Position of the gold; completes `candidate_ids` by position, as parallel lists allow."""
    candidates = lists["candidates"]
    if not candidates:
        return None
    if not lists["candidate_ids"]:
        lists["candidate_ids"] = [f"{fact_id}:{number}" for number in range(len(candidates))]
    if gold_pos is None:
        if candidates.count(gold) != 1:
            raise DataError(
                f"{where}: the object {gold!r} must be among the candidates exactly once, or "
                "gold_pos must say which one it is."
            )
        return candidates.index(gold)
    try:
        position = int(gold_pos)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: gold_pos must be an integer, not {gold_pos!r}.") from error
    if not 0 <= position < len(candidates) or candidates[position] != gold:
        raise DataError(
            f"{where}: gold_pos {position} does not point at the object {gold!r} among the "
            f"{len(candidates)} candidates."
        )
    return position


def _refuse_uneven(counter: dict[tuple[str, str], int], path: Path) -> None:
    sizes: dict[str, dict[str, int]] = {}
    for (relation, lang), n in counter.items():
        sizes.setdefault(relation, {})[lang] = n
    for relation, by_lang in sizes.items():
        if len(set(by_lang.values())) > 1:
            shown = ", ".join(f"{lang} {n}" for lang, n in by_lang.items())
            raise DataError(
                f"{path}: without fact_id the rows must be parallel, but {relation} has {shown} "
                "rows; add a fact_id column."
            )


def _templates_file(path: Path, given: str | Path | None) -> Path:
    if given is not None:
        return Path(given)
    names = [f"{path.stem}.templates", "templates"]
    for name in names:
        for suffix in (".json", *SUFFIXES):
            sibling = path.with_name(name + suffix)
            if sibling.is_file() and sibling != path:
                return sibling
    raise DataError(
        f"{path} has no templates beside it; write {names[0]}.json as {{language: {{relation: "
        "template}}, or name the file of templates."
    )


def read_templates(path: str | Path) -> pl.DataFrame:
    """Read templates (contract `tables.raw.TEMPLATES`) from .json or a table; see `read_file`.

    Raises:
        DataError: missing file or column, or a template without its slots.
    """
    path = Path(path)
    rows: list[tuple[str, str, str, int, str]] = []
    if path.suffix.lower() == ".json":
        for lang, relations in prompts_from_json(path).items():
            for relation, wordings in relations.items():
                rows += [(relation, lang, "prompt", v, text) for v, text in enumerate(wordings)]
        return templates_frame(rows)
    counter: dict[tuple[str, str, str], int] = {}
    for where, record in records(path):
        relation, lang, text = (
            _text(record.get(key), key, where) for key in ("relation", "lang", "template")
        )
        kind = record.get("kind") or "prompt"
        if kind not in SLOTS:
            raise DataError(f"{where}: kind must be one of {', '.join(SLOTS)}, not {kind!r}.")
        check_template(text, where, kind)
        number = counter.get((relation, lang, kind), 0)
        counter[relation, lang, kind] = number + 1
        variant = record.get("variant")
        try:
            rows.append((relation, lang, kind, number if variant is None else int(variant), text))
        except (TypeError, ValueError) as error:
            raise DataError(f"{where}: variant must be an integer, not {variant!r}.") from error
    return templates_frame(rows)
