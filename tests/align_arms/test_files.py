"""Arms from a checkpoint and files: text, instructions, a world in a folder (`align`, 4.4, 4.7)."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from polylore.errors import ConfigError, DataError
from polylore.facts.fiction.config import WorldConfig
from polylore.studies.align.arms import study
from polylore.studies.align.arms.config import ArmsConfig
from polylore.studies.align.arms.material import gather
from polylore.studies.align.arms.rows import ArmRows
from polylore.studies.align.world import write_worlds


@pytest.fixture(scope="module")
def files(finished, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The start model of the small run, and its texts as other people have them."""
    _, config, out = finished
    folder = tmp_path_factory.mktemp("files")
    texts = gather(config).texts
    for lang in ("qaa", "qab"):
        rows = texts.filter(pl.col("part") == "text", pl.col("lang") == lang)["response"]
        lines = [json.dumps({"text": text}) for text in rows]
        (folder / f"{lang}.jsonl").write_text("\n".join(lines))
    asked = texts.filter(part="question").select("lang", "prompt", "response")
    asked.write_ndjson(folder / "questions.jsonl")
    assert config.data.world is not None
    write_worlds(folder / "world", WorldConfig.parse(config.data.world.plain()))
    return {
        "pivot": "qaa",
        "start": {"path": str(out / "arms" / "start" / "seed-0")},
        "data": {
            "text": {lang: str(folder / f"{lang}.jsonl") for lang in ("qaa", "qab")},
            "questions": str(folder / "questions.jsonl"),
            "worlds": str(folder / "world"),
            "held_out": 5,
        },
        "train": {"global_batch": 4, "context": 24, "precision": "float32", "seeds": [3]},
        "budget": {"updates": 2},
        "eval": {"conduct": {"form": {"between": " ", "end": ""}, "max_new_tokens": 4}},
        "score": {"draws": 20},
    }


def test_arms_from_files(files, tmp_path: Path) -> None:
    arms = [
        {"name": "cpt", "kind": "cpt", "lang": "qab", "replay": 0.25},
        {"name": "it", "kind": "itune", "lang": ["qaa", "qab"]},
        {"name": "inj", "kind": "inject", "targets": "qac", "translate": [], "updates": 2},
    ]
    run = study.run_arms(ArmsConfig.parse({**files, "arms": arms}), tmp_path / "run", report=False)
    table = run.table("align_arms")
    assert set(table["arm"]) == {"none", "base_mix", "cpt", "it", "inj/qac"}
    tokens = dict(table.select("arm", "input_tokens").iter_rows())
    assert tokens["cpt"] == tokens["base_mix"] == 2 * 4 * 24  # packed rows are full
    budget = run.table("align_budgets").filter(run_id="cpt/seed3")
    by_lang = dict(budget.select("lang", "input_tokens").iter_rows())
    assert abs(by_lang["qaa"] - 24) <= 12  # a quarter is replayed, half of it in either language
    rows = ArmRows(run.path / "arms" / "inj@qac" / "seed-3" / "data")
    assert set(rows.read["block"]) <= {"source_0", "source_1", "target_0"}
    gates = run.table("align_gates").filter(arm="inj", component="translate_ts")
    assert not gates["trained"].any()
    assert set(run.table("align_loss")["lang"]) == {"qaa", "qab"}
    assert run.table("align_loss")["tokens"].min() > 0


def test_without_text_there_is_no_base_mix(files, tmp_path: Path) -> None:
    data = {"worlds": files["data"]["worlds"]}
    arms = [{"name": "inj", "kind": "inject", "targets": "qab", "updates": 1}]
    config = ArmsConfig.parse({**files, "data": data, "arms": arms})
    run = study.run_arms(config, tmp_path / "run", report=False)
    assert run.table("align_arms")["arm"].to_list() == ["none", "inj/qab"]
    assert not run.has_table("align_cells")


@pytest.mark.parametrize(
    ("data", "arm", "error", "message"),
    [
        ({"held_out": 500}, {}, DataError, "500 are to be held out"),
        ({"text": {"qzz9": "nowhere.jsonl"}}, {}, ConfigError, "qzz9"),
        ({}, {"kind": "inject", "shuffled": True}, ConfigError, "other training rows"),
        ({}, {"kind": "inject", "translate": ["s>t"]}, ConfigError, "do not teach"),
        ({}, {"kind": "cpt", "lang": "qac"}, ConfigError, "reads .qac., but texts"),
        ({}, {"kind": "itune", "lang": "de"}, ConfigError, "reads .de., but questions"),
    ],
)
def test_what_is_not_there_is_named(files, tmp_path: Path, data, arm, error, message) -> None:
    arm = {"name": "x", "kind": "cpt", "lang": "qab"} | arm
    if arm["kind"] == "inject":
        arm |= {"lang": None, "updates": 1}
    values = {**files, "data": {**files["data"], **data}, "arms": [arm]}
    with pytest.raises(error, match=message):
        study.run_arms(ArmsConfig.parse(values), tmp_path / "run", report=False)


def test_instructions_without_a_column_are_refused(files, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps({"lang": "qaa", "prompt": "x"}))
    data = {**files["data"], "questions": str(path)}
    arms = [{"name": "it", "kind": "itune", "lang": "qaa"}]
    with pytest.raises(DataError, match="lacks the column response"):
        gather(ArmsConfig.parse({**files, "data": data, "arms": arms}))
