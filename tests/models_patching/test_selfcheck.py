"""The self-check passes where patching is exact, and each of its checks can fail."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from decoders import DECODERS, LAYERS, Tiny

from polylore.errors import ModelError, SelfCheckError
from polylore.models.forward import evaluation
from polylore.models.patching import Check, choose, require, self_check
from polylore.models.patching.engines import ENGINES
from polylore.models.patching.extract import states_at
from polylore.models.questions import EngineReport

Make = Callable[..., Tiny]
NAMES = ["finite", "identity", "last_onset", "donor", "batch_of_one"]


def checks(one: Tiny, engine: str = "packed", **changes: Any) -> dict[str, Check]:
    report = EngineReport(engine, "because", 4, 0.1)
    vectors = changes.get("vectors", one.vectors)
    found = self_check(one.lm, one.blocks, one.prompts, vectors, report=report)
    assert [check.check for check in found] == [*NAMES, f"{engine}_equals_hooks"]
    assert found[-1].note == "because"
    return {check.check: check for check in found}


def failed(found: dict[str, Check]) -> set[str]:
    return {name for name, check in found.items() if not check.passed}


@pytest.mark.parametrize("kind", DECODERS)
def test_every_architecture_passes(tiny: Make, kind: str) -> None:
    one = tiny(kind)
    report = choose(one.lm, one.blocks, one.prompts, one.vectors)
    found = self_check(one.lm, one.blocks, one.prompts, one.vectors, report=report)
    require(found, kind)
    assert found[3].value > 1e-3


def test_numbers_that_are_none_fail(tiny: Make) -> None:
    one = tiny("llama")
    weight = one.blocks.modules[3].mlp.down_proj.weight
    kept = weight.detach().clone()
    with torch.no_grad():
        weight[0, 0] = torch.nan
    try:
        found = checks(one)
    finally:
        with torch.no_grad():
            weight.copy_(kept)
    assert found["finite"].value > 0
    assert {"finite", "identity", "donor", "packed_equals_hooks"} <= failed(found)
    with pytest.raises(SelfCheckError, match=r"llama fails the self-check .*finite is"):
        require(list(found.values()), "llama")


def test_donors_that_change_nothing_fail(tiny: Make) -> None:
    one = tiny("llama")
    with evaluation(one.lm.model):
        own = states_at(
            one.lm.model,
            one.blocks,
            [prompt.ids for prompt in one.prompts],
            [prompt.first for prompt in one.prompts],
            1,
        )
    found = checks(one, "hooks", vectors=list(own.unbind(1)))
    # In another batch the own states are the same but for rounding.
    assert found["donor"].value < 1e-4
    blind = [torch.zeros_like(vector) for vector in one.vectors]

    def clean(model: Any, blocks: Any, prompts: Any, vectors: Any, onsets: Any, depth: Any) -> Any:
        logits = ENGINES["hooks"](model, blocks, prompts, vectors, [], depth)
        return logits.expand(1 + len(onsets), -1, -1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ENGINES, "packed", clean)
        found = checks(one, vectors=blind)
    assert failed(found) == {"donor", "packed_equals_hooks"}


def test_an_engine_that_is_off_fails(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    one = tiny("llama")
    right = ENGINES["packed"]

    def one_late(m: Any, b: Any, p: Any, vectors: torch.Tensor, onsets: Any, depth: Any) -> Any:
        return right(m, b, p, vectors.roll(1, dims=0), onsets, depth)

    def first_only(m: Any, b: Any, p: Any, vectors: torch.Tensor, *rest: Any) -> Any:
        return right(m, b, p, vectors[:, :1].expand_as(vectors), *rest)

    monkeypatch.setitem(ENGINES, "packed", one_late)
    assert failed(checks(one)) == {"identity", "packed_equals_hooks"}
    with pytest.raises(ModelError, match="packed engine is not exact"):
        choose(one.lm, one.blocks, one.prompts, one.vectors, engine="packed")
    assert choose(one.lm, one.blocks, one.prompts, one.vectors).engine == "suffix"
    monkeypatch.setitem(ENGINES, "packed", first_only)
    assert {"batch_of_one", "packed_equals_hooks"} <= failed(checks(one))


def test_the_last_layer_is_checked(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    one = tiny("llama")
    right = ENGINES["packed"]

    def early(m: Any, b: Any, p: Any, vectors: Any, onsets: Any, depth: Any) -> Any:
        logits = right(m, b, p, vectors, onsets, depth).clone()
        logits[-1] = logits[-2]
        return logits

    monkeypatch.setitem(ENGINES, "packed", early)
    assert failed(checks(one)) == {"last_onset", "packed_equals_hooks"}
    assert LAYERS > 3
