"""Edits and patches change what they should, and nothing else."""

import numpy as np
import pytest
import torch
from synthetic import NAMES, RELATIONS, VALUES, VOCABULARY, Facts

from polylore.errors import DataError
from polylore.training.tiny.config import Recipe
from polylore.training.tiny.edits import Asked, edited, says
from polylore.training.tiny.loop import Job, train
from polylore.training.tiny.measure import greedy, states
from polylore.training.tiny.patches import patched
from polylore.training.tiny.sizes import Sizes
from polylore.training.tiny.stack import TinyModel

RECIPE = Recipe(hidden=32, batch_size=48, steps=150, warmup=10, learning_rate=1e-2)


@pytest.fixture(scope="module")
def learnt() -> TinyModel:
    """A model that knows its facts."""
    kept: list[TinyModel] = []
    train(
        RECIPE,
        [Job(Facts(batch_size=48), 0)],
        vocabulary=VOCABULARY,
        on_evaluation=lambda found: kept.append(found.model.copy()),
    )
    rows = Facts().rows
    assert (greedy(kept[-1], rows[:, :3]) == rows[:, 3:]).mean() > 0.95
    return kept[-1]


def test_edits_take_and_the_rest_stays(learnt: TinyModel) -> None:
    rows = Facts().rows
    old = rows[:4, 3:]
    first = 1 + NAMES + RELATIONS + VALUES * (rows[:4, 2:3] - 1 - NAMES)
    new = first + (old - first + 1) % VALUES
    told = np.concatenate((rows[:4, :3], new), axis=1)
    before = learnt.row.clone()
    after = edited(learnt, lambda step: told, lambda step: rows[4:])
    assert torch.equal(learnt.row, before)
    asked = Asked(rows[:4, :3], np.stack((new, old), axis=1))
    assert says(learnt, asked).tolist() == [1, 1, 1, 1]
    assert says(after, asked).tolist() == [0, 0, 0, 0]
    kept = says(after, Asked(rows[4:, :3], rows[4:, None, 3:]))
    assert (kept == 0).mean() > 0.8
    assert says(after, Asked(rows[:2, :3], np.zeros((2, 1, 1), np.int64))).tolist() == [-1, -1]


def test_edits_are_plain_adamw(learnt: TinyModel) -> None:
    rows = Facts().rows
    found = edited(learnt, lambda step: rows[:3], lambda step: rows[3 + step :], steps=4)
    model = learnt.transformers().train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, betas=(0.9, 0.95), weight_decay=0.0)
    for step in range(1, 5):
        total = torch.zeros(())
        for part in (rows[:3], rows[3 + step :]):
            ids = torch.from_numpy(part)
            logits = model(ids[:, :-1]).logits[:, -1]
            total = total + torch.nn.functional.cross_entropy(logits, ids[:, -1])
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    expected = TinyModel.of(model)
    torch.testing.assert_close(found.row, expected.row, atol=2e-4, rtol=0)
    assert float((found.row - learnt.row).abs().max()) > 1e-3


def test_patching_the_whole_prompt_gives_the_donors_answer(learnt: TinyModel) -> None:
    rows = Facts().rows
    base, donor = rows[:10, :3], rows[np.arange(10, 20), :3]
    said = np.stack((greedy(learnt, base), greedy(learnt, donor)), axis=1)
    differ = said[:, 0, 0] != said[:, 1, 0]
    assert differ.sum() > 3
    whole = patched(learnt, base, donor, 0, 2, said)
    assert whole.hit.shape == whole.logp.shape == (2, 10, 2)
    assert whole.hit[:, :, 1].all()
    assert not whole.hit[:, differ, 0].any()
    same = patched(learnt, base, base, 1, 1, said)
    assert same.hit[:, :, 0].all()
    cue = patched(learnt, base, donor, 0, 0, said)  # the same token everywhere
    np.testing.assert_allclose(cue.logp, same.logp, atol=1e-4)


def test_the_input_of_one_layer_is_overwritten(learnt: TinyModel) -> None:
    """By hand: the rest of the network on a state that was changed at one token."""
    rows = Facts().rows
    base, donor = rows[:6, :3], rows[6:12, :3]
    found = patched(learnt, base, donor, 1, 1, rows[6:12, None, 3:])
    model = learnt.transformers()
    for layer in range(2):
        mixed = states(learnt, base)[:, layer].copy()
        mixed[:, 1] = states(learnt, donor)[:, layer, 1]
        state = torch.from_numpy(mixed)
        hook = model.model.layers[layer].register_forward_pre_hook(
            lambda _, args, state=state: (state, *args[1:])
        )
        with torch.no_grad():
            logits = model(torch.from_numpy(base)).logits[:, -1].log_softmax(-1)
        hook.remove()
        expected = logits.gather(1, torch.from_numpy(rows[6:12, 3:]))
        np.testing.assert_allclose(found.logp[layer], expected.numpy(), atol=1e-4)


def test_values_of_two_tokens_must_be_answered_whole() -> None:
    model = TinyModel.fresh(Sizes.of(Recipe(hidden=32), VOCABULARY), 0)
    model.row[: model.sizes.matrices] *= 8
    rows = Facts(value_len=2).rows
    base, donor = rows[:8, :3], rows[8:16, :3]
    said = greedy(model, donor, 2)
    half = said.copy()
    half[:, 1] = (half[:, 1] + 1) % VOCABULARY
    found = patched(model, base, donor, 0, 2, np.stack((said, half), axis=1))
    # From the first layer's input on, all of the prompt is the donor's; later on it is not.
    assert found.hit[0, :, 0].all()
    assert not found.hit[:, :, 1].any()
    assert (found.logp[0, :, 0] > found.logp[0, :, 1]).all()


def test_prompts_of_another_structure_are_refused(learnt: TinyModel) -> None:
    rows = Facts().rows
    with pytest.raises(DataError, match="cannot be patched"):
        patched(learnt, rows[:2, :3], rows[:2, :2], 0, 0, rows[:2, None, 3:])
    with pytest.raises(DataError, match="at tokens 2 to 3"):
        patched(learnt, rows[:2, :3], rows[:2, :3], 2, 3, rows[:2, None, 3:])
