"""A model in float64 gives float64, whatever its layers ask for in between."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from polylore.models import LanguageModel, wrap
from polylore.models.double import unrounded, wide
from polylore.models.probing import ProbeText, make_sheet, read

PROBES = (
    ProbeText("en", "The capital of France is", " ", "Paris"),
    ProbeText("ja", "日本の首都は", "", "東京", suffix="です"),
)


@pytest.fixture(params=["llama", "gemma2", "gpt2"])
def doubled(
    request: pytest.FixtureRequest, make_model: Callable[..., LanguageModel]
) -> LanguageModel:
    lm = make_model(request.param)
    return wrap(lm.model.double(), lm.tokenizer)


class Roundings(TorchDispatchMode):
    """Counts operations that make float32 of float64."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        given = [arg.dtype for arg in args if isinstance(arg, torch.Tensor)]
        made = getattr(found, "dtype", None)
        self.count += torch.float64 in given and made == torch.float32
        return found


def test_nothing_is_rounded_inside(doubled: LanguageModel) -> None:
    ids = torch.arange(2, 12)[None]
    with torch.no_grad(), Roundings() as usual:
        doubled.model(input_ids=ids)
    with torch.no_grad(), unrounded(torch.float64), Roundings() as inside:
        logits = doubled.model(input_ids=ids).logits
    assert logits.dtype == torch.float64
    assert inside.count == 0
    # Norms of these architectures are float32; that of GPT-2 is what it is given.
    assert (usual.count > 0) == (doubled.model.config.model_type != "gpt2")


def test_float32_is_left_as_it_is(make_model: Callable[..., LanguageModel]) -> None:
    model, ids = make_model("llama").model, torch.arange(2, 12)[None]
    with torch.no_grad():
        plain = model(input_ids=ids).logits
        with unrounded(model.dtype):
            assert torch.equal(model(input_ids=ids).logits, plain)
    half = plain.bfloat16()
    assert wide(half).dtype == wide(plain).dtype == torch.float32
    assert wide(plain.double()).dtype == torch.float64


@pytest.mark.parametrize("budget", [1, 4096])
def test_scores_are_float64(doubled: LanguageModel, budget: int) -> None:
    with unrounded(torch.float64):
        found = read(doubled, make_sheet(doubled, PROBES, begin=None), token_budget=budget)
        first = []
        for probe in PROBES:
            head = len(doubled.tokenizer(probe.prefix, add_special_tokens=False)["input_ids"])
            text = probe.prefix + probe.joiner + probe.target + probe.suffix
            ids = torch.tensor([doubled.tokenizer(text, add_special_tokens=False)["input_ids"]])
            with torch.no_grad():
                logits = doubled.model(input_ids=ids).logits[0]
            first.append(float(logits.log_softmax(-1)[head - 1, ids[0, head]]))
    np.testing.assert_allclose(found["first_logprob"], first, rtol=0, atol=1e-12)
