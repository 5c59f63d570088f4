"""The loop: ordinary checkpoints, true logs, and refusals in one sentence."""

import json

import polars as pl
import pytest
import torch
from filelock import FileLock
from transformers import AutoModelForCausalLM, AutoTokenizer

from polylore.errors import ConfigError, DataError, RunError
from polylore.tables import raw
from polylore.training.loop import train
from polylore.training.model import batch_loss
from polylore.training.packing import open_packed
from polylore.training.schedule import checkpoint_steps


def test_checkpoints_are_ordinary_folders(trained, config):
    manifest = json.loads((trained / "manifest.json").read_text())
    steps = checkpoint_steps(manifest["steps"], config.checkpoints)
    folders = sorted((trained / "checkpoints").iterdir())
    assert [folder.name for folder in folders] == [f"step-{step:06d}" for step in steps]
    tokens = open_packed(trained / "data", config).tokens()
    for step, folder in zip(steps, folders, strict=True):
        facts = json.loads((folder / "polylore.json").read_text())
        assert facts == {"step": step, "tokens": tokens[step]}
    model = AutoModelForCausalLM.from_pretrained(folders[-1])
    tokenizer = AutoTokenizer.from_pretrained(folders[-1])
    assert model.dtype == torch.float32
    assert model.config.model_type == "llama"
    assert model.config.vocab_size == len(tokenizer)
    assert (
        model.config.eos_token_id == model.generation_config.eos_token_id == tokenizer.eos_token_id
    )
    out = model.generate(**tokenizer("The", return_tensors="pt"), max_new_tokens=3, do_sample=False)
    assert out.shape[1] <= len(tokenizer("The")["input_ids"]) + 3


def test_log_and_speed(trained, config):
    log = raw.TRAIN_LOG.validate(pl.read_parquet(trained / "train_log.parquet"))
    speed = raw.SPEED.validate(pl.read_parquet(trained / "speed.parquet"))
    packed = open_packed(trained / "data", config)
    expected = [1, *range(3, packed.steps, 3), packed.steps]
    assert log["step"].to_list() == speed["step"].to_list() == sorted(set(expected))
    assert log["tokens"].to_list() == [packed.tokens()[step] for step in log["step"]]
    assert log["loss"][-1] < log["loss"][0] - 0.5
    assert (speed["seconds"] > 0).all()


def test_first_logged_loss_is_that_of_the_initial_model(trained, config):
    """Recomputed in float32 with Hugging Face's own loss, row by row."""
    packed = open_packed(trained / "data", config)
    model = AutoModelForCausalLM.from_pretrained(trained / "checkpoints" / "step-000000").eval()
    total, n = 0.0, 0
    for row in packed.batch(1):
        ids = torch.tensor([[i for i in row.tolist() if i != packed.pad]])
        with torch.no_grad():
            total += float(model(input_ids=ids, labels=ids).loss) * (ids.shape[1] - 1)
        n += ids.shape[1] - 1
    log = pl.read_parquet(trained / "train_log.parquet")
    assert log["loss"][0] == pytest.approx(total / n, abs=5e-3)
    model.train()
    mine = batch_loss(model, torch.from_numpy(packed.batch(1)), packed.pad, torch.float32)
    assert mine.item() / n == pytest.approx(total / n, abs=1e-5)


def test_a_finished_run_is_left_alone(corpus, trained, config):
    before = {p: p.stat().st_mtime_ns for p in trained.rglob("*") if p.is_file()}

    def never(step, tokens, model):
        raise AssertionError("trained again")

    assert train(corpus.folder, trained, config, on_step=[never]) == trained
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_another_configuration_is_refused(corpus, trained, config):
    other = config.model_copy(update={"learning_rate": 1e-3})
    with pytest.raises(RunError, match=r"config\.learning_rate: 0\.003 there, 0\.001 here"):
        train(corpus.folder, trained, other)


def test_measured_choice_is_recorded_and_kept(corpus, config, tmp_path):
    open_choice = config.model_copy(
        update={"precision": "auto", "attention": "auto", "compile": "auto", "threads": None}
    )

    def stop(step, tokens, model):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        train(corpus.folder, tmp_path / "run", open_choice, on_step=[stop])
    choice = json.loads((tmp_path / "run" / "manifest.json").read_text())["precision"]
    assert choice["dtype"] in ("float32", "bfloat16")
    assert len(choice["milliseconds"]) >= 4
    assert "not compiled" in choice["note"]
    with pytest.raises(InterruptedError):
        train(corpus.folder, tmp_path / "run", open_choice, on_step=[stop])
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["precision"] == choice


def test_threads_of_the_caller_are_restored(corpus, config, tmp_path):
    before = torch.get_num_threads()
    seen = []

    def stop(step, tokens, model):
        seen.append(torch.get_num_threads())
        raise InterruptedError

    state = torch.random.get_rng_state()
    two = config.model_copy(update={"threads": 2})
    with pytest.raises(InterruptedError):
        train(corpus.folder, tmp_path / "run", two, on_step=[stop])
    assert seen == [2]
    assert torch.get_num_threads() == before
    assert torch.equal(torch.random.get_rng_state(), state)


def test_missing_or_foreign_corpus(tmp_path, config):
    with pytest.raises(DataError, match="no finished corpus"):
        train(tmp_path / "none", tmp_path / "run", config)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "manifest.json").write_text('{"kind": "trace"}')
    with pytest.raises(DataError, match="something else than a composed corpus"):
        train(tmp_path / "foreign", tmp_path / "run", config)
    assert not (tmp_path / "run").exists()


def test_context_too_short(corpus, config, tmp_path):
    with pytest.raises(ConfigError, match="set context to at least"):
        train(corpus.folder, tmp_path / "run", config.model_copy(update={"context": 12}))


def test_unwritable_folder(corpus, config, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match="Cannot write to"):
        train(corpus.folder, tmp_path / "file" / "run", config)


def test_two_trainers_in_one_folder(corpus, config, tmp_path):
    (tmp_path / "run").mkdir()
    with FileLock(tmp_path / "run" / ".lock"), pytest.raises(RunError, match="Another process"):
        train(corpus.folder, tmp_path / "run", config)
