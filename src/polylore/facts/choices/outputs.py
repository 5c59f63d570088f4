"""Readers of published answers and of other people's output files.

The published layout is a table with the columns model, task, lang, item, output and gold (a letter)
as Parquet, CSV or JSON Lines; other columns are left alone. The published code wrote JSON Lines of
one model, set and language with `res`, `label` and `uuid`.
"""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from polylore.errors import ConfigError, DataError
from polylore.facts.choices.known import LANGUAGES, SETS, cluster_of, relation_of
from polylore.files import read_parquet
from polylore.tables import align

COLUMNS = ("model", "task", "lang", "item", "output", "gold")
LETTERS = "ABCDE"
IMPORTED = "imported"
_CELL = ["model", "task", "lang"]
SHOWN = 5
_PLACE = pl.col("gold").replace_strict(
    {letter: place for place, letter in enumerate(LETTERS)},
    default=None,
    return_dtype=pl.Int32(),
)


@dataclass(frozen=True)
class Outputs:
    """Answers of complete cells, and what is incomplete."""

    answers: pl.DataFrame
    """Contract `tables.align.ANSWERS`."""
    items: pl.DataFrame
    """Contract `tables.align.ITEMS`."""
    incomplete: pl.DataFrame
    """Contract `tables.align.INCOMPLETE`: cells with missing rows; they have no answers here."""


def read_outputs(path: str | Path, items: pl.DataFrame | None = None) -> Outputs:
    """Read answers to the published sets, or to other sets whose items are given.

    Args:
        path: a .parquet, .csv, .jsonl or .ndjson file with the columns `COLUMNS`.
        items: table ALIGN_ITEMS of the sets; by default the four published ones.

    Raises:
        ConfigError: unknown file type.
        DataError: a missing column, an unknown set or language, an item that the set does not have,
            a row given twice, a gold letter beyond the options, or golds that differ between rows
            of one item or from the items given.
    """
    path = Path(path)
    frame = _frame(path)
    absent = [name for name in COLUMNS if name not in frame.columns]
    if absent:
        raise DataError(f"{path} lacks the column {', '.join(absent)}; it has {frame.columns}.")
    return outputs_of(frame.select(COLUMNS), items, str(path))


def read_result_lines(
    path: str | Path, *, model: str, task: str, lang: str, items: pl.DataFrame | None = None
) -> Outputs:
    """Read the published code's own lines: `res` (output), `label` (gold), `uuid` (item).

    A label is a letter or a number from 0; uuids are item numbers, or else the lines are taken to
    be in the order of the items.

    Raises:
        DataError: as `read_outputs`.
    """
    path = Path(path)
    frame = _frame(path)
    absent = [name for name in ("res", "label", "uuid") if name not in frame.columns]
    if absent:
        raise DataError(f"{path} lacks the field {', '.join(absent)}; it has {frame.columns}.")
    numbers = frame["uuid"].cast(pl.Int64(), strict=False)
    if numbers.null_count():
        numbers = pl.Series(range(frame.height), dtype=pl.Int64())
    labels = [
        LETTERS[int(label)] if str(label).isdigit() and int(label) < len(LETTERS) else str(label)
        for label in frame["label"].to_list()
    ]
    rows = pl.DataFrame(
        {
            "model": pl.repeat(model, frame.height, eager=True),
            "task": pl.repeat(task, frame.height, eager=True),
            "lang": pl.repeat(lang, frame.height, eager=True),
            "item": numbers,
            "output": frame["res"].cast(pl.String()),
            "gold": pl.Series(labels, dtype=pl.String()),
        }
    )
    return outputs_of(rows, items, str(path))


def _frame(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    kind = path.suffix.lower()
    try:
        if kind == ".parquet":
            return read_parquet(path)
        if kind == ".csv":
            # An output that says 1 or nothing is text all the same.
            texts = dict.fromkeys(("model", "task", "lang", "output", "gold"), pl.String())
            frame = pl.read_csv(path, schema_overrides=texts)
            # CSV cannot tell an empty answer from none.
            return frame.with_columns(pl.col("^output$").fill_null(""))
        if kind in (".jsonl", ".ndjson"):
            return pl.read_ndjson(path, infer_schema_length=None)
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} cannot be read as {kind[1:]} ({reason}).") from error
    raise ConfigError(f"{path} must end in .parquet, .csv, .jsonl or .ndjson.")


