"""The benchmark compares like with like."""

import importlib.util
import json
import math
import sys
from contextlib import ExitStack
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from transformers import AutoModelForCausalLM

from polylore.cli.bench import bench
from polylore.errors import ConfigError, ModelError
from polylore.models import LanguageModel, prepare
from polylore.studies.bench import rivals, timing
from polylore.studies.bench.config import SIZES, BenchConfig, Size
from polylore.studies.bench.score import LM_EVAL, ONE, POLYLORE, STATEMENTS, VLLM, bench_score
from polylore.studies.bench.ways import by_question, full_statements, one_by_one, sorted_batches
from polylore.studies.bench.workload import make_model, make_workload

MICRO = Size(64, 96, 2, 4, 2, 300)


@pytest.fixture(autouse=True)
def micro(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIZES, "micro", MICRO)


@pytest.fixture(scope="module")
def lm() -> LanguageModel:
    return make_model("micro", MICRO, "float32", "cpu")


@pytest.fixture
def without_rivals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rivals, "find_spec", lambda name: None)


def differences(one: list[list[float]], two: list[list[float]]) -> float:
    return max(abs(a - b) for x, y in zip(one, two, strict=True) for a, b in zip(x, y, strict=True))


def test_the_workload_is_what_it_says(lm: LanguageModel) -> None:
    questions = make_workload(9, 4, MICRO.vocabulary, seed=1)
    beginnings = []
    for question in questions:
        words = question.prompt.split()
        assert 68 <= len(words) <= 80
        assert len(set(question.candidates)) == 10
        assert {1, 4} <= {len(c.split()) for q in questions for c in q.candidates} <= {1, 2, 3, 4}
        beginnings.append(tuple(words[:60]))
    assert [beginnings.index(b) for b in beginnings] == [0, 0, 0, 0, 4, 4, 4, 4, 8]
    for string in prepare(lm, questions, bos=True).strings:
        assert string.ids[0] == 0
        assert string.ids.count(0) == 1
        assert min(string.ids[1:]) > 3  # no unknown words: a token each


def test_all_ways_agree_and_ratios_stand_side_by_side() -> None:
    seen: list[tuple[int, int]] = []
    config = BenchConfig(sizes=["micro"], questions=3, shared=2, rounds=3)
    found = bench_score(config, progress=lambda done, total, what: seen.append((done, total)))
    assert {key: found[key] for key in config.plain()} == config.plain()
    (model,) = found["models"]
    assert model["parameters"] == sum(
        p.numel() for p in make_model("micro", MICRO, "float32", "cpu").model.parameters()
    )
    assert model["engine"] == "packed"
    ways = {way["name"]: way for way in model["ways"]}
    assert next(iter(ways)) == ONE
    assert list(ways)[-1] == POLYLORE
    for way in ways.values():
        if way["seconds"] is None:
            assert "not installed" in way["note"]
            continue
        assert len(way["seconds_of_rounds"]) == 3
        assert 0 < way["speedup_lowest"] <= way["speedup"] <= way["speedup_highest"]
        assert way["candidates_per_second"] == pytest.approx(30 / way["seconds"])
        assert way["largest_difference"] <= 1e-5
    assert ways[POLYLORE]["speedup"] == ways[POLYLORE]["speedup_highest"] == 1
    assert ways[ONE]["largest_difference"] == 0
    assert ways[STATEMENTS]["batch"] in (1, 4, 8)
    assert seen[-1][0] == seen[-1][1]


def test_the_order_of_the_ways_turns_and_quick_ways_are_repeated() -> None:
    calls: list[str] = []
    clock = {"slow": 1.0, "middle": 0.5, "quick": 0.1}
    now = [0.0]

    def way(name: str) -> Any:
        def run(questions: Any) -> list[list[float]]:
            calls.append(name)
            now[0] += clock[name]
            return [[0.0]]

        return run

    runs = {name: way(name) for name in clock}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing.time, "perf_counter", lambda: now[0])
        _, seconds = timing.measure(runs, [], 3, "micro", None)
    quick = ["quick"] * 3
    first = ["slow", "middle", *quick]
    assert calls == [*first, "middle", *quick, "slow", *quick, "slow", "middle"]
    for name, own in seconds.items():
        assert own == pytest.approx([clock[name]] * 3)


