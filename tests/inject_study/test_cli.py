"""The commands of `polylore inject`, as a user types them."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from click.testing import CliRunner
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Sequence, Split

from polylore.cli.main import cli
from polylore.errors import ConfigError
from polylore.facts.people import FictionConfig, load_pack, make_fiction, read_fiction
from polylore.studies.inject.dry_run import sentences


def typed(*words: str) -> Any:
    return CliRunner().invoke(
        cli, ["inject", *words], catch_exceptions=False, standalone_mode=False
    )


@pytest.fixture
def study(settings: dict[str, Any], tmp_path: Path) -> str:
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return str(path)


def test_items_are_made_and_linted(tmp_path: Path) -> None:
    out = str(tmp_path / "items")
    made = typed("make-items", "--languages", "en,ja", "--n", "3", "--n-control", "2", "--out", out)
    assert "5 items" in made.output
    fiction = read_fiction(out)
    assert fiction.languages == ["en", "ja"]
    assert len(fiction.controls) == 2
    assert typed("lint-items", out).output == "No findings.\n"
    probes = fiction.probes.with_columns(target_in_prefix=True)
    probes.write_parquet(tmp_path / "items" / "probes.parquet")
    found = typed("lint-items", out, "--json")
    assert found.return_value == 3
    rows = [json.loads(line) for line in found.output.splitlines()]
    assert {row["rule"] for row in rows} == {"target_in_prefix"}
    told = typed("lint-items", out)
    assert told.return_value == 3
    assert f"error   target_in_prefix [en] ({rows[0]['count']}): The prefix" in told.output
    assert rows[0]["examples"][1] in told.output


def test_made_items_are_equally_long_in_tokens(tmp_path: Path) -> None:
    vowels = Tokenizer(WordLevel({"?": 0}, unk_token="?"))  # every vowel is a token, and no other
    vowels.pre_tokenizer = Sequence(
        [Split(Regex("[^aeiou]+"), "removed"), Split(Regex("[aeiou]"), "isolated")]
    )
    named, out = str(tmp_path / "tokenizer.json"), str(tmp_path / "items")
    vowels.save(named)
    said = ("make-items", "--languages", "en", "--n", "8", "--n-control", "0", "--out")
    typed(*said, out)
    assert "variant_length" in typed("lint-items", out, "--tokenizer", named).output
    typed(*said, f"{out}2", "--tokenizer", named)
    assert "variant_length" not in typed("lint-items", f"{out}2", "--tokenizer", named).output


def test_findings_that_are_no_errors_end_well(tmp_path: Path) -> None:
    out = tmp_path / "items"
    typed("make-items", "--languages", "en", "--n", "2", "--n-control", "0", "--out", str(out))
    fiction = read_fiction(out)
    fiction.passages.with_columns(
        text=pl.col("text") + pl.lit(" All of it is imaginary.")
    ).write_parquet(out / "passages.parquet")
    told = typed("lint-items", str(out))
    assert told.output.startswith("warning calls_itself_fictional [en] (20): The passage says")
    assert told.return_value == 0


def test_published_items_are_linted_in_words(published: Path) -> None:
    told = typed("lint-items", str(published / "fictional_knowledge"), "--published")
    assert "target_missing" in told.output
    assert "calls_itself_fictional" in told.output
    assert told.return_value == 3


def test_built_in_studies_are_listed() -> None:
    assert "smoke" in typed("studies").output


def test_a_plan_starts_nothing(study: str, tmp_path: Path) -> None:
    said = typed("plan", study, "--quiet").output
    assert "main seed 0: 18 updates" in said
    assert "In all: 1 run, " in said
    costs = json.loads(typed("plan", study, "--json").output)
    assert costs[0]["readings"] == 10
    assert "share" not in costs[0]  # calibration is off in this study
    # Two arms in two languages, one seed.
    assert [costs[0][key] for key in ("seeds", "seeds_for_arms", "seeds_for_all")] == [1, 2, 4]
    turns = (
        "main: items take turns from seed to seed; every item has been in every arm after 2 seeds, "
        "and in every arm in every language after 4 seeds, but this study has 1 seed."
    )
    assert turns in said
    others = [{"condition": "slow"}, {"condition": "sham", "seeds_for_all": None}]
    lines = sentences([*costs, *(costs[0] | one for one in others)])
    assert [line for line in lines if "take turns" in line] == [turns.replace("main", "main, slow")]
    assert not any("take turns" in line for line in sentences([costs[0] | {"seeds": 4}]))
    double = json.loads(typed("plan", study, "--json", "--train.precision", "float64").output)
    assert double[0]["memory_bytes"] == 2 * costs[0]["memory_bytes"]
    timed = json.loads(typed("plan", study, "--json", "--execution.calibrate", "true").output)
    assert timed[0]["share"] > 0
    assert not timed[0]["scaled"]
    assert "one after the other on this machine" in sentences(timed)[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]


def test_a_plan_says_what_speaks_against_the_items(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "items"
    fiction = make_fiction(
        [load_pack("en")], FictionConfig(n=4, n_control=4, facts=2, paraphrases=1)
    )
    fiction.export(out)
    fiction.passages.with_columns(text=pl.col("text") + " It is imaginary.").write_parquet(
        out / "passages.parquet"
    )
    settings["items"] = {"source": str(out)}
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    said = typed("plan", str(path), "--quiet").output
    assert "warning calls_itself_fictional [en] (16): The passage says" in said


def test_a_run_writes_its_folder(study: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    said = typed("run", study, "--out", str(out), "--quiet", "--no-report", "--plan.tail", "1")
    assert str(out) in said.output
    assert (out / "tables" / "inject_runs.parquet").is_file()


def test_a_built_in_study_without_a_model_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match=r"smoke\.yaml: model: name the checkpoint .* does\.$"):
        typed("plan", "smoke")