def outputs_of(rows: pl.DataFrame, items: pl.DataFrame | None, where: str) -> Outputs:
    """The same from rows with the columns `COLUMNS`; `where` names them in messages."""
    if not rows.height:
        raise DataError(f"{where} holds no rows.")
    for name in COLUMNS:
        if rows[name].null_count():
            raise DataError(f"{where}: {rows[name].null_count()} rows have no {name}.")
    try:
        rows = rows.with_columns(
            pl.col("item").cast(pl.Int64()), pl.exclude("item").cast(pl.String())
        )
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{where}: item must be a whole number.") from error
    _check_codes(rows, items, where)
    wanted = _published_items(rows["task"].unique().to_list()) if items is None else items
    wanted = wanted.filter(pl.col("dataset").is_in(rows["task"].unique().implode()))
    rows = rows.join(
        wanted.select(
            task="dataset", item=pl.col("item").cast(pl.Int64()), _k="n_options", _gold="gold_index"
        ).with_columns(_known=True),
        on=["task", "item"],
        how="left",
        maintain_order="left",
    ).with_columns(_place=_PLACE)
    _check_rows(rows, where)
    golds = rows.group_by("task", "item").agg(pl.col("_place").first())
    wanted = wanted.join(
        golds.select(dataset="task", item=pl.col("item").cast(pl.Int32()), _place="_place"),
        on=["dataset", "item"],
        how="left",
        maintain_order="left",
    ).with_columns(gold_index=pl.coalesce("gold_index", "_place"))
    incomplete, whole = _completeness(rows, wanted)
    answers = (
        rows.join(whole, on=_CELL, how="semi", maintain_order="left")
        .sort("model", "task", "lang", "item", maintain_order=True)
        .select(
            "model",
            "lang",
            "item",
            mode=pl.lit("generate"),
            variant=pl.lit(IMPORTED),
            dataset="task",
            raw_output="output",
        )
    )
    # An item that no row tells the gold of cannot be graded; its cells are all incomplete.
    told = wanted.drop("_place").filter(pl.col("gold_index").is_not_null())
    return Outputs(
        align.ANSWERS.validate(answers),
        align.ITEMS.validate(told),
        align.INCOMPLETE.validate(incomplete),
    )


def _published_items(tasks: list[str]) -> pl.DataFrame:
    """Items of the published sets, gold unknown."""
    rows = [
        {
            "dataset": task,
            "item": item,
            "fact_id": f"{task}:{item}",
            "relation": relation_of(task, item),
            "cluster": cluster_of(task, item),
            "n_options": SETS[task].k,
        }
        for task in SETS
        if task in tasks
        for item in range(SETS[task].n)
    ]
    return align.ITEMS.build(rows)


def _check_codes(rows: pl.DataFrame, items: pl.DataFrame | None, where: str) -> None:
    sets = list(SETS) if items is None else items["dataset"].unique(maintain_order=True).to_list()
    for task in sorted(set(rows["task"]) - set(sets)):
        raise DataError(f"{where}: the set '{task}' is unknown; known are {', '.join(sets)}.")
    if items is None:
        for lang in sorted(set(rows["lang"]) - set(LANGUAGES)):
            raise DataError(
                f"{where}: the published sets have no language '{lang}'; they have "
                f"{', '.join(LANGUAGES)}."
            )


def _check_rows(rows: pl.DataFrame, where: str) -> None:
    """Refuse rows about unknown items, rows given twice, and golds that cannot be."""
    outside = rows.filter(pl.col("_known").is_null())
    if outside.height:
        raise DataError(f"{where}: {outside.height} items are unknown: {_shown(outside)}.")
    twice = rows.filter(pl.struct(*_CELL, "item").is_duplicated())
    if twice.height:
        raise DataError(f"{where}: {twice.height} rows are given more than once: {_shown(twice)}.")
    beyond = rows.filter(pl.col("_place").is_null() | (pl.col("_place") >= pl.col("_k")))
    if beyond.height:
        letters = ", ".join(sorted(set(beyond["gold"]))[:SHOWN])
        raise DataError(f"{where}: golds that are no option ({letters}): {_shown(beyond)}.")
    other = rows.filter(pl.col("_place") != pl.col("_gold"))
    if other.height:
        raise DataError(
            f"{where}: {other.height} golds differ from the test files: {_shown(other)}."
        )
    several = rows.filter(pl.col("_place").n_unique().over("task", "item") > 1)
    if several.height:
        raise DataError(
            f"{where}: one item has several golds in {several.height} rows: {_shown(several)}."
        )


def _shown(rows: pl.DataFrame) -> str:
    found = rows.head(SHOWN).select("task", "item", "lang", "model").iter_rows()
    more = " and more" if rows.height > SHOWN else ""
    return ", ".join(f"{t} item {i} ({lang}, {model})" for t, i, lang, model in found) + more


def _completeness(rows: pl.DataFrame, items: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Cells with missing rows, and cells without."""
    sizes = items.group_by("dataset").len("expected").rename({"dataset": "task"})
    cells = (
        rows.group_by(_CELL, maintain_order=True)
        .agg(pl.len().alias("n"), _have=pl.col("item"))
        .join(sizes, on="task", how="left", maintain_order="left")
    )
    lacking = cells.filter(pl.col("n") < pl.col("expected"))
    every = {
        str(name): set(group["item"].to_list())
        for (name,), group in items.group_by(["dataset"], maintain_order=True)
    }
    missing = [
        sorted(every[task] - set(have))[:SHOWN]
        for task, have in lacking.select("task", "_have").iter_rows()
    ]
    table = lacking.select(
        "model",
        "lang",
        "n",
        "expected",
        mode=pl.lit("generate"),
        variant=pl.lit(IMPORTED),
        dataset="task",
    ).with_columns(pl.Series("first_missing", missing, dtype=pl.List(pl.Int32())))
    return table, cells.filter(pl.col("n") == pl.col("expected")).select(_CELL)