def test_half_precision_runs_the_same_way(without_rivals: None) -> None:
    config = BenchConfig(sizes=["micro"], questions=2, shared=2, rounds=1, dtype="bfloat16")
    (model,) = bench_score(config)["models"]
    differences = [way["largest_difference"] for way in model["ways"] if way["seconds"]]
    assert len(differences) == 4
    assert 1e-6 < max(differences) < 0.1  # rounding of the format, not of polylore


def test_batches_do_not_change_the_numbers(lm: LanguageModel) -> None:
    questions = make_workload(3, 3, MICRO.vocabulary)
    plain = one_by_one(lm)(questions)
    for rows in (3, 10, 64):
        assert differences(sorted_batches(lm, rows)(questions), plain) < 1e-5
        assert differences(full_statements(lm, rows)(questions), plain) < 1e-5


def test_one_candidate_per_forward_is_what_the_model_says(lm: LanguageModel) -> None:
    questions = make_workload(1, 1, MICRO.vocabulary)
    (found,) = one_by_one(lm)(questions)
    for candidate, value in zip(questions[0].candidates, found, strict=True):
        text = questions[0].prompt + " " + candidate
        ids = lm.tokenizer(text)["input_ids"]
        with torch.inference_mode():
            logprobs = lm.model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        n = len(candidate.split())
        expected = sum(float(logprobs[t - 1, ids[t]]) for t in range(len(ids) - n, len(ids)))
        assert value == pytest.approx(expected, abs=1e-5)


def test_lm_eval_gives_the_same_numbers(lm: LanguageModel) -> None:
    if importlib.util.find_spec("lm_eval") is None:
        pytest.skip("lm-eval (extra bench) is not installed")
    questions = make_workload(3, 3, MICRO.vocabulary)
    plain = one_by_one(lm)(questions)
    for rows in (1, 8):
        assert differences(rivals.lm_eval(lm, rows)(questions), plain) < 1e-5


def test_what_is_not_installed_says_how_to_get_it(lm: LanguageModel, without_rivals: None) -> None:
    with pytest.raises(ConfigError, match=r"pip install 'polylore\[bench\]'"):
        rivals.lm_eval(lm, 1)
    with ExitStack() as resources, pytest.raises(ConfigError, match=r"polylore\[vllm\]"):
        rivals.vllm(lm, resources)
    config = BenchConfig(sizes=["micro"], questions=1, rounds=1)
    (model,) = bench_score(config)["models"]
    ways = {way["name"]: way for way in model["ways"]}
    assert ways[LM_EVAL]["note"] == "not installed: pip install 'polylore[bench]'"
    assert ways[LM_EVAL]["seconds"] is ways[LM_EVAL]["speedup"] is None
    assert VLLM not in ways  # it needs a GPU


class FakeLLM:
    """What polylore uses of `vllm.LLM`, answered by transformers."""

    def __init__(self, model: str, dtype: str, gpu_memory_utilization: float) -> None:
        assert 0 < gpu_memory_utilization < 1
        self.model = AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype))

    def generate(self, prompts: Any, parameters: Any, use_tqdm: bool) -> list[Any]:
        assert parameters.prompt_logprobs == 1
        assert parameters.max_tokens == 1
        return [self._output(prompt["prompt_token_ids"]) for prompt in prompts]

    def _output(self, ids: list[int]) -> Any:
        with torch.inference_mode():
            logprobs = self.model(torch.tensor([ids])).logits[0].float().log_softmax(-1)
        rows = [
            {ids[t]: SimpleNamespace(logprob=float(logprobs[t - 1, ids[t]]))}
            for t in range(1, len(ids))
        ]
        return SimpleNamespace(prompt_logprobs=[None, *rows])


