"""Similarity as a part of the study: units, resume, what is written, plan and page."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import polars as pl
import pytest
import torch

from polylore.errors import ConfigError, RunError
from polylore.facts import FactSet
from polylore.models import load_model
from polylore.models.sentences import POSITIONS
from polylore.runs import RunFolder
from polylore.studies.plan.plan import plan
from polylore.studies.trace import ask as asking
from polylore.studies.trace.analyse import analyse
from polylore.studies.trace.config import (
    AnalyseConfig,
    ExecutionConfig,
    SimilarityConfig,
    TraceConfig,
)
from polylore.studies.trace.pages import build_report
from polylore.studies.trace.similarity import Measure, Sentences, measure_similarity
from polylore.studies.trace.study import trace

Make = Callable[..., TraceConfig]


@pytest.fixture(scope="module")
def make(trained: Path, make: Make) -> Make:
    """The first and the last checkpoint."""
    steps = [int(path.name.rpartition("-")[2]) for path in (trained / "checkpoints").iterdir()]

    def build(**changes: Any) -> TraceConfig:
        return make(series={"schedule": [min(steps), max(steps)]}, **changes)

    return build


FAST = {"n_shot": 0, "candidates": False, "max_new_tokens": 1}
ON = {"enabled": True, "positions": list(POSITIONS)}


@pytest.fixture(scope="module")
def done(make: Make, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    config = make(ask=FAST, similarity=ON)
    return trace(config, tmp_path_factory.mktemp("similarity") / "run")


def rows(run: RunFolder) -> pl.DataFrame:
    return run.read("similarity").sort("ckpt_id", "layer", "position", "lang", "fact_id")


def test_the_settings_name_the_positions_there_are() -> None:
    field = SimilarityConfig.model_fields["positions"].annotation
    assert set(get_args(get_args(field)[0])) == set(POSITIONS)


def test_every_fact_layer_and_position(done: RunFolder) -> None:
    found = rows(done)
    checkpoints = done.table("checkpoints")
    # 14 facts in two languages beside the pivot, embeddings and two layers, four positions
    assert found.height == checkpoints.height * 14 * 2 * 3 * 4
    assert set(found["lang"]) == {"ar", "zh"}
    assert set(found["pivot"]) == {"en"}
    assert found.filter(pl.col("after_norm"))["layer"].unique().to_list() == [2]
    assert found["cos"].null_count() == 0
    assert found["cos"].abs().max() <= 1 + 1e-6  # type: ignore[operator]
    base = done.read("similarity_base").filter(relation="all", stratum="all")
    assert base.height == checkpoints.height * 2 * 3 * 4
    assert set(base["n"]) == {14}


def test_only_scalars_are_written(done: RunFolder) -> None:
    unit = done.unit_path(f"{done.table('checkpoints')['ckpt_id'][0]}/similarity")
    names = {path.name for path in unit.iterdir()}
    assert names == {"similarity.parquet", "similarity_base.parquet", "done.json"}
    largest = max(unit.iterdir(), key=lambda path: path.stat().st_size)
    assert largest.name == "similarity.parquet"
    width, numbers = 32, 14 * 3 * 3 * 4  # of all languages, had their vectors been kept
    assert largest.stat().st_size < 4 * width * numbers
    kinds = {path.suffix for path in done.path.rglob("*") if path.is_file()}
    assert kinds <= {".parquet", ".json", ".csv", ".html", ".svg", ".png", ".lock", ""}


def test_the_numbers_are_those_of_the_models(done: RunFolder, trained: Path) -> None:
    """One cosine at a time, from sentences put together by hand."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    last = done.table("checkpoints").row(-1, named=True)
    tokenizer = AutoTokenizer.from_pretrained(last["path"])
    model = AutoModelForCausalLM.from_pretrained(last["path"], dtype=torch.float32).eval()
    facts = done.table("facts")
    templates = done.table("templates").filter(kind="prompt", variant=0)

    def vector(lang: str, fact_id: str, layer: int) -> np.ndarray:
        fact = facts.filter(lang=lang, fact_id=fact_id).row(0, named=True)
        chosen = templates.filter(lang=lang, relation=fact["relation"])["template"].item()
        prompt = chosen.partition("<mask>")[0].replace("<subject>", fact["subject"]).strip()
        ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        ids = [tokenizer.bos_token_id, *ids] if tokenizer.bos_token_id is not None else ids
        with torch.inference_mode():
            hidden = model(torch.tensor([ids]), output_hidden_states=True).hidden_states
        return hidden[layer][0, -1].double().numpy()

    asked = rows(done).filter(ckpt_id=last["ckpt_id"], position="prompt_end", lang="zh")
    for row in asked.filter(pl.col("layer") > 0)[::5].iter_rows(named=True):
        u, v = (vector(lang, row["fact_id"], row["layer"]) for lang in ("zh", "en"))
        cos = u @ v / np.linalg.norm(u) / np.linalg.norm(v)
        assert row["cos"] == pytest.approx(cos, abs=1e-5)


