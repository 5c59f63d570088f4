"""Counterfactual training on a tiny designed corpus, from the command to the tables."""

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from polylore.cli.main import main
from polylore.corpus import ComposeConfig, Composed, compose
from polylore.corpus import requirements as corpus_requirements
from polylore.corpus.without import FILLER
from polylore.errors import ConfigError, DataError
from polylore.files import read_json, write_json, write_parquet
from polylore.metrics.referee.scores import judged
from polylore.report import Chart, Prose, TableView
from polylore.runs import RunFolder
from polylore.studies.referee import judge as judging
from polylore.studies.referee.config import compared_steps
from polylore.studies.referee.ground import inspect, open_ground, training_folder
from polylore.studies.referee.levels import delete, levels, totals
from polylore.studies.referee.study import trace_with_referee
from polylore.studies.trace.analyse import analyse
from polylore.studies.trace.config import FactsConfig, TraceConfig
from polylore.studies.trace.pages import build_report
from polylore.tables import raw
from polylore.training.config import ModelConfig, ScheduleConfig, TokenizerConfig, TrainConfig
from polylore.training.loop import train

FACTS = FactsConfig(
    source="cldr", languages=["en", "sw"], relations=["subregion", "official_language"], limit=30
)
PLAN = ComposeConfig(
    held_out=0.25, lang_only=0.15, untaught=0.2, distribution="levels", levels=(1, 3, 9),
    wordings=1, mentions=0.5,
)  # fmt: skip
TINY = TrainConfig(
    context=96, batch_size=8, threads=1, precision="float32", attention="eager", compile="never",
    model=ModelConfig(hidden_size=32, layers=1, heads=2, intermediate_size=32),
    tokenizer=TokenizerConfig(vocab_size=500), checkpoints=ScheduleConfig(per_decade=0),
)  # fmt: skip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Composed:
    return compose(FACTS.load(), PLAN, tmp_path_factory.mktemp("designed") / "corpus")


@pytest.fixture(scope="module")
def model(corpus: Composed) -> Path:
    return train(corpus.folder, corpus.folder.parent / "model", TINY)


