"""Sets and forms: tests 10 and 11 of the specification of `patch`, section 9."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from decoders import DECODERS, FORMS, LAYERS, QUICK, VOCABULARY, Tiny, with_forms
from plain import layers_from, plain_logits

from polylore.errors import ConfigError, DataError, ModelError
from polylore.models.forward import evaluation
from polylore.models.patching import Form, PatchPrompt, Reading, sweep
from polylore.models.patching.prompts import PATCHED

Make = Callable[..., Tiny]
ONSETS = [-1, 0, 3, LAYERS - 1]


def scored(one: Tiny, engine: str, prompts: Sequence[PatchPrompt], budget: int) -> list[Reading]:
    return sweep(
        one.lm,
        one.blocks,
        prompts,
        one.vectors,
        ONSETS,
        engine=engine,
        token_budget=budget,
    )


def one_by_one(one: Tiny, k: int, prompt: PatchPrompt, onset: int | None) -> list[list[float]]:
    """Sets and forms of one prompt, one full forward pass for each form."""

    def logprobs(ids: list[int]) -> torch.Tensor:
        written = [] if onset is None else layers_from(onset, None, LAYERS)
        logits = plain_logits(
            one.lm.model, one.blocks.modules, ids, prompt.last, one.vectors[k], written
        )
        return logits.double().log_softmax(-1)

    after = logprobs(list(prompt.ids))[-1]
    sets = [float(after[list(ids)].logsumexp(0)) for ids in prompt.sets]
    forms = []
    for form in prompt.forms:
        ids = [*prompt.ids[: form.after + 1], *form.ids]
        found = logprobs(ids)
        total = sum(float(found[p - 1, ids[p]]) for p in range(form.after + 1, len(ids)))
        forms.append(total + float(found[-1, list(prompt.ends)].logsumexp(0)))
    return [sets, forms]


@pytest.mark.parametrize("kind", DECODERS)
def test_forms_are_those_of_one_forward_pass_per_form(tiny: Make, kind: str) -> None:
    one = tiny(kind)
    prompts = [with_forms(prompt) for prompt in one.prompts]
    engines = ["suffix", "hooks"] if kind == "bloom" else ["packed", "suffix", "hooks"]
    found = {engine: scored(one, engine, prompts, 10_000) for engine in engines}
    for k in (1, 2):
        for place, onset in enumerate([None, *ONSETS]):
            sets, forms = one_by_one(one, k, prompts[k], onset)
            for engine in engines:
                # Log-probabilities of several tokens add up the rounding of each.
                np.testing.assert_allclose(found[engine][k].sets[place], sets, atol=1e-4)
                np.testing.assert_allclose(found[engine][k].forms[place], forms, atol=1e-4)


@pytest.mark.parametrize("kind", QUICK)
@pytest.mark.parametrize("engine", ["packed", "suffix", "hooks"])
def test_the_budget_does_not_matter(tiny: Make, kind: str, engine: str) -> None:
    if (kind, engine) == ("bloom", "packed"):
        return
    one = tiny(kind)
    prompts = [with_forms(p) if k % 2 else p for k, p in enumerate(one.prompts)]
    large, small = (scored(one, engine, prompts, budget) for budget in (10_000, 1))
    for left, right in zip(large, small, strict=True):
        np.testing.assert_allclose(left.sets, right.sets, atol=1e-4)
        np.testing.assert_allclose(left.forms, right.forms, atol=1e-4)
        assert left.top.tolist() == right.top.tolist()
    assert [reading.forms.shape[1] for reading in large] == [0, len(FORMS), 0, len(FORMS), 0]


def test_disjoint_forms_have_at_most_all_of_the_probability(tiny: Make) -> None:
    one = tiny("llama")
    ends = (60, 61)
    singles = [(token,) for token in range(VOCABULARY) if token not in ends]
    pairs = [(token, other) for token in (40, 41) for other in range(30)]
    prompts = []
    for prompt in one.prompts:
        last = len(prompt.ids) - 1
        forms = tuple(Form(ids, last) for ids in [*singles, *pairs])
        prompts.append(PatchPrompt(prompt.ids, prompt.first, prompt.last, (), forms, ends))
    for reading in scored(one, "packed", prompts, 10_000):
        total = np.exp(reading.forms).sum(axis=1)
        assert (total <= 1).all()
        assert (total > 1e-4).all()


def test_the_order_of_a_set_does_not_matter(tiny: Make) -> None:
    one = tiny("llama")
    orders = [(40, 44, 50), (50, 40, 44)]
    found = []
    for ids in orders:
        prompts = [PatchPrompt(p.ids, p.first, p.last, (ids,)) for p in one.prompts]
        found.append(np.stack([r.sets for r in scored(one, "packed", prompts, 10_000)]))
    np.testing.assert_allclose(*found, atol=1e-6)
    assert found[0].shape == (5, 1 + len(ONSETS), 1)


def test_forms_share_their_beginnings() -> None:
    prompt = with_forms(PatchPrompt(tuple(range(2, 32)), 23, 23))
    tree = prompt.tree
    # Six tokens of the prompt, (40: 41, 42: 43), 44, and behind the merged quote 45, 46.
    assert tree.ids[:6] == list(prompt.ids[24:])
    assert len(tree.ids) == 6 + 4 + 1 + 2
    assert tree.end == 5
    assert {tree.parents[tree.ids.index(token)] for token in (40, 44)} == {5}
    assert tree.parents[tree.ids.index(45)] == 4
    assert len(tree.paths()) == 4
    assert prompt.longest == 30 + 3
    assert PatchPrompt((1, 2, 3), 2, 2).tree.places == [PATCHED]


def test_prompts_that_cannot_be_patched() -> None:
    ids = (5, 6, 7, 8)
    for first, last in ((2, 1), (-1, 1), (2, 4)):
        with pytest.raises(DataError, match="cannot be patched in a prompt of 4 tokens"):
            PatchPrompt(ids, first, last)
    with pytest.raises(DataError, match="without tokens that end them"):
        PatchPrompt(ids, 1, 1, forms=(Form((9,), 3),))
    for form in (Form((), 3), Form((9,), 0), Form((9,), 4)):
        with pytest.raises(DataError, match="does not follow the patched token 1"):
            PatchPrompt(ids, 1, 1, forms=(form,), ends=(3,))
    with pytest.raises(DataError, match="set of first tokens is empty"):
        PatchPrompt(ids, 1, 1, sets=((),))


def test_what_the_model_cannot_read_is_refused_before_it_is_asked(tiny: Make) -> None:
    one = tiny("llama")
    good = one.prompts[0]

    def ask(
        prompts: Sequence[PatchPrompt] = one.prompts,
        vectors: Sequence[torch.Tensor] = one.vectors,
        onsets: Sequence[int] = (0,),
        depth: int | None = None,
    ) -> None:
        with evaluation(one.lm.model), pytest.MonkeyPatch.context() as patch:
            patch.setattr(one.lm.model, "forward", None)
            sweep(
                one.lm,
                one.blocks,
                prompts,
                vectors,
                onsets,
                depth=depth,
                engine="hooks",
                token_budget=9,
            )

    unknown = PatchPrompt((*good.ids[:-1], VOCABULARY), good.first, good.last)
    with pytest.raises(DataError, match="has the token 97"):
        ask([unknown], one.vectors[:1])
    with pytest.raises(DataError, match="has 65 tokens, but the model reads at most 64"):
        ask([PatchPrompt((5,) * 65, 60, 60)], one.vectors[:1])
    with pytest.raises(DataError, match="5 prompts cannot be patched with 4 vectors"):
        ask(vectors=one.vectors[1:])
    with pytest.raises(DataError, match=r"has the shape \(7, 1, 31\)"):
        ask(vectors=[vector[..., :-1] for vector in one.vectors])
    for onsets in ([LAYERS], [-2], [1, 0], [1, 1]):
        with pytest.raises(ConfigError, match="ascending layers from -1 to 5"):
            ask(onsets=onsets)
    with pytest.raises(ConfigError, match="at least one layer"):
        ask(depth=0)


def test_the_packed_row_says_what_it_cannot_do(tiny: Make) -> None:
    one = tiny("llama")
    with pytest.raises(ModelError, match="onset to the end"):
        one.logits("packed", depth=2)
    ends = [PatchPrompt(p.ids, len(p.ids) - 1, len(p.ids) - 1) for p in one.prompts]
    with pytest.raises(ModelError, match="read itself"):
        Tiny(one.lm, one.blocks, ends, one.vectors).logits("packed")
