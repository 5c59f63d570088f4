"""Reading other people's answers: what is refused, and what is kept."""

import json

import polars as pl
import pytest

from polylore.errors import ConfigError, DataError
from polylore.facts.choices.outputs import read_outputs, read_result_lines
from polylore.tables.align import ITEMS

K = 3
ITEMS_TABLE = ITEMS.build(
    [{"dataset": "s", "item": i, "fact_id": f"s:{i}", "cluster": str(i), "n_options": K,
      "gold_index": i % K} for i in range(4)]
)  # fmt: skip


def rows(*, drop: int | None = None, **changes) -> pl.DataFrame:
    made = [
        {"model": model, "task": "s", "lang": lang, "item": item, "output": "A",
         "gold": "ABC"[item % K]}
        for model in ("m", "n") for lang in ("en", "de") for item in range(4)
    ]  # fmt: skip
    made[0] |= changes
    if drop is not None:
        del made[drop]
    return pl.DataFrame(made)


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
def test_every_file_type_says_the_same(tmp_path, kind):
    path = tmp_path / f"o.{kind}"
    frame = rows(output=" 7").with_columns(note=pl.lit("kept out"))
    {"parquet": frame.write_parquet, "csv": frame.write_csv, "jsonl": frame.write_ndjson}[kind](
        path
    )
    read = read_outputs(path, ITEMS_TABLE)
    assert read.answers.height == 16
    first = read.answers.filter(model="m", lang="en", item=0)
    assert first["raw_output"].item() == " 7"
    assert read.items.equals(ITEMS_TABLE)
    assert read.incomplete.height == 0


def test_an_empty_answer_in_csv_is_text(tmp_path):
    path = tmp_path / "o.csv"
    rows(output="").write_csv(path)
    read = read_outputs(path, ITEMS_TABLE)
    assert read.answers.filter(model="m", lang="en", item=0)["raw_output"].item() == ""


def test_missing_rows_cost_their_cell_only(tmp_path):
    path = tmp_path / "o.parquet"
    rows(drop=2).write_parquet(path)
    read = read_outputs(path, ITEMS_TABLE)
    cells = read.answers.select("model", "lang").unique().sort("model", "lang").rows()
    assert cells == [("m", "de"), ("n", "de"), ("n", "en")]
    (lost,) = read.incomplete.to_dicts()
    assert (lost["model"], lost["lang"], lost["n"], lost["expected"]) == ("m", "en", 3, 4)
    assert lost["first_missing"] == [2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "t"}, "the set 't' is unknown"),
        ({"item": 4}, "1 items are unknown: s item 4"),
        ({"item": 1}, "given more than once: s item 1 .en, m."),
        ({"gold": "D"}, r"no option \(D\)"),
        ({"gold": "é"}, r"no option \(é\)"),
        ({"gold": "B"}, "1 golds differ from the test files: s item 0"),
        ({"output": None}, "1 rows have no output"),
    ],
)
def test_rows_that_cannot_be_meant(tmp_path, changes, message):
    path = tmp_path / "o.parquet"
    rows(**changes).write_parquet(path)
    with pytest.raises(DataError, match=message):
        read_outputs(path, ITEMS_TABLE)


def test_published_sets_need_published_codes(tmp_path):
    path = tmp_path / "o.parquet"
    frame = rows().with_columns(task=pl.lit("xgeo"))
    frame.with_columns(lang=pl.lit("sw")).write_parquet(path)
    with pytest.raises(DataError, match="no language 'sw'"):
        read_outputs(path)
    frame.with_columns(gold=pl.when(pl.col("model") == "m").then("gold").otherwise(pl.lit("A")))\
        .write_parquet(path)  # fmt: skip
    with pytest.raises(DataError, match="one item has several golds"):
        read_outputs(path)


def test_other_files(tmp_path):
    with pytest.raises(DataError, match="There is no file"):
        read_outputs(tmp_path / "absent.parquet")
    path = tmp_path / "o.txt"
    path.write_text("x")
    with pytest.raises(ConfigError, match=r"must end in \.parquet"):
        read_outputs(path)
    path = tmp_path / "o.jsonl"
    path.write_text('{"model": "m"}\n')
    with pytest.raises(DataError, match="lacks the column task"):
        read_outputs(path)
    path.write_text('{"model": \n')
    with pytest.raises(DataError, match="cannot be read as jsonl"):
        read_outputs(path)


def test_lines_of_the_published_code(tmp_path):
    path = tmp_path / "o.jsonl"
    lines = [{"res": "B", "label": i % K, "uuid": i} for i in range(4)]
    path.write_text("\n".join(map(json.dumps, lines)))
    read = read_result_lines(path, model="m", task="s", lang="en", items=ITEMS_TABLE)
    assert read.answers["raw_output"].to_list() == ["B"] * 4
    lines = [
        line | {"label": "ABC"[line["uuid"] % K], "uuid": f"x{line['uuid']}"} for line in lines
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    named = read_result_lines(path, model="m", task="s", lang="en", items=ITEMS_TABLE)
    assert named.answers.equals(read.answers)