@pytest.fixture
def lenient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A design of thirty facts is enough for these tests."""
    monkeypatch.setattr(corpus_requirements, "FACTS_PER_CONDITION", 3)


def settings(trained: Path, **changes: Any) -> TraceConfig:
    values: dict[str, Any] = {
        "model": str(trained / "checkpoints"),
        "facts": FACTS,
        "ask": {"variants": [0], "n_shot": 0, "candidates": False, "max_new_tokens": 4},
        "analyse": {"draws": 20, "sustained": 2},
        "referee": {"seeds": 2, "checkpoints": 1},
    }
    return TraceConfig.parse(values | changes)


@pytest.fixture(scope="module")
def done(model: Path) -> RunFolder:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus_requirements, "FACTS_PER_CONDITION", 3)
        return trace_with_referee(settings(model), model.parent / "run")


def test_arms_differ_only_where_they_should(done: RunFolder, model: Path) -> None:
    arms = done.table("arms")
    assert arms.select("seed", "arm").rows() == [
        (seed, arm) for seed in (0, 1) for arm in ("full", "A", "B")
    ]
    assert arms["tokens"].n_unique() == 1
    assert arms["leaks"].to_list() == [0] * 6
    for arm, rows in arms.group_by("arm"):
        assert rows["stream_hash"].n_unique() == 1
        assert (rows["fillers"] > 0).all() == (arm != ("full",))
    for row in arms.iter_rows(named=True):
        folder = done.path / row["folder"]
        config = read_json(folder / "manifest.json")["config"]
        assert config["seed"] == row["seed"]
        assert (folder / "tokenizer" / "tokenizer.json").read_bytes() == (
            model / "tokenizer" / "tokenizer.json"
        ).read_bytes()
    a, b = (pl.read_parquet(done.path / f"referee/corpus-{g}/documents/part-00000.parquet")
            for g in "AB")  # fmt: skip
    replaced = [set(frame.filter(wording=FILLER)["doc_id"]) for frame in (a, b)]
    assert not replaced[0] & replaced[1]


def test_a_finished_referee_trains_nothing_again(
    done: RunFolder, model: Path, lenient: None
) -> None:
    before = {p: p.stat().st_mtime_ns for p in (done.path / "referee").rglob("*.safetensors")}
    tables = {name: done.table(name) for name in done.table_names()}
    again = trace_with_referee(settings(model), done.path, report=False)
    assert before == {
        p: p.stat().st_mtime_ns for p in (done.path / "referee").rglob("*.safetensors")
    }
    for name, frame in tables.items():
        assert again.table(name).equals(frame), name


def test_every_table_is_filled(done: RunFolder) -> None:
    for name in ("truth", "true_rates", "truth_scores", "truth_confusion", "counterfactual"):
        assert done.table(name).height > 0, name
    scores = done.table("truth_scores")
    assert set(scores["seed"]) == {0, 1, None}
    assert set(scores["lang"]) == {"sw", "all", "macro"}
    assert scores["ckpt_id"].n_unique() == 1
    assert set(scores.filter(method="pathways")["info_level"]) == {
        "L0", "L1", "L1-0.1", "L1-0.3", "L1-0.5", "L2", "L3", "L3-0.1", "L3-0.3", "L3-0.5"
    }  # fmt: skip
    assert "L0" not in set(scores.filter(method="paper")["info_level"])
    lost = done.table("counterfactual")
    assert set(lost["arm"]) == {"A", "B", "both"}
    both = lost.filter(pl.col("method").is_null(), seed=0, arm="both", stratum="all", lang="all")
    parts = lost.filter(
        pl.col("method").is_null(), pl.col("arm") != "both", seed=0, stratum="all", lang="all"
    )
    keys = ["ckpt_id"]
    summed = parts.group_by(keys).agg(pl.col("n_cells", "n", "lost").sum()).sort(keys)
    assert summed.equals(both.select(*keys, "n_cells", "n", "lost").sort(keys))
    truth = done.table("truth")
    held = truth.filter(condition="pivot_only", lang="sw")
    assert held["e_l"].sum() == 0
    assert (held.filter(ckpt_id=held["ckpt_id"].max())["e_donor"] > 0).all()


def test_the_page_says_what_was_done_and_what_came_out(done: RunFolder, tmp_path: Path) -> None:
    report = build_report(done)
    page = next(page for page in report.pages if page.id == "referee")
    story = page.blocks[0]
    assert isinstance(story, Prose)
    assert story.tone == "caution"  # two runs are few
    assert "2 times from other initial weights" in story.paragraphs[1]
    charts = {block.id for block in page.blocks if isinstance(block, Chart)}
    assert {"referee-effect-dose", "referee-effect-kind", "referee-effect-told"} <= charts
    html = (done.path / "report.html").read_text(encoding="utf-8")
    assert "by experiment" in html or "more than that of facts left alone" in html
    tables = {block.id for block in page.blocks if isinstance(block, TableView)}
    assert tables == {"referee-scores", "referee-losses", "referee-arms"}
    # A designed corpus without arms: truth, but no causes.
    alone = RunFolder.load(shutil.copytree(done.path, tmp_path / "alone"))
    for name in ("arms", "counterfactual"):
        (alone.path / "tables" / f"{name}.parquet").unlink()
    analyse(alone, settings(Path("unused")).analyse, "default")
    page = next(page for page in build_report(alone).pages if page.id == "referee")
    assert "--with-referee" in page.blocks[0].paragraphs[-1]  # type: ignore[union-attr]
    assert not [b for b in page.blocks if getattr(b, "id", "").startswith("referee-effect")]
    assert set(alone.table("truth_scores")["seed"]) == {0}


def test_labels_never_read_design_or_truth(
    done: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blind = RunFolder.load(shutil.copytree(done.path, tmp_path / "blind"))
    for name in ("design", "truth", "truth_scores", "cells", "transfer_rate"):
        (blind.path / "tables" / f"{name}.parquet").unlink()
    config = settings(Path("unused")).analyse
    analyse(blind, config, "default")
    for name in ("cells", "transfer_rate"):
        old, new = (run.path / "tables" / f"{name}.parquet" for run in (done, blind))
        assert old.read_bytes() == new.read_bytes()
    assert not blind.has_table("truth_scores")
    # Nor does judging them: with another design the same labels get other scores.
    seen: list[pl.DataFrame] = []

    def note(truths: pl.DataFrame, cells: pl.DataFrame, pivot: str) -> pl.DataFrame:
        seen.append(cells)
        return judged(truths, cells, pivot)

    monkeypatch.setattr(judging, "judged", note)
    design = done.table("design")
    for conditions in (design["condition"], design["condition"].reverse()):
        blind.write_table("design", design.with_columns(conditions))
        analyse(blind, config, "default")
    assert seen[0].equals(seen[1])


def test_a_leaked_held_out_document_is_found_and_named(corpus: Composed, tmp_path: Path) -> None:
    held = corpus.design.filter(condition="pivot_only", lang="sw").row(0, named=True)
    factset = FACTS.load()
    fact = factset.fact(held["fact_id"], "sw")
    told = f"{fact['subject']} {fact['object']}"
    frame = corpus.documents().collect()
    place = frame.filter(kind="mention", lang="sw")["doc_id"][3]
    text = pl.when(pl.col("doc_id") == place).then(pl.lit(told)).otherwise("text")
    leaky = tmp_path / "corpus"
    write_parquet(frame.with_columns(text=text), leaky / "documents" / "part-00000.parquet")
    for name in ("design", "expressed"):
        write_parquet(getattr(corpus, name), leaky / f"{name}.parquet")
    write_json({**corpus.manifest, "parts": ["part-00000.parquet"]}, leaky / "manifest.json")
    folder = train(leaky, tmp_path / "model", TINY)
    step = pl.read_parquet(folder / "consumed.parquet").filter(doc_id=place)["step"][0]
    message = f"1 documents tell cells .*document {place} at step {step} tells {held['fact_id']}"
    with pytest.raises(DataError, match=message):
        inspect(folder, Composed(leaky, corpus.manifest), factset)


def test_designs_that_cannot_be_judged_are_refused_before_any_work(
    model: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="but a referee needs 30"):
        trace_with_referee(settings(model), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "elsewhere"}, "no checkpoint folder of a model that polylore trained"),
        ({"analyse": {"pivot": "sw"}}, "composed around the pivot en"),
        ({"analyse": {"draws": 0}}, "without intervals"),
        ({"facts": {"source": "cldr", "languages": ["en", "sw"], "limit": 40}}, "not in the corp"),
        ({"referee": {"min_names": 99}}, "state no fact"),
    ],
)
def test_bad_requests(
    model: Path, lenient: None, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        trace_with_referee(settings(model, **changes), tmp_path / "run")


def test_another_corpus_is_refused(model: Path, corpus: Composed, tmp_path: Path) -> None:
    plan = PLAN.model_copy(update={"max_dose": 201})
    other = compose(FACTS.load(), plan, tmp_path / "other")
    with pytest.raises(DataError, match="was trained on another corpus"):
        open_ground(str(model), str(other.folder))
    assert training_folder(str(model / "checkpoints")) == model
    ground = open_ground(str(model), None)
    assert ground.corpus.folder == corpus.folder.resolve()


def test_one_run_is_warned_of(model: Path, tmp_path: Path) -> None:
    with (
        pytest.warns(UserWarning, match="at least 3 are recommended"),
        pytest.raises(ConfigError, match="a referee needs"),
    ):
        trace_with_referee(settings(model, referee={"seeds": 1}), tmp_path / "run")


def test_command_line_says_what_is_missing(
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["trace", str(model / "checkpoints"), "--with-referee", "--out", str(tmp_path / "r")]
    command += ["--facts.languages", "en,sw", "--facts.limit", "30"]
    command += ["--facts.relations", "subregion,official_language"]
    monkeypatch.setattr("sys.argv", ["polylore", *command])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "a referee needs 30" in capsys.readouterr().err


def test_compared_steps() -> None:
    assert compared_steps([0, 1, 3, 10, 32, 100, 316, 900], 3) == [100, 316, 900]
    assert compared_steps([0, 900], 3) == [900]
    assert compared_steps([0], 3) == []


def test_levels_of_information(done: RunFolder) -> None:
    exposure, strings = done.table("exposure"), done.table("string_exposure")
    found = {level.name: level.counted for level in levels(done.table("facts"), exposure, strings)}
    assert list(found) == [
        "L0", "L1", "L1-0.1", "L1-0.3", "L1-0.5", "L2", "L3", "L3-0.1", "L3-0.3", "L3-0.5"
    ]  # fmt: skip
    assert found["L0"] is None
    whole = raw.EXPOSURE.validate(totals(exposure, done.table("facts")))
    assert whole["count"].sum() == exposure["count"].sum()
    assert set(whole["exposure_kind"]) == {"total"}
    # Equal strings are counted whatever the language: never less than in the language alone.
    both = whole.join(strings, on=["fact_id", "lang"], suffix="_strings")
    assert (both["count_strings"] >= both["count"]).all()
    for share in (0.1, 0.5):
        kept = delete(exposure, share, "x")
        assert kept["count"].sum() / exposure["count"].sum() == pytest.approx(1 - share, abs=0.05)
        assert kept.equals(delete(exposure, share, "x"))
        assert not kept.equals(delete(exposure, share, "y"))
