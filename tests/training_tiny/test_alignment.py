"""The loss that pulls translations together does that, in the runs that have it."""

import numpy as np
import pytest
import torch
from synthetic import NAMES, RELATIONS, VOCABULARY, Facts

from polylore.training.tiny.alignment import Alignment, alignment_loss
from polylore.training.tiny.config import Recipe
from polylore.training.tiny.loop import Evaluation, Job, train
from polylore.training.tiny.measure import states
from polylore.training.tiny.sizes import Sizes
from polylore.training.tiny.stack import TinyModel
from polylore.training.tiny.stream import Ints


def pairs(step: int) -> tuple[Ints, Ints]:
    """Names under one relation and under the other, which take the part of languages."""
    names = np.random.default_rng(step).permutation(NAMES)[:8]
    prompts = Facts().rows.reshape(NAMES, RELATIONS, 4)[names, :, :3]
    return prompts[:, 0], prompts[:, 1]


def test_infonce_by_hand() -> None:
    model = TinyModel.fresh(Sizes.of(Recipe(hidden=32, layers=3), VOCABULARY), 0)
    for layer, number in ((None, 2), (0, 0), (1, 1)):
        alignment = Alignment(pairs, layer=layer)
        found = float(alignment_loss(model.weights, model.sizes, alignment, 5))
        a, b = (states(model, prompts)[:, number, -1].astype(float) for prompts in pairs(5))
        a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
        scores = np.exp(a @ b.T / 0.07)
        share = np.diag(scores) / scores.sum(1), np.diag(scores) / scores.sum(0)
        assert found == pytest.approx(-np.mean([np.log(s) for s in share]), abs=1e-4)


def test_only_the_run_that_has_it_is_aligned(recipe: Recipe) -> None:
    recipe = recipe.model_copy(update={"layers": 3})
    ends: dict[int, TinyModel] = {}

    def note(found: Evaluation) -> None:
        ends[found.job] = found.model.copy()

    jobs = [
        Job(Facts(), 0),
        Job(Facts(), 0, alignment=Alignment(pairs, weight=1.0)),
        Job(Facts(), 0),
    ]
    train(recipe, jobs, vocabulary=VOCABULARY, on_evaluation=note)
    torch.testing.assert_close(ends[0].row, ends[2].row, atol=1e-6, rtol=0)
    plain, pulled = (
        float(alignment_loss(ends[k].weights, ends[k].sizes, Alignment(pairs), 1)) for k in (0, 1)
    )
    assert pulled < 0.5 * plain
