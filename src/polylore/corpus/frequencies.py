"""Published counts of facts in a corpus, read as exposure without a checkpoint axis.

Layout (specification of `trace`, section 3.2): `{lang: {relation: [{subject, object, index,
frequency}]}}`, string level, all document languages mixed. Counts of different units must never be
summed or averaged, so every source states its own.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from polylore.errors import ConfigError, DataError
from polylore.facts.factset import FactSet
from polylore.files import read_json
from polylore.tables import raw

Kind = Literal["wimbd", "infini-gram"]


@dataclass(frozen=True)
class Counting:
    """How a source counted."""

    unit: str
    """What one count is."""
    policy_id: str
    """Counting policy."""
    exact: bool | None
    """Whether all counts are exact; None if each row says so or nobody knows."""


COUNTING: dict[str, Counting] = {
    # Phrase conjunction over documents, in an index that folds case.
    "wimbd": Counting("document", "wimbd-phrase-conjunction", True),
    # Pairs within 1,000 tokens, case-sensitive; estimated where a clause passes its cap, which
    # only an optional flag per row tells.
    "infini-gram": Counting("window:1000", "infini-gram-pairs-case-sensitive", None),
}
"""Published kinds of frequency files."""


def read_frequencies(
    path: str | Path, factset: FactSet, *, kind: Kind = "wimbd", source: str | None = None
) -> pl.DataFrame:
    """Read a frequency file as exposure of kind `total`; contract `tables.raw.EXPOSURE`.

    There is one row per (fact, language) of the fact set, in its order. `count` is null where the
    file has no number for the fact; such facts belong in no fit.

    Args:
        path: the file.
        factset: facts with the file's indices as fact_id; languages and relations of the file
            that the set lacks are skipped.
        kind: how the file was counted, see `COUNTING`.
        source: name of the source; the file's stem if None.

    Raises:
        ConfigError: unknown kind.
        DataError: another layout; a count that is negative, fractional, NaN or text; a pair of
            strings other than the fact set's; an index twice; or no fact of the set at all.
    """
    if kind not in COUNTING:
        raise ConfigError(f"kind is {kind!r}; it must be one of {', '.join(COUNTING)}.")
    path, counting = Path(path), COUNTING[kind]
    known = set(factset.languages), set(factset.relations)
    counts: dict[tuple[str, str], tuple[int | None, bool | None]] = {}
    columns = factset.facts.select("fact_id", "lang", "relation", "subject", "object")
    strings = {row[:2]: row[2:] for row in columns.iter_rows()}
    for lang, relation, where, record in _records(path, *known):
        key = str(record.get("index")), lang
        if key not in strings:
            continue
        pair = relation, record.get("subject"), record.get("object")
        if pair != strings[key]:
            raise DataError(
                f"{where}: index {key[0]} is {pair} here but {strings[key]} in the fact set "
                f"{factset.name}; use the facts that were counted."
            )
        if key in counts:
            raise DataError(f"{where}: index {key[0]} occurs more than once in '{lang}'.")
        approx = record.get("approx")
        if approx is not None and not isinstance(approx, bool):
            raise DataError(f"{where}: approx must be true or false, not {approx!r}.")
        exact = counting.exact if approx is None else not approx
        counts[key] = _count(record.get("frequency"), where), exact
    if not counts:
        raise DataError(f"{path} holds no fact of the set {factset.name}; compare the indices.")
    nothing = (None, None)
    found = [counts.get(key, nothing) for key in strings]
    return raw.EXPOSURE.validate(
        columns.select(
            "fact_id",
            "lang",
            pl.Series("count", [count for count, _ in found], dtype=pl.Int64),
            pl.Series("exact", [exact for _, exact in found], dtype=pl.Boolean),
            source=pl.lit(source or path.stem),
            unit=pl.lit(counting.unit),
            exposure_kind=pl.lit("total"),
            lang_conditioned=pl.lit(value=False),
            policy_id=pl.lit(counting.policy_id),
        )
    )


def _records(
    path: Path, languages: set[str], relations: set[str]
) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """(language, relation, place, record) of the languages and relations asked for."""
    content = read_json(path)
    if not isinstance(content, dict) or not content:
        raise DataError(f"{path} must hold {{language: {{relation: [records]}}}}.")
    for lang, groups in content.items():
        if not isinstance(groups, dict):
            raise DataError(f"{path}, {lang}: must be an object {{relation: [records]}}.")
        if lang not in languages:
            continue
        for relation, records in groups.items():
            if not isinstance(records, list):
                raise DataError(f"{path}, {lang}, {relation}: must be a list of records.")
            if relation not in relations:
                continue
            for number, record in enumerate(records):
                where = f"{path}, {lang}, {relation}[{number}]"
                if not isinstance(record, dict):
                    raise DataError(f"{where}: must be an object.")
                yield lang, relation, where, record


def _count(value: Any, where: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"{where}: frequency must be a number, not {value!r}.")
    if math.isnan(value) or math.isinf(value) or value < 0 or value != int(value):
        raise DataError(f"{where}: frequency must be a whole number of at least 0, not {value!r}.")
    return int(value)


def contradictions(exposure: pl.DataFrame, factset: FactSet) -> pl.DataFrame:
    """Pairs of strings that one source counts differently; empty if all is well.

    Within a source, facts and languages with equal (subject, object) were counted by the same
    query, so their counts must be equal.

    Returns:
        source, unit, subject, object, counts (the different ones, ascending), n (rows).
    """
    strings = factset.facts.select("fact_id", "lang", "subject", "object")
    return (
        exposure.filter(pl.col("count").is_not_null())
        .join(strings, on=["fact_id", "lang"], how="inner", maintain_order="left")
        .group_by("source", "unit", "subject", "object", maintain_order=True)
        .agg(counts=pl.col("count").unique().sort(), n=pl.len())
        .filter(pl.col("counts").list.len() > 1)
    )
