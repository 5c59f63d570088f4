"""Planned passes against what models really read and compute."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from polylore.models import (
    LanguageModel,
    PreparedPrompts,
    Question,
    generate_prepared,
    prepare,
    prepare_prompts,
    score_prepared,
)
from polylore.models.cost import Anatomy, Pass, flops, working_bytes
from polylore.models.devices import DEVICES, DISPATCH, device_seconds
from polylore.models.passes import (
    checking_passes,
    expected_engine,
    expected_sharing,
    generation_batches,
    generation_passes,
    scoring_batches,
    scoring_passes,
    sharing_passes,
)
from polylore.models.skeleton import anatomy, skeleton

KINDS = ["llama", "gpt2", "gemma2", "gemma3-mixed", "neox", "bloom", "qwen3", "mistral"]
CAPS = [10, 7, 12, 10, 3, 10]
QUESTIONS = [
    *(
        Question(f"The capital of {name} is", " ", ("Paris", "Berlin", "Tokyo is", "a b c d"))
        for name in ("France", "Germany", "a land in the far south")
    ),
    *(Question(f"La capitale de la France est {x}", " ", ("Rome", "London")) for x in "abc"),
]

Make = Callable[..., LanguageModel]


class Read:
    """What a model reads and computes while it is watched."""

    def __init__(self, lm: LanguageModel) -> None:
        self.lm, self.places, self.passes = lm, 0, 0
        # torch's counter knows every attention kernel but that of the CPU.
        kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        self.counter = FlopCounterMode(
            display=False,
            custom_mapping={
                kernel: lambda q, k, v, *_, out_shape=None, **__: sdpa_flop_count(q, k, v)
            },
        )

    def __enter__(self) -> "Read":
        def note(_: Any, args: Any, kwargs: Any) -> None:
            self.places += kwargs["input_ids"].numel()
            self.passes += 1

        self.hook = self.lm.model.register_forward_pre_hook(note, with_kwargs=True)
        self.counter.__enter__()
        return self

    def __exit__(self, *args: Any) -> None:
        self.counter.__exit__(*args)
        self.hook.remove()

    def assert_planned(self, lm: LanguageModel, passes: list[Pass]) -> None:
        numbers = anatomy(lm.model)
        assert sum(one.places for one in passes) == self.places
        assert len(passes) == self.passes
        # Beside these there are only the angles of rotations, and windows that leave keys out.
        planned = sum(flops(numbers, one) for one in passes)
        assert planned == pytest.approx(self.counter.get_total_flops(), rel=0.03)


def scoring(lm: LanguageModel, prepared: Any, budget: int, engine: str) -> list[Pass]:
    batches = scoring_batches(lm, prepared, budget, engine)
    return [one for rows in batches for one in scoring_passes(rows, engine)]


def generation(
    lm: LanguageModel, prompts: PreparedPrompts, lengths: list[int], budget: int, share: bool
) -> list[Pass]:
    return [
        one
        for batch in generation_batches(lm, prompts, CAPS, budget)
        for one in generation_passes(
            [prompts.ids[k] for k in batch], [lengths[k] for k in batch], share=share
        )
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_scoring(make_model: Make, kind: str) -> None:
    lm = make_model(kind)
    prepared = prepare(lm, QUESTIONS, bos=True)
    with Read(lm) as first:
        score_prepared(lm, prepared, token_budget=100)
    assert prepared.report is not None
    engine = prepared.report.engine
    assert engine == expected_engine(lm.model)
    passes = scoring(lm, prepared, 100, engine)
    check = list(checking_passes(lm, prepared, 100, engine))
    # An engine that fails on the way to the one that answers reads something too.
    if engine == "packed":
        first.assert_planned(lm, check + passes)
    with Read(lm) as second:
        score_prepared(lm, prepared, token_budget=100)
    second.assert_planned(lm, passes)


@pytest.mark.parametrize("kind", KINDS)
def test_generation(make_model: Make, kind: str) -> None:
    lm = make_model(kind)
    texts = [q.prompt[: 12 + 3 * k] for k, q in enumerate(QUESTIONS)]
    prompts = prepare_prompts(lm, texts, bos=True)
    with Read(lm) as first:
        made = generate_prepared(lm, prompts, max_new_tokens=CAPS, token_budget=120)
    lengths = [one.n_new_tokens + (one.stop_reason == "eos") for one in made]
    share = expected_sharing(lm.model, prompts, CAPS)
    assert prompts.judged is not None
    assert prompts.judged[2] == share
    passes = generation(lm, prompts, lengths, 120, share)
    first.assert_planned(lm, [*(sharing_passes(prompts) if share else ()), *passes])


def test_without_padding_all_that_is_computed_is_read(make_model: Make) -> None:
    lm = make_model("llama")
    prepared = prepare(lm, QUESTIONS, bos=True)
    passes = scoring(lm, prepared, 1, "packed")  # every row by itself
    assert sum(p.tokens for p in passes) == sum(p.places for p in passes)
    together = scoring(lm, prepared, 1000, "plain")
    assert sum(p.tokens for p in together) == sum(s.stop - 1 for s in prepared.strings)
    assert sum(p.places for p in together) > sum(p.tokens for p in together)


def test_a_skeleton_plans_as_the_model_does(saved: Callable[..., Any], make_model: Make) -> None:
    bones, lm = skeleton(saved("m", "gemma2")), make_model("gemma2")
    assert next(bones.model.parameters()).is_meta
    assert anatomy(bones.model) == anatomy(lm.model)
    assert bones.tokenizer_hash == lm.tokenizer_hash
    plans = [scoring(one, prepare(one, QUESTIONS, bos=True), 100, "packed") for one in (bones, lm)]
    assert plans[0] == plans[1]


def test_formulas_by_hand() -> None:
    numbers = Anatomy(
        parameters=1000,
        largest=300,
        inner=500,
        vocabulary=30,
        hidden=10,
        intermediate=20,
        heads=2,
        head=5,
        key_heads=1,
        layers=3,
        attending=3,
        parts=3,
        written=0,
        logit_copies=1,
    )
    one = Pass("packed", rows=2, width=7, keys=7, reads=4, tokens=12, masked=True)
    assert flops(numbers, one) == 2 * 500 * 14 + 4 * 3 * 10 * 14 * 7 + 2 * 10 * 30 * 4
    # five of the hidden size, three of the inside, one mask
    assert working_bytes(numbers, one, 4) == 4 * 14 * (50 + 60 + 7)
    word = Pass("word", rows=2, width=1, keys=8, reads=2, tokens=2, cached=True)
    cache = 2 * 4 * 3 * 1 * 5 * 2 * 8
    logits = 4 * 2 * 30  # of the pass before
    assert working_bytes(numbers, word, 4) == 4 * 2 * (50 + 60) + cache + logits
    # Nothing so small is limited by anything but handing it out.
    seconds = device_seconds(DEVICES[0], numbers, {one: 5}, "bfloat16")
    assert seconds == pytest.approx(5 * 3 * DISPATCH)


class Live(TorchDispatchMode):
    """Bytes of all tensors that are alive, at their most."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[int, tuple[StorageWeakRef, int]] = {}
        self.most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for value in tree_flatten(out)[0]:
            if isinstance(value, torch.Tensor):
                storage = value.untyped_storage()
                reference = StorageWeakRef(storage)
                self.alive.setdefault(reference.cdata, (reference, storage.nbytes()))
        self.alive = {k: v for k, v in self.alive.items() if not v[0].expired()}
        self.most = max(self.most, sum(size for _, size in self.alive.values()))
        return out


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma2", "gemma3-mixed", "neox", "qwen3"])
@pytest.mark.parametrize("words", [False, True], ids=["logits small", "logits large"])
def test_memory(make_model: Make, kind: str, words: bool) -> None:
    lm = make_model(kind)
    if words:
        lm.model.resize_token_embeddings(8000)
    numbers = anatomy(lm.model)
    prepared = prepare(lm, QUESTIONS * 4, bos=True)
    score_prepared(lm, prepared, token_budget=600)  # the check is over
    with Live() as live:
        score_prepared(lm, prepared, token_budget=600)
    # What a kernel holds inside, such as a chunk of logits, cannot be followed.
    planned = max(working_bytes(numbers, p, 4, 0) for p in scoring(lm, prepared, 600, "packed"))
    assert planned == pytest.approx(live.most, rel=0.25)

    prompts = prepare_prompts(lm, [q.prompt for q in QUESTIONS], bos=True)
    made = generate_prepared(lm, prompts, max_new_tokens=CAPS, token_budget=600)
    with Live() as live:
        generate_prepared(lm, prompts, max_new_tokens=CAPS, token_budget=600)
    lengths = [one.n_new_tokens + (one.stop_reason == "eos") for one in made]
    share = expected_sharing(lm.model, prompts, CAPS)
    passes = generation(lm, prompts, lengths, 600, share)
    planned = max(working_bytes(numbers, one, 4, 0) for one in passes)
    assert planned == pytest.approx(live.most, rel=0.25)
