"""vLLM behind the interface of `generation`, against a stand-in that is true to vLLM's own."""

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from polylore.errors import ConfigError, ModelError
from polylore.models import LanguageModel, generate_prepared, load_model, prepare_prompts
from polylore.models.answers import Answer
from polylore.models.vllm import _environment, generate_vllm, require_vllm
from polylore.models.vllm_engine import answer

FAKE = Path(__file__).parent / "fake_vllm"
PROMPTS = ["The capital of France is", "The", "法国的首都是", "عاصمة فرنسا هي", "日本の首都は"]
CAPS = [5, 12, 8, 3, 10]
Make = Callable[..., LanguageModel]


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The stand-in, for this process and for those that it starts."""
    monkeypatch.syspath_prepend(str(FAKE))
    monkeypatch.delitem(sys.modules, "vllm", raising=False)
    module = importlib.import_module("vllm")
    yield module
    sys.modules.pop("vllm", None)


def test_same_answers_and_what_vllm_is_told(
    vllm: Any, saved: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = saved("model", seed=3)
    monkeypatch.setenv("FAKE_VLLM_LOG", str(tmp_path / "calls"))
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "DEBUG")
    lm = load_model(folder)
    prepared = prepare_prompts(lm, PROMPTS, bos=True)
    expected = generate_prepared(lm, prepared, max_new_tokens=CAPS, token_budget=100)
    seen: list[tuple[int, int, str]] = []
    found = generate_vllm(
        lm,
        folder,
        prepared,
        max_new_tokens=CAPS,
        gpu_memory_utilization=0.4,
        progress=lambda *now: seen.append(now),
    )
    assert found == expected
    assert seen == [(0, 5, "generating"), (5, 5, "generating")]
    engine, *rounds = [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]
    assert engine["model"] == str(folder)
    assert engine["dtype"] == "float32"
    assert engine["gpu_memory_utilization"] == 0.4
    assert engine["trust_remote_code"] is False
    longest = max(len(ids) + cap for ids, cap in zip(prepared.ids, CAPS, strict=True))
    assert engine["max_model_len"] == longest
    assert engine["settings"]["VLLM_NO_USAGE_STATS"] == "1"
    assert engine["settings"]["VLLM_LOGGING_LEVEL"] == "DEBUG"  # the user's own choice
    first = rounds[0]
    # Token ids, begin-of-text included: vLLM adds none to those.
    assert [p["prompt_token_ids"] for p in first["prompts"]] == prepared.ids
    assert all(ids[0] == lm.tokenizer.bos_token_id for ids in prepared.ids)
    assert [p["max_tokens"] for p in first["params"]] == CAPS
    for params in first["params"]:
        assert params["temperature"] == 0
        assert params["stop"] == ["\n"]
        assert params["stop_token_ids"] == [lm.tokenizer.eos_token_id]


def scripted(vllm: Any, monkeypatch: pytest.MonkeyPatch, lm: LanguageModel, text: list[int]) -> Any:
    """A stand-in that writes given tokens after a prompt, and the lengths it was asked with."""
    asked: list[int] = []

    class Scripted(vllm.LLM):  # type: ignore[name-defined, misc]
        def __init__(self, model: str) -> None:
            self.tokenizer, self.limit, self.count = lm.tokenizer, 10**9, 0

        def next(self, ids: list[int]) -> int:
            asked.append(len(ids))
            return text[len(ids) - 2]

    monkeypatch.setattr(vllm, "LLM", Scripted)
    return asked


def finish(lm: LanguageModel, tokens: list[int], cap: int, *, newline: bool = True) -> Any:
    prepared = prepare_prompts(lm, ["T"], bos=True)
    made = Answer(lm.tokenizer, prepared, 0, cap, frozenset({1}), newline)
    for token in tokens:
        if made.accept(token):
            return made.result()
    return None


@pytest.mark.parametrize(
    ("text", "cap", "newline", "expected"),
    [
        ("\n \nPa\nQQ", 20, True, ("\n \nPa\n", "newline")),
        ("Pa\nQQ", 20, True, ("Pa\n", "newline")),
        ("Pa\nQ</s>", 20, False, ("Pa\nQ", "eos")),
        ("\n\n\n\n\n\n", 4, True, ("\n\n\n\n", "length")),
        ("\n</s>Pa", 20, True, ("\n", "eos")),
        ("Paris", 2, True, None),
    ],
)
def test_rules_that_end_an_answer(
    vllm: Any,
    make_model: Make,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    cap: int,
    newline: bool,
    expected: tuple[str, str] | None,
) -> None:
    lm = make_model()
    # One character a token, so that a newline stands alone.
    pieces = text.replace("</s>", "\0")
    tokens = [1 if c == "\0" else lm.tokenizer(c)["input_ids"][0] for c in pieces]
    assert len(prepare_prompts(lm, ["T"], bos=True).ids[0]) == 2
    asked = scripted(vllm, monkeypatch, lm, tokens)
    job = {
        "engine": {"model": "x"},
        "prompts": [{"ids": prepare_prompts(lm, ["T"], bos=True).ids[0], "cap": cap}],
        "ends": [1],
        "stop_at_newline": newline,
    }
    (made,) = answer(job)
    result = finish(lm, made, cap, newline=newline)
    if expected is None:
        assert (result.n_new_tokens, result.stop_reason) == (2, "length")
    else:
        assert (result.text, result.stop_reason) == expected
    # Not a token more was computed than the answer needs.
    assert len(asked) == result.n_new_tokens + (result.stop_reason == "eos")


def test_a_prompt_that_was_broken_off(
    vllm: Any, make_model: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = make_model()
    scripted(vllm, monkeypatch, lm, [5])
    broken = vllm.RequestOutput("1", None, [0], [vllm.CompletionOutput(0, "", [], "abort")])
    monkeypatch.setattr(vllm.LLM, "generate", lambda *_, **__: [broken])
    job = {"engine": {"model": "x"}, "prompts": [{"ids": [0], "cap": 3}], "ends": []}
    with pytest.raises(RuntimeError, match="broken off: abort"):
        answer(job | {"stop_at_newline": True})


def test_what_vllm_refuses_is_one_sentence(vllm: Any, saved: Callable[..., Path]) -> None:
    folder = saved("model")
    lm = load_model(folder, dtype="float64")
    prepared = prepare_prompts(lm, ["The"], bos=True)
    with pytest.raises(ModelError) as caught:
        generate_vllm(lm, folder, prepared, max_new_tokens=3)
    assert "(ValueError: Unknown dtype: 'float64'); lower" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_only_the_gpu_that_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert _environment(torch.device("cuda:1"))["CUDA_VISIBLE_DEVICES"] == "1"
    assert "CUDA_VISIBLE_DEVICES" not in _environment(torch.device("cuda"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    assert _environment(torch.device("cuda:1"))["CUDA_VISIBLE_DEVICES"] == "6"
    assert _environment(torch.device("cpu"))["CUDA_VISIBLE_DEVICES"] == "4,6"


def test_same_refusals_as_without_vllm(vllm: Any, make_model: Make) -> None:
    lm = make_model()
    prepared = prepare_prompts(lm, ["The"], bos=True)
    with pytest.raises(ConfigError, match="at least 1"):
        generate_vllm(lm, "x", prepared, max_new_tokens=0)
    with pytest.raises(ModelError, match=r"and 70 new tokens needs \d+ tokens"):
        generate_vllm(lm, "x", prepared, max_new_tokens=70)
    assert generate_vllm(lm, "x", prepare_prompts(lm, [], bos=True), max_new_tokens=3) == []


def test_without_vllm_one_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'polylore\[vllm\]'"):
        require_vllm()