def test_layers_in_blocks_and_other_batches_change_nothing(make: Make, done: RunFolder) -> None:
    last = done.table("checkpoints").row(-1, named=True)
    lm = load_model(last["path"])
    factset = FactSet("run", done.table("facts"), done.table("templates"))
    measure = Measure.of(make(ask=FAST, similarity=ON), factset.languages)
    assert measure is not None
    sentences = Sentences(factset, measure)
    expected = rows(done).filter(ckpt_id=last["ckpt_id"])
    for execution in (ExecutionConfig(vectors_gb=1e-9), ExecutionConfig(token_budget=32)):
        made = measure_similarity(lm, last["ckpt_id"], sentences, execution)["similarity"]
        found = made.sort("layer", "position", "lang", "fact_id")
        if execution.token_budget is None:
            assert found.equals(expected)  # layer by layer, to the last bit
        for column in ("cos", "cos_centred", "base"):
            left, right = (f[column].to_numpy() for f in (found, expected))
            np.testing.assert_allclose(left, right, atol=2e-4 if "centred" in column else 2e-6)


def test_it_resumes_and_may_come_later(make: Make, done: RunFolder, tmp_path: Path) -> None:
    run = trace(make(ask=FAST), tmp_path / "run", report=False)
    assert not any(unit.endswith("similarity") for unit in run.units())
    before = {unit: (run.unit_path(unit) / "done.json").stat().st_mtime_ns for unit in run.units()}
    run = trace(make(ask=FAST, similarity=ON), tmp_path / "run", report=False)
    assert rows(run).equals(rows(done))
    # A broken unit is made anew, and nothing else is.
    broken = run.unit_path(run.units()[0].partition("/")[0] + "/similarity")
    (broken / "similarity.parquet").write_bytes(b"")
    run = trace(make(ask=FAST, similarity=ON), tmp_path / "run", report=False)
    assert rows(run).equals(rows(done))
    for unit, time in before.items():
        assert (run.unit_path(unit) / "done.json").stat().st_mtime_ns == time
    with pytest.raises(RunError, match="similarities of another kind"):
        trace(make(ask=FAST, similarity={"enabled": True}), tmp_path / "run", report=False)


def test_workers_share_the_units(make: Make, done: RunFolder, tmp_path: Path) -> None:
    """What two processes are given, done in another order."""
    config = make(ask=FAST, similarity=ON, execution={"jobs": 2})
    shutil.copytree(done.path, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "units")
    run = RunFolder.load(tmp_path / "run")
    checkpoints, langs = done.table("checkpoints"), ["en", "ar", "zh"]
    measure = Measure.of(config, langs)
    store = config.series.store()
    ask = config.effective_ask()
    batches = asking.plan_batches(run, checkpoints, langs, ask, config.execution, store, measure)
    assert sum(len(batch.parts) for batch in batches) == 4 * checkpoints.height
    for batch in reversed(batches):
        assert asking.ask_batch(batch) == len(batch.parts)
    assert run.units() == done.units()
    assert rows(run).equals(rows(done))


