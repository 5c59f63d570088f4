"""Every engine on every architecture: tests 1 to 9 of the specification of `patch`, section 9."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from decoders import DECODERS, FROM_END, LAYERS, LENGTHS, QUICK, Tiny, close, dressed, limit
from plain import layers_from, plain_logits

from polylore.models.forward import evaluation
from polylore.models.patching import PatchPrompt, choose, patched_answers
from polylore.models.patching.engines import ENGINES
from polylore.models.patching.extract import states_at
from polylore.models.patching.hooks import hooks_greedy, hooks_logits, patched
from polylore.models.patching.suffix import read_suffixes
from polylore.models.prefill import next_logits

Make = Callable[..., Tiny]
FAST = ["packed", "suffix"]
EVERY = [*FAST, "hooks"]


def can(kind: str, engine: str) -> bool:
    return not (kind == "bloom" and engine == "packed")  # ALiBi takes no tree mask


def own_states(one: Tiny) -> list[torch.Tensor]:
    """The states of the very prompts, read in the shape in which they are patched."""
    strings = [prompt.ids for prompt in one.prompts]
    with evaluation(one.lm.model):
        states = states_at(
            one.lm.model, one.blocks, strings, [p.first for p in one.prompts], tokens=1
        )
    return list(states.unbind(1))


def check_identity(one: Tiny, engine: str) -> None:
    logits = one.logits(engine, vectors=own_states(one))
    if engine == "hooks":
        assert torch.equal(logits, logits[:1].expand_as(logits))
    close(logits[:1].expand_as(logits), logits)


def check_batches(one: Tiny, engine: str) -> None:
    together = one.logits(engine)
    for size in (1, 3):
        parts = [range(k, min(k + size, len(LENGTHS))) for k in range(0, len(LENGTHS), size)]
        close(together, torch.cat([one.logits(engine, members=p) for p in parts], dim=1))


def check_sides(one: Tiny) -> None:
    """Left padding, right padding, none at all."""
    with evaluation(one.lm.model):
        vectors = torch.stack(one.vectors, dim=1)
        both = [
            hooks_logits(
                one.lm.model, one.blocks, one.prompts, vectors, range(-1, LAYERS), None, side=side
            )
            for side in ("left", "right")
        ]
    close(*both)
    for k, (prompt, vector) in enumerate(zip(one.prompts, one.vectors, strict=True)):
        for onset in (-1, 2):
            written = layers_from(onset, None, LAYERS)
            plain = plain_logits(
                one.lm.model, one.blocks.modules, list(prompt.ids), prompt.last, vector, written
            )
            close(plain[-1], both[0][onset + 2, k])


def check_answers(one: Tiny, steps: int = 4) -> None:
    """Text from the spliced cache is that of reading everything anew."""
    onsets = [-1, 0, 3, LAYERS - 1]
    found = patched_answers(
        one.lm,
        one.blocks,
        one.prompts,
        one.vectors,
        onsets,
        engine="suffix",
        max_new_tokens=steps,
        stops=frozenset(),
        token_budget=10_000,
    )
    vectors = torch.stack(one.vectors, dim=1)
    with evaluation(one.lm.model):
        for place, onset in enumerate([None, *onsets]):
            expected = hooks_greedy(
                one.lm.model, one.blocks, one.prompts, vectors, onset, None, steps
            )
            assert [answer[place] for answer in found] == expected
    assert len({tuple(answer[0]) for answer in found}) >= 3  # not degenerate


def check_spliced(one: Tiny) -> None:
    """Whatever is read on the spliced cache, its logits are those of the whole string."""
    model, onsets = one.lm.model, [-1, 0, 3, LAYERS - 1]
    vectors = torch.stack(one.vectors, dim=1)
    count, groups = len(one.prompts), 1 + len(onsets)
    tokens = [[20 + k, 50 - k, 33, 8] for k in range(count)]
    with evaluation(model):
        _, stairs, cache, mask = read_suffixes(
            model, one.blocks, one.prompts, vectors, onsets, None
        )
        rows = [(group, row) for group in range(groups) for row in range(count)]
        stairs.splice(cache, [group for group, _ in rows], [row for _, row in rows])
        mask = mask.repeat(groups, 1)
        for step in range(4):
            ids = torch.tensor([tokens[row][step : step + 1] for _, row in rows])
            mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
            logits, cache = next_logits(model, ids, mask, cache)
            longer = [
                PatchPrompt((*p.ids, *tokens[k][: step + 1]), p.first, p.last)
                for k, p in enumerate(one.prompts)
            ]
            expected = hooks_logits(model, one.blocks, longer, vectors, onsets, None)
            close(expected.flatten(0, 1), logits)
            assert float((expected[1:4] - expected[0]).abs().amax(dim=(1, 2)).min()) > 1e-2


@pytest.mark.parametrize("kind", DECODERS)
def test_own_states_change_nothing(tiny: Make, kind: str) -> None:
    for engine in EVERY:
        if can(kind, engine):
            check_identity(tiny(kind), engine)


@pytest.mark.parametrize("kind", DECODERS)
def test_only_the_last_layer_is_read_by_nobody(tiny: Make, kind: str) -> None:
    logits = tiny(kind).logits("hooks")
    assert torch.equal(logits[-1], logits[0])
    for engine in FAST:
        if can(kind, engine):
            other = tiny(kind).logits(engine)
            close(other[0], other[-1])
    changed = (logits[1:-1] - logits[0]).abs().amax(dim=(1, 2))
    assert float(changed.min()) > 100 * limit(logits)


@pytest.mark.parametrize("kind", DECODERS)
def test_batches_do_not_matter(tiny: Make, kind: str) -> None:
    for engine in EVERY:
        if can(kind, engine):
            check_batches(tiny(kind), engine)


@pytest.mark.parametrize("kind", DECODERS)
def test_padding_does_not_matter(tiny: Make, kind: str) -> None:
    check_sides(tiny(kind))


@pytest.mark.parametrize("kind", DECODERS)
def test_fast_engines_equal_hooks_at_every_onset(tiny: Make, kind: str) -> None:
    one = tiny(kind)
    expected = one.logits("hooks")
    for engine in FAST:
        if can(kind, engine):
            close(expected, one.logits(engine))
            for some in ([0, 3, LAYERS - 1], []):
                close(expected[[0, *(k + 2 for k in some)]], one.logits(engine, onsets=some))


@pytest.mark.parametrize("kind", DECODERS)
def test_auto_takes_the_quickest_exact_engine(tiny: Make, kind: str) -> None:
    one = tiny(kind)
    report = choose(one.lm, one.blocks, one.prompts, one.vectors)
    assert report.engine == ("packed" if can(kind, "packed") else "suffix")
    assert report.difference is not None
    assert report.difference <= 1


@pytest.mark.parametrize("kind", DECODERS)
@pytest.mark.parametrize("depth", [1, 3])
def test_single_layers_and_windows_of_layers(tiny: Make, kind: str, depth: int) -> None:
    one = tiny(kind)
    logits = one.logits("suffix", depth=depth)
    close(one.logits("hooks", depth=depth), logits)
    k, onset = 1, 2
    prompt = one.prompts[k]
    plain = plain_logits(
        one.lm.model,
        one.blocks.modules,
        list(prompt.ids),
        prompt.last,
        one.vectors[k],
        layers_from(onset, depth, LAYERS),
    )
    close(plain[-1], logits[onset + 2, k])


@pytest.mark.parametrize("kind", DECODERS)
def test_answers_from_the_spliced_cache(tiny: Make, kind: str) -> None:
    check_answers(tiny(kind))
    check_spliced(tiny(kind))


@pytest.mark.parametrize("kind", QUICK)
def test_spans_and_last_tokens(tiny: Make, kind: str) -> None:
    one = tiny(kind)
    draw = torch.Generator().manual_seed(5)
    width = one.blocks.width
    spans = [PatchPrompt(p.ids, p.last - 2, p.last) for p in one.prompts]
    ends = [PatchPrompt(p.ids, len(p.ids) - 1, len(p.ids) - 1) for p in one.prompts]
    for prompts, depth in ((spans, None), (spans, 2), (ends, 1)):
        tokens = prompts[0].patched
        vectors = [torch.randn(LAYERS + 1, tokens, width, generator=draw) for _ in prompts]
        other = Tiny(one.lm, one.blocks, prompts, vectors)
        expected = other.logits("hooks", depth=depth)
        close(expected, other.logits("suffix", depth=depth))
        if prompts is spans and depth is None and can(kind, "packed"):
            close(expected, other.logits("packed"))
        # A single layer at the last token is read by the rest of the model, the last one by the
        # output layer.
        assert float((expected[1:-1] - expected[0]).abs().amax(dim=(1, 2)).min()) > 1e-3
        assert torch.equal(expected[-1], expected[0]) == (prompts is spans)


@pytest.mark.parametrize("kind", DECODERS)
def test_a_whole_donor_makes_the_target_the_source(tiny: Make, kind: str) -> None:
    one = tiny(kind)
    sources = [
        PatchPrompt((*p.ids[: p.last], (p.ids[p.last] + 5) % 90 + 2, *p.ids[p.last + 1 :]), 0, 0)
        for p in one.prompts
    ]
    sources = [
        PatchPrompt(s.ids, p.first, p.last) for s, p in zip(sources, one.prompts, strict=True)
    ]
    source = Tiny(one.lm, one.blocks, sources, one.vectors)
    expected = source.logits("hooks", onsets=[])[0]
    for engine in EVERY:
        if can(kind, engine):
            found = one.logits(engine, onsets=[-1], vectors=own_states(source))[1]
            close(expected, found)
            assert engine != "hooks" or torch.equal(expected, found)
    assert float((one.logits("hooks", onsets=[])[0] - expected).abs().max()) > 1e-2


@pytest.mark.parametrize("kind", [k for k in DECODERS if k not in ("bloom", "gemma2")])
def test_eager_attention_equals_sdpa(tiny: Make, kind: str) -> None:
    """Where a model offers both: BLOOM has its own, Gemma 2's soft-cap needs eager."""
    one, two = tiny(kind), tiny(kind, attn_implementation="eager")
    assert one.lm.model.config._attn_implementation == "sdpa"
    assert two.lm.model.config._attn_implementation == "eager"
    for engine in EVERY:
        close(one.logits(engine), two.logits(engine))