def test_vllm_is_measured_where_it_is_installed(
    without_rivals: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = ModuleType("vllm")
    fake.__spec__ = ModuleSpec("vllm", None)
    fake.LLM = FakeLLM  # type: ignore[attr-defined]
    fake.SamplingParams = SimpleNamespace  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", fake)
    monkeypatch.setattr(rivals, "has_vllm", lambda: True)
    for name in rivals.SETTINGS:
        monkeypatch.setenv(name, "0")
    (model,) = bench_score(BenchConfig(sizes=["micro"], questions=2, rounds=1))["models"]
    ways = {way["name"]: way for way in model["ways"]}
    assert 0 < ways[VLLM]["largest_difference"] <= 1e-5
    assert ways[VLLM]["speedup"] > 0


def test_json_is_all_that_is_printed(without_rivals: None) -> None:
    words = ["--sizes", "micro", "--questions", "2", "--rounds", "1"]
    result = CliRunner().invoke(bench, ["score", *words, "--json"], catch_exceptions=False)
    found = json.loads(result.output)
    assert found["models"][0]["size"] == "micro"
    assert found["rounds"] == 1
    result = CliRunner().invoke(bench, ["score", *words], catch_exceptions=False)
    lines = result.output.splitlines()
    assert any(line.startswith(ONE) for line in lines)
    assert any(line.startswith(LM_EVAL) and "polylore[bench]" in line for line in lines)


def test_what_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match="no size 7b; choose from 20m, 80m, 1b"):
        BenchConfig.parse({"sizes": ["7b"]})
    with pytest.raises(ConfigError, match="device warp cannot be used"):
        make_model("micro", MICRO, "float32", "warp")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="device cuda cannot be used"):
            make_model("micro", MICRO, "float32", "cuda")


def test_the_named_sizes_are_about_what_they_say() -> None:
    for name, millions in {"20m": 20, "80m": 80, "1b": 1200}.items():
        size = SIZES[name]
        own = size.hidden // size.heads * size.kv_heads
        layer = 2 * size.hidden**2 + 2 * size.hidden * own + 3 * size.hidden * size.inner
        parameters = size.vocabulary * size.hidden + size.layers * layer
        assert parameters / 1e6 == pytest.approx(millions, rel=0.05)


def test_candidates_go_back_to_their_questions(lm: LanguageModel) -> None:
    questions = make_workload(2, 1, MICRO.vocabulary)
    prepared = prepare(lm, questions, bos=True)
    assert by_question(prepared, [float(k) for k in range(20)]) == [
        [float(k) for k in range(10)],
        [float(k) for k in range(10, 20)],
    ]


def test_batches_that_do_not_fit_are_not_taken(lm: LanguageModel) -> None:
    questions = make_workload(2, 2, MICRO.vocabulary)

    def make(rows: int) -> Any:
        def run(asked: Any) -> list[list[float]]:
            if rows > fits and len(asked) > 1:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return one_by_one(lm)(asked)

        return run

    fits = 16
    assert timing.best_batch(make, questions, questions[:1], (16, 64)) == 16
    fits = 0
    with pytest.raises(ModelError, match="Batches of 16 do not fit"):
        timing.best_batch(make, questions, questions[:1], (16, 64))


def test_counting_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("daachorse", reason="the extra `corpus` is not installed")
    pytest.importorskip("stringzilla", reason="the extra `corpus` is not installed")
    from polylore.studies.bench import count as module

    sizes = []

    def side_by_side(groups: list, config: object, most: float = math.inf) -> tuple[float, float]:
        sizes.append((len(groups), most))
        return (6.0, 100.0) if len(groups) == 1 else (4.0, 110.0)

    monkeypatch.setattr(module, "_side_by_side", side_by_side)
    found = module.bench_count(megabytes=1, shards=2, rounds=1)
    assert found["patterns"] >= 12_000
    assert 1e6 <= found["bytes"] < 1.2e6
    assert found["exposures"] > 0
    assert 0 < found["ratio_lowest"] <= found["ratio"] <= found["ratio_highest"]
    assert found["two_processes"] == 1.5
    assert found["peak_mb_of_all"] == found["peak_mb_of_a_part"] == 100
    # A tenth of the text for memory, then one and two processes on all of it.
    assert sizes == [(1, pytest.approx(found["bytes"] / 10)), (1, math.inf), (2, math.inf)]
    less = module.bench_count(megabytes=1, shards=2, rounds=1, parts=("processes",))
    assert "ratio" not in less
    assert less["bytes"] == found["bytes"]