def test_without_a_pivot_there_is_nothing_to_compare(make: Make, tmp_path: Path) -> None:
    facts = {"source": "cldr", "languages": ["ar", "zh"], "limit": 2}
    with pytest.raises(ConfigError, match="compares other languages with the pivot 'en'"):
        trace(make(similarity=ON, facts=facts, analyse={"draws": 20}), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match="named once"):
        make(similarity={"positions": ["prompt_end", "prompt_end"]})


def test_the_published_preset_takes_the_published_position(make: Make) -> None:
    assert make().effective_similarity().positions == ["prompt_end", "subject_last"]
    paper = make(preset="paper", similarity={"enabled": True})
    assert paper.effective_similarity().positions == ["answer_last"]
    said = make(preset="paper", similarity=ON, ask={"variants": [2]})
    assert said.effective_similarity().positions == list(POSITIONS)
    assert said.effective_similarity().variant == 2


def test_the_page_and_its_tables(done: RunFolder) -> None:
    summary = done.table("similarity_summary")
    assert set(summary["lang"]) == {"ar", "zh", "all"}
    assert set(summary["groups_of"]) == {"own", "final"}
    assert {"all", "unknown"} <= set(summary["group"])
    page = next(page for page in build_report(done).pages if page.id == "similarity")
    ids = [getattr(block, "id", "") for block in page.blocks]
    assert ids[1:6] == [
        "similarity-layers", "similarity-forms", "similarity-mexa", "similarity-map",
        "similarity-over-training",
    ]  # fmt: skip
    assert "similarity-table" in ids
    assert (done.path / "figures" / "similarity-layers.svg").is_file()


def test_another_pivot_empties_the_tables(done: RunFolder, tmp_path: Path) -> None:
    shutil.copytree(done.path, tmp_path / "copy")
    run = RunFolder.load(tmp_path / "copy")
    analyse(run, AnalyseConfig(pivot="zh", draws=0), "default")
    assert run.table("similarity_summary").height == 0
    report = build_report(run, AnalyseConfig(pivot="zh", draws=0))
    assert "similarity" not in [page.id for page in report.pages]


def test_the_plan_counts_what_is_read(
    make: Make, done: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make(ask=FAST, similarity=ON, execution={"vectors_gb": 3e-5})
    made = plan(config, tmp_path / "run")
    counted = made.units.filter(work="similarity")
    checkpoints = done.table("checkpoints").height
    assert counted.height == 3 * checkpoints
    read = 0
    measured = asking.measure_similarity

    def watch(lm: Any, *args: Any) -> Any:
        def note(_: Any, __: Any, kwargs: dict[str, Any]) -> None:
            nonlocal read
            read += kwargs["input_ids"].numel()

        handle = lm.model.base_model.register_forward_pre_hook(note, with_kwargs=True)
        try:
            return measured(lm, *args)
        finally:
            handle.remove()

    monkeypatch.setattr(asking, "measure_similarity", watch)
    run = trace(config, tmp_path / "run", report=False)
    assert counted["tokens"].sum() + counted["padding"].sum() == read > 0
    totals = made.totals.filter(name="tokens for similarity")
    assert totals["value"].item() == counted["tokens"].sum()
    assert "blocks" in totals["remark"].item()
    size = made.totals.filter(name="similarity", topic="disk")["value"].item()
    units = [run.unit_path(u) for u in run.units() if u.endswith("/similarity")]
    written = sum((unit / "similarity.parquet").stat().st_size for unit in units)
    assert size / 4 < written < 4 * size
    assert plan(config, tmp_path / "run").units.height == 0
