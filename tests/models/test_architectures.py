"""Every architecture: scores and texts equal those of one plain call per candidate or token.

The references below use the model and its tokenizer alone, nothing of polylore.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from zoo import WINDOW, ZOO

from polylore.models import (
    LanguageModel,
    Question,
    generate,
    prepare,
    prepare_prompts,
    score_prepared,
)
from polylore.models.forward import evaluation
from polylore.models.prefill import may_share

Make = Callable[..., LanguageModel]

ENGINES = dict.fromkeys(ZOO, "packed") | {
    "bloom": "cached",  # ALiBi counts keys, not positions
    "mpt": "cached",
    "lfm2": "cached",  # convolutions over the tokens of a row
    "mamba": "plain",  # a state, but not among what transformers calls key/value caches
}
"""Which engine has to answer; a silent fall-back to a slower one fails the test."""

WINDOWED = [
    "qwen2-window",
    "mistral",
    "gemma2",
    "gemma3",
    "gemma3-mixed",
    "phi3",
    "smollm3-window",
]

DEMONSTRATIONS = "The capital of Germany is Berlin.\n日本の首都は東京です。\n"
QUESTIONS = [
    Question("The capital of France is", " ", ("Paris", "Berlin", "New York", "P")),
    Question(DEMONSTRATIONS + "The capital of France is", " ", ("Paris", "New York", "P")),
    Question(DEMONSTRATIONS + "فرنسا", " ", ("باريس", "طوكيو")),
    Question("法国的首都是", "", ("巴黎", "东京")),
    Question("फ़्रांस की राजधानी", " ", ("पेरिस", "टोक्यो")),
    Question("Of", " ", ("B",)),
    Question("No candidates here", " ", ()),
]


def with_bos(tokenizer: Any, ids: list[int], bos: bool) -> list[int]:
    return [tokenizer.bos_token_id, *ids] if bos else ids


def reference(lm: LanguageModel, bos: bool) -> list[list[float]]:
    """Log-probability of the tokens that end after the prompt does; one call per candidate."""
    result: list[list[float]] = []
    for q in QUESTIONS:
        result.append([])
        for candidate in q.candidates:
            text = q.prompt + q.delimiter + candidate
            found = lm.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
            ends = [end for _, end in found["offset_mapping"]]
            n_target = sum(end > len(q.prompt + q.delimiter) for end in ends)
            ids = with_bos(lm.tokenizer, found["input_ids"], bos)
            with torch.inference_mode():
                logprobs = lm.model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
            places = range(len(ids) - n_target, len(ids))
            result[-1].append(sum(float(logprobs[k - 1, ids[k]]) for k in places))
    return result


def largest(left: list[list[float]], right: list[list[float]]) -> float:
    assert [len(row) for row in left] == [len(row) for row in right]
    return max(
        abs(a - b) for x, y in zip(left, right, strict=True) for a, b in zip(x, y, strict=True)
    )


def asked(lm: LanguageModel, bos: bool, engine: Any = "auto") -> tuple[list[list[float]], str]:
    prepared = prepare(lm, QUESTIONS, bos=bos)
    scores = score_prepared(lm, prepared, token_budget=300, engine=engine)
    assert prepared.report is not None
    return [[s.logprob for s in row] for row in scores], prepared.report.engine


@pytest.mark.parametrize("kind", ZOO)
def test_scores_are_those_of_one_candidate_per_call(make_model: Make, kind: str) -> None:
    lm = make_model(kind)
    for bos in (True, False):
        expected = reference(lm, bos)
        spread = torch.tensor(expected[0])
        assert float(spread.max() - spread.min()) > 1  # not degenerate: candidates differ clearly
        scores, engine = asked(lm, bos)
        assert largest(scores, expected) < 1e-5
        assert engine == ENGINES[kind]


@pytest.mark.parametrize("kind", sorted(set(ENGINES) - {"mamba"}))
def test_the_cached_engine_is_exact_wherever_a_cache_is_kept(make_model: Make, kind: str) -> None:
    lm = make_model(kind)
    scores, engine = asked(lm, bos=True, engine="cached")
    assert engine == "cached"
    assert largest(scores, reference(lm, bos=True)) < 1e-5


@pytest.mark.parametrize("kind", WINDOWED)
def test_the_texts_reach_beyond_the_windows(
    make_model: Make, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    lm = make_model(kind)
    lengths = [len(s.ids) for s in prepare(lm, QUESTIONS, bos=False).strings]
    width = lm.model.config.sliding_window
    assert width in (WINDOW, 2 * WINDOW)
    assert min(lengths) < width < max(lengths) / 2
    # Masks without windows are noticed, so the windows matter here.
    monkeypatch.setattr("polylore.models.masks.windows", lambda _: {"full_attention": None})
    scores, engine = asked(lm, bos=True)
    assert engine == "cached"
    assert largest(scores, reference(lm, bos=True)) < 1e-5


GAPS_COUNT = [*WINDOWED, "mpt", "lfm2"]
"""Where prompts cannot be read behind a shared beginning: a window, ALiBi by index, or a state."""

PROMPTS = [
    "The capital of France is",
    "The",
    "法国的首都是",
    DEMONSTRATIONS + "فرنسا",
    DEMONSTRATIONS + "The capital of France is",
    "फ़्रांस की राजधानी",
]
CAPS = [5, 12, 8, 10, 9, 1]


def continued(lm: LanguageModel, prompt: str, cap: int, bos: bool) -> str:
    """Greedy text, the whole string read anew for every token."""
    ids = with_bos(lm.tokenizer, list(lm.tokenizer(prompt)["input_ids"]), bos)
    new: list[int] = []
    while len(new) < cap:
        with torch.inference_mode():
            token = int(lm.model(torch.tensor([ids + new])).logits[0, -1].argmax())
        if token == lm.tokenizer.eos_token_id:
            break
        new.append(token)
        if "\n" in lm.tokenizer.decode(new).lstrip():
            break
    return str(lm.tokenizer.decode(new))


@pytest.mark.parametrize("kind", sorted(set(ZOO) - {"mamba"}))
def test_texts_are_those_of_one_token_per_call(make_model: Make, kind: str) -> None:
    lm = make_model(kind, seed=3)
    ids = prepare_prompts(lm, PROMPTS, bos=True).ids
    with evaluation(lm.model):
        assert may_share(lm, ids, longest=40) == (kind not in GAPS_COUNT)
    for bos in (True, False):
        expected = [continued(lm, p, cap, bos) for p, cap in zip(PROMPTS, CAPS, strict=True)]
        assert len(set(expected)) > 3
        for budget in (1, 120, 10_000):
            found = generate(lm, PROMPTS, max_new_tokens=CAPS, bos=bos, token_budget=budget)
            assert [g.text for g in found] == expected


def test_a_window_longer_than_the_texts_forbids_no_sharing(make_model: Make) -> None:
    ids = [[0, 5, 6, 7, 8], [0, 5, 6, 9], [0, 5]]
    lm = make_model("mistral")
    with evaluation(lm.model):
        assert may_share(lm, ids, longest=WINDOW)
        assert not may_share(lm, ids, longest=WINDOW + 1)