def test_tuples_and_back_change_nothing(tiny: Make) -> None:
    class Tupled(torch.nn.Module):
        """A block that returns a tuple, which the model never sees."""

        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return self.inner(*args, **kwargs), "something else"

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return super().__call__(*args, **kwargs)[0]

    one = tiny("llama")
    expected = {engine: one.logits(engine) for engine in EVERY}
    model = one.lm.model
    kept = list(model.model.layers)
    try:
        model.model.layers = torch.nn.ModuleList(Tupled(block) for block in kept)
        two = dressed(model, "tupled")
        assert type(two.blocks.modules[0]) is Tupled
        for engine in EVERY:
            close(expected[engine], two.logits(engine))
    finally:
        model.model.layers = torch.nn.ModuleList(kept)


def test_the_prompts_are_those_of_the_specification(tiny: Make) -> None:
    one = tiny("mistral")
    assert [len(p.ids) - p.last for p in one.prompts] == [FROM_END] * len(LENGTHS)
    assert max(LENGTHS) > 2 * one.lm.model.config.sliding_window


# Bugs of published code (section 8): the tests above have to notice them.


def test_a_batch_offset_that_never_advances_is_noticed(
    tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = ENGINES["suffix"]

    def wrong(model: Any, blocks: Any, prompts: Any, vectors: Any, *rest: Any) -> torch.Tensor:
        first = torch.stack(one.vectors[: len(prompts)], dim=1)
        return right(model, blocks, prompts, first, *rest)

    one = tiny("llama")
    monkeypatch.setitem(ENGINES, "suffix", wrong)
    close(right_logits := one.logits("hooks"), one.logits("suffix"))  # one batch hides it
    assert right_logits is not None
    with pytest.raises(AssertionError):
        check_batches(one, "suffix")


def test_the_first_row_taken_for_the_output_is_noticed(
    tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def first(output: Any) -> Any:
        return output[0]

    def put(output: Any, state: Any) -> Any:
        if isinstance(output, tuple):
            return (state, *output[1:])
        output = output.clone()
        output[0] = state
        return output

    monkeypatch.setattr("polylore.models.patching.hooks.hidden", first)
    monkeypatch.setattr("polylore.models.patching.hooks.with_hidden", put)
    check_sides(tiny("bloom"))  # tuples hide it
    with pytest.raises((AssertionError, IndexError, RuntimeError)):
        check_sides(tiny("llama"))


def test_padding_without_position_ids_is_noticed(
    tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "polylore.models.patching.rows.positions",
        lambda mask: torch.arange(mask.shape[1]).expand_as(mask),
    )
    check_sides(tiny("llama"))  # rotary positions hide it
    with pytest.raises(AssertionError):
        check_sides(tiny("gpt2"))


def test_hooks_that_fire_in_decode_steps_are_noticed(
    tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = tiny("llama")

    def wrong(model: Any, ids_BS: Any, mask_BT: Any, cache: Any) -> Any:
        vector = one.vectors[0][:, None].repeat(1, len(ids_BS), 1, 1)
        with patched(one.blocks, 0, None, vector, [0] * len(ids_BS)):
            return next_logits(model, ids_BS, mask_BT, cache)

    check_answers(one)
    monkeypatch.setattr("polylore.models.patching.answers.next_logits", wrong)
    with pytest.raises(AssertionError):
        check_answers(one)
