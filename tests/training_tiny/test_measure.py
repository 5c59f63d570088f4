"""Answers and states against the standard class, one prompt at a time."""

import numpy as np
import pytest
import torch
from synthetic import NAMES, RELATIONS, VALUES, VOCABULARY, Facts

from polylore.errors import DataError
from polylore.training.tiny.config import Recipe
from polylore.training.tiny.measure import answers, greedy, states
from polylore.training.tiny.sizes import Sizes
from polylore.training.tiny.stack import TinyModel


@pytest.fixture
def model() -> TinyModel:
    # Far from initialisation, so that answers differ.
    fresh = TinyModel.fresh(Sizes.of(Recipe(hidden=32, layers=3), VOCABULARY), 0)
    fresh.row[: fresh.sizes.matrices] *= 8
    return fresh


def candidates(value_len: int) -> np.ndarray:
    first = 1 + NAMES + RELATIONS + VALUES * np.arange(RELATIONS)
    own = first[:, None, None] + np.arange(VALUES)[None, :, None]
    return np.concatenate([own, own[:, ::-1]][:value_len], axis=2).astype(np.int64)


def test_states_are_numbered_as_the_standard_class_does(model: TinyModel) -> None:
    prompts = Facts().rows[:7, :3]
    with torch.no_grad():
        expected = model.transformers()(torch.from_numpy(prompts), output_hidden_states=True)
    stacked = torch.stack(expected.hidden_states, 1)
    found = states(model, prompts)
    assert found.shape == (7, 4, 3, 32)
    torch.testing.assert_close(torch.from_numpy(found), stacked, atol=1e-5, rtol=1e-5)
    shorter = np.concatenate((prompts[:, 1:], prompts[:, :1]), axis=1)
    pad = np.array([1, 0, 1, 0, 1, 0, 1])
    mixed = states(model, np.where(pad[:, None] == 1, shorter, prompts), pad=pad)
    np.testing.assert_allclose(mixed[0, :, :2], states(model, shorter[:1, :2])[0], atol=1e-5)
    np.testing.assert_allclose(mixed[1], found[1], atol=1e-5)
    assert not mixed[0, :, 2].any()


@pytest.mark.parametrize("value_len", [1, 2])
def test_answers_one_by_one(model: TinyModel, value_len: int) -> None:
    rows = Facts(value_len=value_len).rows
    prompts, gold = rows[:, :3], rows[:, 3:]
    group = np.tile(np.arange(RELATIONS), NAMES)
    values = candidates(value_len)
    found = answers(model, prompts, gold, values, group)
    judge = model.transformers()

    def logprobs(ids: list[int]) -> torch.Tensor:
        with torch.no_grad():
            return judge(torch.tensor([ids])).logits[0, -1].double().log_softmax(-1)

    def score(prompt: list[int], value: list[int]) -> float:
        return sum(float(logprobs(prompt + value[:k])[value[k]]) for k in range(len(value)))

    for index, prompt in enumerate(prompts.tolist()):
        said: list[int] = []
        for _ in range(value_len):
            said.append(int(logprobs(prompt + said).argmax()))
        assert found.pred[index].tolist() == said
        first = logprobs(prompt)
        assert found.rank[index] == 1 + int((first > first[gold[index, 0]]).sum())
        assert found.logp_gold[index] == pytest.approx(
            score(prompt, gold[index].tolist()), abs=1e-4
        )
        scores = [score(prompt, value) for value in values[group[index]].tolist()]
        assert found.restricted[index] == int(np.argmax(scores))
        shares = np.exp(scores) / np.exp(scores).sum()
        np.testing.assert_allclose(found.probabilities[index], shares, atol=1e-5)
    assert greedy(model, prompts, value_len).tolist() == found.pred.tolist()
    assert len({*found.pred[:, 0].tolist()}) > 2


def test_padded_prompts_and_small_memory(model: TinyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Facts(value_len=2).rows
    prompts, gold, group = rows[:, :3], rows[:, 3:], np.tile(np.arange(RELATIONS), NAMES)
    pad = (np.arange(len(rows)) % 2).astype(np.int64)
    short = np.concatenate((prompts[:, 1:], np.zeros((len(rows), 1), np.int64)), axis=1)
    mixed = answers(
        model, np.where(pad[:, None] == 1, short, prompts), gold, candidates(2), group, pad=pad
    )
    monkeypatch.setattr("polylore.training.tiny.measure.CHUNK", 2000)
    for odd, own in ((0, prompts), (1, short[:, :2])):
        part = answers(model, own[pad == odd], gold[pad == odd], candidates(2), group[pad == odd])
        assert part.pred.tolist() == mixed.pred[pad == odd].tolist()
        np.testing.assert_allclose(part.logp_gold, mixed.logp_gold[pad == odd], atol=1e-5)
        np.testing.assert_allclose(part.probabilities, mixed.probabilities[pad == odd], atol=1e-5)


def test_ties_count_half() -> None:
    model = TinyModel.fresh(Sizes.of(Recipe(hidden=32), VOCABULARY), 0)
    model.row.zero_()
    found = answers(
        model,
        np.zeros((1, 2), np.int64),
        np.ones((1, 1), np.int64),
        candidates(1),
        np.zeros(1, np.int64),
    )
    assert found.rank.tolist() == [(VOCABULARY + 1) / 2]
    np.testing.assert_allclose(found.probabilities, 1 / VALUES)


def test_values_that_are_not_there(model: TinyModel) -> None:
    rows, fewer = Facts().rows[::RELATIONS], candidates(1)
    group = np.zeros(len(rows), np.int64)
    whole = answers(model, rows[:, :3], rows[:, 3:], fewer, group)
    fewer[0, 1] = -1
    found = answers(model, rows[:, :3], rows[:, 3:], fewer, group)
    assert not found.probabilities[:, 1].any()
    kept = whole.probabilities[:, [0, 2, 3]]
    kept /= kept.sum(1, keepdims=True)
    np.testing.assert_allclose(found.probabilities[:, [0, 2, 3]], kept, atol=1e-5)
    assert 1 not in found.restricted


def test_arrays_that_do_not_fit(model: TinyModel) -> None:
    rows = Facts().rows
    with pytest.raises(DataError, match="do not fit each other"):
        answers(model, rows[:, :3], rows[:, 3:], candidates(2), np.zeros(len(rows), np.int64))
