"""What all fact readers share: collecting rows, choosing languages, reading template files."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from polylore.errors import ConfigError, DataError
from polylore.facts.checks import check_template
from polylore.files import read_json
from polylore.tables import raw


class Rows:
    """Collects fact rows and refuses contradictions while file and line are still known."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._columns: dict[str, list[Any]] = {name: [] for name in raw.FACTS.schema}
        self._seen: dict[tuple[str, str], str] = {}
        self._relation: dict[str, tuple[str, str]] = {}

    def add(
        self,
        fact_id: str,
        relation: str,
        lang: str,
        subject: str,
        gold: str,
        where: str,
        *,
        aliases: Sequence[str] = (),
        candidate_ids: Sequence[str] = (),
        candidates: Sequence[str] = (),
        gold_pos: int | None = None,
        flags: Sequence[str] = (),
    ) -> None:
        """Add one row.

        Raises:
            DataError: empty text, the fact twice in a language, or its id already means another
                relation; the message begins with `where`.
        """
        named = {"fact_id": fact_id, "relation": relation, "subject": subject, "object": gold}
        for key, value in named.items():
            if not value.strip():
                raise DataError(f"{where}: the {key} is empty; fill it in or delete the row.")
        known, there = self._relation.setdefault(fact_id, (relation, where))
        if known != relation:
            raise DataError(
                f"{where}: the fact {fact_id} belongs to {relation} here but to {known} at "
                f"{there}; an index must mean the same relation in every language."
            )
        if (fact_id, lang) in self._seen:
            raise DataError(
                f"{where}: the fact {fact_id} occurs twice in '{lang}', first at "
                f"{self._seen[fact_id, lang]}; give it another index or delete one."
            )
        self._seen[fact_id, lang] = where
        values = (
            fact_id,
            relation,
            lang,
            subject,
            gold,
            aliases,
            candidate_ids,
            candidates,
            gold_pos,
            self._source,
            flags,
        )
        for column, cell in zip(self._columns.values(), values, strict=True):
            column.append(cell)

    def frame(self) -> pl.DataFrame:
        """The collected rows as a frame of the contract `tables.raw.FACTS`."""
        return pl.DataFrame(
            [
                list_column(name, cells) if dtype == raw.STRINGS else pl.Series(name, cells, dtype)
                for (name, dtype), cells in zip(
                    raw.FACTS.schema.items(), self._columns.values(), strict=True
                )
            ]
        )


def list_column(name: str, cells: Sequence[Sequence[str]]) -> pl.Series:
    """A column of string lists, built from one flat column.

    Polars makes a series of every inner list otherwise, which takes a minute for a million rows.
    """
    flat = pl.DataFrame(
        {
            "row": pl.Series(
                [row for row, cell in enumerate(cells) for _ in cell], dtype=pl.UInt32
            ),
            name: pl.Series([item for cell in cells for item in cell], dtype=pl.String),
        }
    )
    rows = pl.DataFrame({"row": pl.Series(range(len(cells)), dtype=pl.UInt32)})
    lists = flat.group_by("row", maintain_order=True).agg(name)
    joined = rows.join(lists, on="row", how="left", maintain_order="left")
    return joined[name].fill_null(pl.Series([[]], dtype=raw.STRINGS))


def templates_frame(rows: Sequence[tuple[str, str, str, int, str]]) -> pl.DataFrame:
    """Rows (relation, lang, kind, variant, template) as contract `tables.raw.TEMPLATES`."""
    return pl.DataFrame(rows, schema=raw.TEMPLATES.schema, orient="row")


def select_languages(
    there: Iterable[str], languages: Sequence[str] | None, where: str | Path
) -> list[str]:
    """The languages to read, in the order asked for.

    Raises:
        ConfigError: a language that is not there; the message lists those that are.
    """
    present = list(there)
    if languages is None:
        return present
    unknown = [code for code in languages if code not in present]
    if unknown:
        raise ConfigError(
            f"{where} has no language {', '.join(map(repr, unknown))}; it has {', '.join(present)}."
        )
    return list(dict.fromkeys(languages))


def prompts_from_json(path: Path) -> dict[str, dict[str, list[str]]]:
    """Read `{lang: {relation: template or [templates]}}`.

    Raises:
        DataError: another layout, or a template without its slots.
    """
    content = read_json(path)
    result: dict[str, dict[str, list[str]]] = {}
    if not isinstance(content, dict) or not content:
        raise DataError(f"{path} must hold {{language: {{relation: template}}}}.")
    for lang, relations in content.items():
        if not isinstance(relations, dict):
            raise DataError(f"{path}, {lang}: must be an object {{relation: template}}.")
        result[lang] = {}
        for relation, value in relations.items():
            wordings = [value] if isinstance(value, str) else value
            if not isinstance(wordings, list) or not wordings:
                raise DataError(f"{path}, {lang}, {relation}: must be a template or a list.")
            for wording in wordings:
                if not isinstance(wording, str):
                    raise DataError(f"{path}, {lang}, {relation}: a template must be a string.")
                check_template(wording, f"{path}, {lang}, {relation}")
            result[lang][relation] = list(wordings)
    return result
