"""Reader of parallel multiple-choice sets in the published layouts (`align`, section 3.1).

A folder holds `<set>.<lang>.jsonl`, one item per line, in the same order in all languages. What
languages disagree on is kept, for the linter; `items_of` refuses it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from polylore.errors import DataError
from polylore.facts.choices.known import LANGUAGES, SETS, cluster_of, relation_of
from polylore.facts.table_files import records
from polylore.tables import align
from polylore.text import check_language

SHOWN = 5


def read_questions(folder: str | Path) -> pl.DataFrame:
    """Read every `<set>.<lang>.jsonl` of a folder.

    The language is that of the file name; what a row claims is in `lang_in_file`.

    Returns:
        Table ALIGN_QUESTIONS: published sets first, each with its languages in published order.

    Raises:
        DataError: no such file, or a line that fits none of the three layouts.
        ConfigError: a file name with an unknown language code.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}; give the one that holds the sets.")
    files = {}
    for path in sorted(folder.glob("*.jsonl")):
        dataset, dot, lang = path.stem.rpartition(".")
        if dot and dataset:
            files[dataset, check_language(lang)] = path
    if not files:
        raise DataError(f"{folder} holds no file named like xgeo.en.jsonl (<set>.<lang>.jsonl).")
    rows = []
    for dataset, lang in sorted(files, key=_published_order):
        for item, (where, record) in enumerate(records(files[dataset, lang])):
            rows.append({"dataset": dataset, "item": item, "lang": lang} | _row(record, where))
    return align.QUESTIONS.build(rows)


def _published_order(key: tuple[str, str]) -> tuple[int, str, int, str]:
    def rank(names: Any, name: str) -> int:
        return list(names).index(name) if name in names else len(names)

    dataset, lang = key
    return rank(SETS, dataset), dataset, rank(LANGUAGES, lang), lang


def _row(record: Mapping[str, Any], where: str) -> dict[str, Any]:
    try:
        if isinstance(record.get("question"), Mapping):
            return _lettered(record)
        if "choice1" in record:
            return _two_choices(record)
        if "answers" in record:
            return _listed(record)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(f"{where}: the item is incomplete or malformed ({error!r}).") from error
    raise DataError(
        f"{where}: fits no known layout; it has the fields {json.dumps(sorted(record))}."
    )


def _lettered(record: Mapping[str, Any]) -> dict[str, Any]:
    choices = record["question"]["choices"]
    at = list(choices["label"]).index(record["answerKey"])
    return {
        "source_id": str(record["id"]),
        "lang_in_file": record.get("lang"),
        "question": str(record["question"]["stem"]),
    } | _options(choices["text"], at)


def _two_choices(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "source_id": str(record["id"]),
        "kind": str(record["question"]),
        "question": str(record["premise"]),
    } | _options([record["choice1"], record["choice2"]], record["label"])


def _listed(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "source_id": str(record["id"]),
        "lang_in_file": record.get("sent_lang"),
        "question": str(record["questions"]),
    } | _options(record["answers"], record["label"])


def _options(texts: list[Any], gold: Any) -> dict[str, Any]:
    options = [str(text) for text in texts]
    at = int(gold)
    if not 0 <= at < len(options):
        raise ValueError(f"the gold {at} is none of {len(options)} options")
    return {"options": options, "gold_index": at, "object": options[at]}


def without_choice(questions: pl.DataFrame, items: pl.DataFrame) -> dict[str, int]:
    """How many items have fewer than two options, by set; a choice among these says nothing."""
    single = questions.filter(pl.col("options").list.len() < 2).select("dataset", "item")
    lone = items.join(single, on=["dataset", "item"], how="semi", maintain_order="left")
    return dict(lone.group_by("dataset", maintain_order=True).len().iter_rows())


def items_of(questions: pl.DataFrame) -> pl.DataFrame:
    """The parallel items, whatever the language.

    Returns:
        Table ALIGN_ITEMS.

    Raises:
        DataError: languages differ in ids, golds or numbers of options; lists the first five.
    """
    sizes = pl.col("options").list.len()
    for name, what in (
        (pl.col("source_id"), "ids"),
        (pl.col("gold_index"), "golds"),
        (sizes, "numbers of options"),
    ):
        apart = questions.filter(name.n_unique().over("dataset", "item") > 1)
        if apart.height:
            first = apart.select("dataset", "item").unique(maintain_order=True).head(SHOWN)
            shown = ", ".join(f"{dataset} item {item}" for dataset, item in first.iter_rows())
            raise DataError(
                f"Languages have different {what} in {shown}; items must be parallel "
                "(`polylore align lint` lists all places)."
            )
    distinct = questions.unique(["dataset", "item"], keep="first", maintain_order=True)
    keys = list(distinct.select("dataset", "item").iter_rows())
    return align.ITEMS.validate(
        distinct.select("dataset", "item", n_options=sizes, gold_index="gold_index").with_columns(
            pl.format("{}:{}", "dataset", "item").alias("fact_id"),
            pl.Series("relation", [relation_of(*key) for key in keys], dtype=pl.String()),
            pl.Series("cluster", [cluster_of(*key) for key in keys]),
        )
    )
