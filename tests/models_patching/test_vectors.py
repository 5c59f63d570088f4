"""Concept vectors: what is read off, and what is made of it."""

from collections.abc import Callable

import pytest
import torch
from decoders import DECODERS, LAYERS, QUICK, Tiny, close

from polylore.errors import DataError, ModelError
from polylore.models.patching import RunningMean, concept_states, gaussian, mean_of, with_norm

Make = Callable[..., Tiny]


def sources(one: Tiny) -> list[tuple[int, ...]]:
    return [prompt.ids[: prompt.last + 1] for prompt in one.prompts]


@pytest.mark.parametrize("kind", DECODERS)
def test_states_are_those_of_the_object_in_the_whole_prompt(tiny: Make, kind: str) -> None:
    """By causality, whatever follows; held against the hidden states of transformers itself."""
    one = tiny(kind)
    found = dict(concept_states(one.lm, one.blocks, sources(one), token_budget=70))
    assert sorted(found) == list(range(len(one.prompts)))
    for k, prompt in enumerate(one.prompts):
        with torch.inference_mode():
            whole = one.lm.model(torch.tensor([prompt.ids]), output_hidden_states=True)
        # The last one has gone through the final norm.
        expected = torch.stack([state[0, prompt.last] for state in whole.hidden_states[:-1]])
        assert found[k].shape == (LAYERS + 1, 1, 32)
        close(expected, found[k][:-1, 0])


@pytest.mark.parametrize("kind", QUICK)
def test_batches_and_spans(tiny: Make, kind: str) -> None:
    one = tiny(kind)
    many, few = (
        dict(concept_states(one.lm, one.blocks, sources(one), tokens=3, token_budget=budget))
        for budget in (10_000, 1)
    )
    single = dict(concept_states(one.lm, one.blocks, sources(one), token_budget=10_000))
    for k in range(len(one.prompts)):
        close(many[k], few[k])
        assert many[k].shape == (LAYERS + 1, 3, 32)
        close(many[k][:, -1:], single[k])


def test_prompts_that_cannot_be_read(tiny: Make) -> None:
    one = tiny("llama")
    with pytest.raises(DataError, match="of 1 tokens has no 2 to keep"):
        list(concept_states(one.lm, one.blocks, [(5,)], tokens=2, token_budget=9))
    with pytest.raises(ModelError, match="needs 65 tokens"):
        list(concept_states(one.lm, one.blocks, [(5,) * 65], token_budget=9))


def members() -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    return [torch.randn(LAYERS + 1, 1, 32, generator=draw) for _ in range(5)]


def test_means_keep_nothing_but_sums() -> None:
    running = RunningMean()
    for member in members():
        running.add(member)
    expected = torch.stack(members()).mean(0)
    torch.testing.assert_close(running.mean(), expected)
    torch.testing.assert_close(mean_of(members()), expected)
    # Averaging shrinks; matched, the mean has the average norm of its members again.
    norms = torch.stack(members()).norm(dim=-1, keepdim=True).mean(0)
    assert bool((expected.norm(dim=-1, keepdim=True) < 0.6 * norms).all())
    matched = running.norm_matched()
    torch.testing.assert_close(matched.norm(dim=-1, keepdim=True), norms)
    torch.testing.assert_close(
        torch.cosine_similarity(matched, expected, dim=-1), torch.ones(LAYERS + 1, 1)
    )
    assert running.count == 5


def test_members_in_half_precision_are_summed_in_float32() -> None:
    running = RunningMean()
    for _ in range(1000):
        running.add(torch.full((1, 1, 2), 1.0078125, dtype=torch.bfloat16))
    torch.testing.assert_close(running.mean(), torch.full((1, 1, 2), 1.0078125))


def test_noise_has_the_norm_and_nothing_else() -> None:
    one, two = members()[:2]
    noise = gaussian(one, seed=3)
    torch.testing.assert_close(noise.norm(dim=-1), one.norm(dim=-1))
    assert torch.equal(noise, gaussian(one, seed=3))
    assert not torch.equal(noise, gaussian(one, seed=4))
    direction = noise / noise.norm(dim=-1, keepdim=True)
    other = gaussian(two, seed=3)
    torch.testing.assert_close(direction, other / other.norm(dim=-1, keepdim=True))
    assert float(torch.cosine_similarity(noise, one, dim=-1).abs().max()) < 0.6


def test_means_of_nothing_and_zeros() -> None:
    with pytest.raises(DataError, match="no concept vectors"):
        mean_of([])
    with pytest.raises(DataError, match="have no mean"):
        mean_of([torch.zeros(2, 1, 3), torch.zeros(2, 1, 4)])
    assert torch.equal(with_norm(torch.zeros(2, 1, 3), torch.ones(2, 1, 1)), torch.zeros(2, 1, 3))
