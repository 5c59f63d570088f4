"""A trace whose free answers vLLM writes: the same rows, in one pass over each checkpoint."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from polylore.errors import ConfigError, RunError
from polylore.studies.trace.config import TraceConfig
from polylore.studies.trace.probe import Probe
from polylore.studies.trace.study import trace

FAKE = Path(__file__).resolve().parent.parent / "models" / "fake_vllm"
Make = Callable[..., TraceConfig]


def test_same_rows_as_without(
    make: Make, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = max(p.name for p in (trained / "checkpoints").iterdir())
    asked = {"n_shot": 0, "content_free": False}
    config = make(series={"schedule": [last]}, ask=asked, analyse={"draws": 0})
    plain = trace(config, tmp_path / "plain", report=False)
    monkeypatch.syspath_prepend(str(FAKE))
    monkeypatch.setenv("FAKE_VLLM_LOG", str(tmp_path / "calls"))
    other = config.model_copy(update={"ask": config.ask.model_copy(update={"backend": "vllm"})})
    run = trace(other, tmp_path / "run", report=False)
    for name in ("answers", "candidate_scores"):
        assert run.read(name).equals(plain.read(name)), name
    calls = [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]
    assert [call["call"] for call in calls].count("LLM") == 1
    assert len(calls[1]["prompts"]) == run.table("prompts").height  # all languages at once
    # What wrote the answers is part of what the run is.
    with pytest.raises(RunError, match=r"config.ask.backend: 'vllm' there, 'transformers' here"):
        trace(config, tmp_path / "run", report=False)


def test_refused_before_anything_is_asked(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'polylore\[vllm\]'"):
        trace(make(ask={"backend": "vllm"}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_model_in_training_is_asked_where_it_is(make: Make, tmp_path: Path) -> None:
    ask = make(ask={"backend": "vllm"}).ask
    with pytest.raises(ConfigError, match="must be transformers"):
        Probe(out=tmp_path / "run", ask=ask)
