"""Scores equal one forward per candidate, whatever the engine, budget, script or architecture."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

from polylore.errors import ConfigError, ModelError
from polylore.models import (
    LanguageModel,
    Question,
    Score,
    engines,
    prepare,
    score,
    score_prepared,
    wrap,
)
from polylore.models.spans import encode

PACKED = ["llama", "gpt2", "gemma2", "mistral", "cohere", "granite", "opt"]
CACHED = ["bloom", "mpt", "lfm2"]

QUESTIONS = [
    Question("The capital of France is", " ", ("Paris", "Berlin", "New York", "P")),
    Question("The capital of Germany is", " ", ("Paris", "Berlin", "Bonn")),
    Question("法国的首都是", "", ("巴黎", "东京", "北京")),
    Question("日本の首都は", "", ("東京", "パリ")),
    Question("عاصمة فرنسا هي", " ", ("باريس", "طوكيو")),
    Question("फ़्रांस की राजधानी", " ", ("पेरिस", "टोक्यो")),
    Question("A", " ", ("B",)),
    Question("No candidates here", " ", ()),
]

Make = Callable[..., LanguageModel]


def naive(lm: LanguageModel, questions: list[Question], *, bos: bool = True) -> list[list[float]]:
    """One forward pass per candidate, no padding, full logits, float64 log-softmax."""
    result = []
    for q in questions:
        row = []
        for candidate in q.candidates:
            (e,) = encode(lm.tokenizer, [q.prompt + q.delimiter], [candidate], bos=bos)
            with torch.inference_mode():
                logits = lm.model(torch.tensor([e.ids])).logits[0].double().log_softmax(-1)
            row.append(sum(float(logits[t - 1, e.ids[t]]) for t in range(e.start, e.stop)))
        result.append(row)
    return result


def differences(scores: list[tuple[Score, ...]], expected: list[list[float]]) -> float:
    assert [len(s) for s in scores] == [len(e) for e in expected]
    return max(
        abs(s.logprob - e)
        for row, values in zip(scores, expected, strict=True)
        for s, e in zip(row, values, strict=True)
    )


@pytest.mark.parametrize("kind", PACKED)
def test_packed_equals_plain_equals_one_by_one(make_model: Make, kind: str) -> None:
    lm = make_model(kind)
    prepared = prepare(lm, QUESTIONS, bos=True)
    expected = naive(lm, QUESTIONS)
    packed = score_prepared(lm, prepared, token_budget=200, engine="packed")
    assert prepared.report is not None
    assert prepared.report.engine == "packed"
    plain = score_prepared(lm, prepared, token_budget=200, engine="plain")
    assert differences(packed, expected) < 1e-5
    assert differences(plain, expected) < 1e-5


@pytest.mark.parametrize("kind", CACHED)
def test_auto_reads_on_a_cache_where_packing_is_not_exact(make_model: Make, kind: str) -> None:
    lm = make_model(kind)
    prepared = prepare(lm, QUESTIONS, bos=True)
    scores = score_prepared(lm, prepared, token_budget=200)
    assert prepared.report is not None
    assert prepared.report.engine == "cached"
    assert prepared.report.reason.startswith("cached agrees with plain; packed ")
    assert differences(scores, naive(lm, QUESTIONS)) < 1e-5
    with pytest.raises(ModelError, match="packed engine is not exact"):
        score_prepared(lm, prepared, token_budget=200, engine="packed")


def test_auto_falls_back_and_says_so_where_no_cache_is_kept(
    make_model: Make, caplog: pytest.LogCaptureFixture
) -> None:
    engines.say.cache_clear()
    lm = make_model("mamba")
    prepared = prepare(lm, QUESTIONS, bos=True)
    for _ in range(2):
        lm.model = copy.deepcopy(lm.model)  # another model object is compared anew
        scores = score_prepared(lm, prepared, token_budget=200)
    assert prepared.report is not None
    assert prepared.report.engine == "plain"
    assert prepared.report.difference is None
    assert "packed fails (ModelError: MambaForCausalLM has layers" in prepared.report.reason
    assert "cached fails (ModelError: MambaForCausalLM keeps no cache" in prepared.report.reason
    assert differences(scores, naive(lm, QUESTIONS)) < 1e-5
    (record,) = caplog.records  # once, not for every question set
    assert "MambaForCausalLM is scored one candidate at a time, slowly" in record.getMessage()


@pytest.mark.parametrize("engine", ["packed", "cached", "plain"])
@pytest.mark.parametrize("rows", [1, 3, 32])
def test_scores_do_not_depend_on_the_batch(make_model: Make, engine: Any, rows: int) -> None:
    lm = make_model()
    whole = score(lm, QUESTIONS, token_budget=100_000, bos=True, engine=engine)
    width = max(len(s.ids) for s in prepare(lm, QUESTIONS, bos=True).strings)
    parts = score(lm, QUESTIONS, token_budget=rows * width, bos=True, engine=engine)
    alone = [score(lm, [q], token_budget=1, bos=True, engine=engine)[0] for q in QUESTIONS]
    expected = [[s.logprob for s in row] for row in whole]
    assert differences(parts, expected) < 1e-5
    assert differences(alone, expected) < 1e-5


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_tokenizers_padding_side_does_not_matter(make_model: Make, side: str) -> None:
    lm = make_model("gpt2")
    padding = copy.deepcopy(lm.tokenizer)
    padding.padding_side, padding.pad_token = side, "</s>"
    lm = wrap(lm.model, padding)
    for engine in ("plain", "packed", "cached"):
        scores = score(lm, QUESTIONS, token_budget=300, bos=False, engine=engine)  # type: ignore[arg-type]
        assert differences(scores, naive(lm, QUESTIONS, bos=False)) < 1e-5


def test_counts_of_tokens_and_bytes(make_model: Make) -> None:
    lm = make_model()
    scores = score(lm, QUESTIONS, token_budget=100, bos=True)
    for question, row in zip(QUESTIONS, scores, strict=True):
        for candidate, found in zip(question.candidates, row, strict=True):
            (e,) = encode(
                lm.tokenizer, [question.prompt + question.delimiter], [candidate], bos=False
            )
            assert found.n_tokens == e.stop - e.start
            assert found.n_bytes == len(candidate.encode("utf-8"))
            assert found.logprob < 0


def test_candidates_that_are_all_strings_of_a_vocabulary_sum_to_one(make_model: Make) -> None:
    lm = make_model()
    letters = [chr(k) for k in range(ord("a"), ord("z") + 1)]
    (row,) = score(
        lm, [Question("A:", "", tuple(letters))], token_budget=100, bos=True, engine="plain"
    )
    with torch.inference_mode():
        ids = torch.tensor([[0, *lm.tokenizer("A:")["input_ids"]]])
        expected = lm.model(ids).logits[0, -1].log_softmax(-1)
    for letter, found in zip(letters, row, strict=True):
        (token,) = lm.tokenizer(letter)["input_ids"]
        assert found.logprob == pytest.approx(float(expected[token]), abs=1e-5)


def test_a_wrong_engine_is_caught(make_model: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    lm = make_model()

    def causal(_: Any, ends: torch.Tensor, depths: torch.Tensor) -> torch.Tensor:
        size = ends.shape[1]
        mask = torch.full((size, size), torch.finfo(torch.float32).min).triu(1)
        return mask.expand(len(ends), 1, size, size)

    monkeypatch.setattr("polylore.models.forward.tree_masks", causal)
    prepared = prepare(lm, QUESTIONS, bos=True)
    scores = score_prepared(lm, prepared, token_budget=200)
    assert prepared.report is not None
    assert prepared.report.engine == "cached"
    assert "packed differs" in prepared.report.reason
    assert differences(scores, naive(lm, QUESTIONS)) < 1e-5


def starve(monkeypatch: pytest.MonkeyPatch, model: Any, most: int) -> list[int]:
    """Let passes of more than `most` tokens, cached ones included, run out of memory."""
    sizes: list[int] = []
    real = model.forward

    def scarce(*args: Any, **kwargs: Any) -> Any:
        rows, width = kwargs["input_ids"].shape
        cache = kwargs.get("past_key_values")
        sizes.append(rows * (width + (cache.get_seq_length() if cache else 0)))
        if sizes[-1] > most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(*args, **kwargs)

    monkeypatch.setattr(model, "forward", scarce)
    return sizes


@pytest.mark.parametrize("engine", ["packed", "cached", "plain"])
def test_running_out_of_memory_halves_the_budget(
    make_model: Make, monkeypatch: pytest.MonkeyPatch, engine: Any
) -> None:
    lm = make_model()
    expected = naive(lm, QUESTIONS)
    sizes = starve(monkeypatch, lm.model, most=150)
    scores = score(lm, QUESTIONS, token_budget=400, bos=True, engine=engine)
    assert differences(scores, expected) < 1e-5
    assert max(sizes) > 150 >= min(sizes)


def test_a_tree_row_that_does_not_fit_is_cut_into_shorter_ones(
    make_model: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = make_model(max_position_embeddings=512)
    questions = [Question(f"{n} The capital of France is", " ", ("Paris",)) for n in range(40)]
    expected = naive(lm, questions)
    prepared = prepare(lm, questions, bos=True)
    monkeypatch.setattr("polylore.models.scoring.row_limit", lambda *_: 256)
    sizes = starve(monkeypatch, lm.model, most=70)
    scores = score_prepared(lm, prepared, token_budget=1000)
    assert differences(scores, expected) < 1e-5
    assert prepared.report is not None
    assert prepared.report.engine == "packed"
    assert max(sizes) > 128
    assert sizes[-1] <= 64


@pytest.mark.parametrize("engine", ["auto", "packed", "cached", "plain"])
def test_a_row_that_never_fits_is_refused(
    make_model: Make, monkeypatch: pytest.MonkeyPatch, engine: Any
) -> None:
    lm = make_model()
    starve(monkeypatch, lm.model, most=1)
    with pytest.raises(ModelError, match="One row alone does not fit"):
        score(lm, QUESTIONS, token_budget=400, bos=True, engine=engine)


def test_too_long_is_refused_with_both_lengths(make_model: Make) -> None:
    lm = make_model()
    question = Question("The capital of France is " * 30, " ", ("Paris",))
    with pytest.raises(ModelError, match=r"'Paris' needs \d+ tokens.*reads at most 64"):
        score(lm, [question], token_budget=100, bos=True)


def test_nothing_before_the_answer_is_refused(make_model: Make) -> None:
    lm = make_model()
    question = Question("", "", ("Paris",))
    with pytest.raises(ModelError, match="Nothing stands before the answer 'Paris'"):
        score(lm, [question], token_budget=100, bos=False)
    assert score(lm, [question], token_budget=100, bos=True)[0][0].logprob < 0


def test_another_tokenizer_and_a_bad_budget_are_refused(make_model: Make) -> None:
    lm = make_model()
    prepared = prepare(lm, QUESTIONS, bos=True)
    with pytest.raises(ConfigError, match="at least 1, not 0"):
        score_prepared(lm, prepared, token_budget=0)
    prepared.tokenizer_hash = "other"
    with pytest.raises(ModelError, match="another tokenizer"):
        score_prepared(lm, prepared, token_budget=100)


def test_scores_that_are_not_numbers_are_refused(make_model: Make) -> None:
    lm = make_model()
    with torch.no_grad():
        lm.model.get_output_embeddings().weight[3] = float("nan")
    with pytest.raises(ModelError, match="gives no number for the prompt"):
        score(lm, QUESTIONS, token_budget=100, bos=True)


def test_a_model_in_training_goes_on_training(make_model: Make) -> None:
    lm = make_model("gpt2")
    lm.model.train()  # has dropout
    first = score(lm, QUESTIONS, token_budget=100, bos=True)
    assert lm.model.training
    assert first == score(lm, QUESTIONS, token_budget=100, bos=True)
    assert all(p.requires_grad for p in lm.model.parameters())


def test_progress_reaches_the_end(make_model: Make) -> None:
    seen: list[tuple[int, int, str]] = []
    score(
        make_model(),
        QUESTIONS,
        token_budget=1,
        bos=True,
        progress=lambda done, total, what: seen.append((done, total, what)),
    )
    assert [done for done, _, _ in seen] == sorted({done for done, _, _ in seen})
    assert seen[-1][0] == seen[-1][1]


def test_engines_are_compared_once_per_model(
    make_model: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm, other = make_model("llama"), make_model("llama")
    question = Question("The capital of France is", " ", ("Paris", "Berlin"))
    prepared = prepare(lm, [question], bos=True)
    first = score_prepared(lm, prepared, token_budget=512)
    monkeypatch.setattr(engines, "difference", lambda *_: 7.0)
    assert score_prepared(lm, prepared, token_budget=512) == first
    assert prepared.report is not None
    assert prepared.report.engine == "packed"
    score_prepared(other, prepared, token_budget=512)
    assert prepared.report.engine == "plain"
