"""Import of answers that were graded elsewhere (specification of `trace`, section 3.1).

`results_details.json` of the published code holds no text, only which facts were right under the
paper matcher, so the import is label-only: it can be analysed, not graded again.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from polylore.errors import DataError
from polylore.facts.factset import FactSet
from polylore.files import read_json
from polylore.tables import derived, raw

IMPORTED = "imported"
"""Stands for prompt, number format and stop reason, which the file does not tell."""


@dataclass(frozen=True)
class ImportedRun:
    """What such a file says about one checkpoint."""

    answers: pl.DataFrame
    """Contract `tables.raw.ANSWERS`, one row per asked fact, without text."""
    grades: pl.DataFrame
    """Contract `tables.derived.GRADES`, matcher `paper`."""


def read_results(path: str | Path, factset: FactSet, ckpt_id: str) -> ImportedRun:
    """Read `{lang: {correct, total, correct_indices, total_indices_per_relation, ...}}`.

    Asked are the indices listed per relation; where only their numbers are given, all facts of
    the set in that language.

    Args:
        path: the file.
        factset: facts with the file's indices as fact_id.
        ckpt_id: checkpoint that the file is about.

    Raises:
        DataError: another layout, a language or index that the fact set lacks, an index twice, or
            numbers that contradict each other.
    """
    path = Path(path)
    content = read_json(path)
    if not isinstance(content, dict) or not content:
        raise DataError(f"{path} must hold {{language: {{correct, total, correct_indices, ...}}}}.")
    asked: list[tuple[str, str, bool]] = []
    for lang, record in content.items():
        asked += _language(lang, record, factset, f"{path}, {lang}")
    keys = pl.DataFrame(
        asked, schema={"fact_id": pl.String, "lang": pl.String, "y": pl.Boolean}, orient="row"
    ).with_columns(
        pl.lit(ckpt_id).alias("ckpt_id"),
        pl.lit(0, dtype=pl.Int32).alias("variant"),
        pl.col("fact_id").replace_strict(factset.relation_of).alias("relation"),
    )
    answers = keys.select(
        "ckpt_id",
        "fact_id",
        "lang",
        "variant",
        mode=pl.lit("generate"),
        prompt_id=pl.lit(IMPORTED),
        dtype=pl.lit(IMPORTED),
    )
    grades = keys.select(
        *("ckpt_id", "fact_id", "relation", "lang", "variant", "y"),
        matcher=pl.lit("paper"),
        truncated=pl.lit(value=False),
    )
    return ImportedRun(raw.ANSWERS.validate(answers), derived.GRADES.validate(grades))


def _language(lang: str, record: Any, factset: FactSet, where: str) -> list[tuple[str, str, bool]]:
    """(fact_id, lang, right) of every asked fact."""
    if lang not in factset.languages:
        raise DataError(
            f"{where}: the fact set {factset.name} has no language '{lang}'; it has "
            f"{', '.join(factset.languages)}."
        )
    if not isinstance(record, dict) or not isinstance(record.get("correct_indices"), list):
        raise DataError(f"{where}: must be an object with the list correct_indices.")
    there = {fact_id for fact_id, code in factset.position if code == lang}
    right = _indices(record["correct_indices"], there, factset, f"{where}, correct_indices")
    groups = record.get("total_indices_per_relation", {})
    if not isinstance(groups, dict):
        raise DataError(f"{where}: total_indices_per_relation must be an object.")
    if groups and all(isinstance(value, list) for value in groups.values()):
        flat = [index for value in groups.values() for index in value]
        asked = _indices(flat, there, factset, f"{where}, total_indices_per_relation")
    else:
        asked = [fact_id for fact_id in factset.fact_ids if fact_id in there]
    stray = sorted(set(right) - set(asked))
    if stray:
        raise DataError(f"{where}: right but not asked are the indices {', '.join(stray[:10])}.")
    for key, found in (("correct", len(right)), ("total", len(asked))):
        if key in record and record[key] != found:
            raise DataError(
                f"{where}: {key} is {record[key]}, but {found} indices were found; use the fact "
                "set that the run was made with."
            )
    hits = set(right)
    return [(fact_id, lang, fact_id in hits) for fact_id in asked]


def _indices(values: list[Any], there: set[str], factset: FactSet, where: str) -> list[str]:
    ids = [str(value) for value in values]
    unknown = [one for one in ids if one not in there]
    if unknown:
        raise DataError(
            f"{where}: {len(unknown)} indices are not in the fact set {factset.name}, the first "
            f"are {', '.join(unknown[:10])}."
        )
    if len(set(ids)) != len(ids):
        seen: set[str] = set()
        twice = [one for one in ids if one in seen or seen.add(one)]  # type: ignore[func-returns-value]
        raise DataError(f"{where}: listed more than once are {', '.join(twice[:10])}.")
    return ids
