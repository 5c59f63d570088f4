"""Blocks are found by structure, and what cannot be patched exactly is refused in one sentence."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers as tf
from decoders import BASE, DECODERS, GROUPED, LAYERS, QUICK, Tiny, close, dressed

from polylore.errors import ModelError
from polylore.models.forward import evaluation
from polylore.models.patching import choose, find_blocks
from polylore.models.patching.tail import exact_tail

Make = Callable[..., Tiny]
PATHS = {
    "gpt2": "transformer.h",
    "bloom": "transformer.h",
    "neox": "gpt_neox.layers",
    "neox-sequential": "gpt_neox.layers",
}


def made(name: str, **settings: Any) -> Any:
    torch.manual_seed(0)
    config = getattr(tf, f"{name}Config")(**settings)
    return tf.AutoModelForCausalLM.from_config(config).eval()


@pytest.mark.parametrize("kind", DECODERS)
def test_blocks_are_found(tiny: Make, kind: str) -> None:
    blocks = tiny(kind).blocks
    assert blocks.path == PATHS.get(kind, "model.layers")
    assert len(blocks) == LAYERS
    assert blocks.width == 32
    assert blocks.takes_positions == (kind != "bloom")
    norm, head = blocks.tail
    assert "Norm" in type(norm).__name__
    assert head is tiny(kind).lm.model.get_output_embeddings()


def test_the_longest_list_is_not_taken_for_the_blocks() -> None:
    # As many blocks as each has experts in a list of its own; the outermost list counts.
    model = made("Llama", **GROUPED)
    for block in model.model.layers:
        block.experts = torch.nn.ModuleList(torch.nn.Linear(2, 2) for _ in range(LAYERS))
        block.more = torch.nn.ModuleList(torch.nn.Linear(2, 2) for _ in range(2 * LAYERS))
    assert find_blocks(model).path == "model.layers"


def test_two_lists_of_blocks_have_to_be_told_apart() -> None:
    model = made("Llama", **GROUPED)
    model.model.others = torch.nn.ModuleList(torch.nn.Linear(2, 2) for _ in range(LAYERS))
    with pytest.raises(ModelError, match=r"model\.layers, model\.others"):
        find_blocks(model)
    assert find_blocks(model, "model.layers").path == "model.layers"
    with pytest.raises(ModelError, match="ran 0 blocks for 6 layers"):
        find_blocks(model, "model.others")
    with pytest.raises(ModelError, match=r"no list of blocks called 'model\.nothing'"):
        find_blocks(model, "model.nothing")
    with pytest.raises(ModelError, match="no list of blocks called 'lm_head'"):
        find_blocks(model, "lm_head")


def test_encoder_decoders_are_refused() -> None:
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}
    config = tf.T5Config(vocab_size=97, decoder_start_token_id=0, **sizes)
    with pytest.raises(ModelError, match="encoder-decoder"):
        find_blocks(tf.T5ForConditionalGeneration(config))


def test_blocks_that_run_twice_are_refused() -> None:
    model = made("Llama", **GROUPED)
    layers = model.model.layers
    model.model.layers = torch.nn.ModuleList([layers[0]] * LAYERS)
    with pytest.raises(ModelError, match="one block several times"):
        find_blocks(model)


def test_blocks_beside_the_stream_are_refused() -> None:
    model = made("Llama", **GROUPED)

    inner = model.model.layers[3]

    class Shifted(type(inner)):  # type: ignore[misc]
        def __call__(self, state: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            return super().__call__(state + 1, *args, **kwargs)

    for block in model.model.layers:
        block.__class__ = Shifted
    with pytest.raises(ModelError, match="does not read what the block before it wrote"):
        find_blocks(model)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("Lfm2", GROUPED | {"layer_types": ["conv", "full_attention"] * 3}),
        ("Mamba", {"hidden_size": 32, "num_hidden_layers": LAYERS, "state_size": 4}),
    ],
)
def test_states_and_convolutions_fall_back_to_hooks(name: str, settings: dict[str, Any]) -> None:
    one = dressed(made(name, **{**settings, "vocab_size": 97}), name)
    report = choose(one.lm, one.blocks, one.prompts, one.vectors)
    assert report.engine == "hooks"
    assert "packed fails" in report.reason
    assert "suffix fails" in report.reason
    with pytest.raises(ModelError, match="The suffix engine is not exact for"):
        choose(one.lm, one.blocks, one.prompts, one.vectors, engine="suffix")


def test_an_engine_that_differs_is_not_taken(tiny: Make) -> None:
    # MPT takes the masks of packed rows, but counts keys where positions count.
    one = dressed(made("Mpt", d_model=32, n_layers=LAYERS, n_heads=4, vocab_size=97), "mpt")
    report = choose(one.lm, one.blocks, one.prompts, one.vectors)
    assert report.engine == "suffix"
    assert "packed differs by" in report.reason


def test_forwards_are_put_back_after_an_error(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    one = tiny("llama")
    expected = one.logits("hooks")
    with monkeypatch.context() as patch:
        patch.setattr(type(one.blocks.modules[4].mlp), "forward", lambda *_: 1 / 0)
        for engine in ("packed", "suffix", "hooks"):
            with pytest.raises(ZeroDivisionError):
                one.logits(engine)
    assert not any("forward" in vars(module) for module in one.blocks.modules)
    assert not any(
        module._forward_hooks or module._forward_pre_hooks for module in one.lm.model.modules()
    )
    assert torch.equal(one.logits("hooks"), expected)


@pytest.mark.parametrize("kind", [k for k in QUICK if k != "bloom"])
def test_half_precision_ends_in_float32(kind: str) -> None:
    name, settings = DECODERS[kind]
    one = dressed(made(name, **settings).to(torch.bfloat16), kind)
    one.lm.dtype = "bfloat16"
    model = one.lm.model
    states: list[torch.Tensor] = []
    handle = one.blocks.modules[-1].register_forward_hook(
        lambda _, __, out: states.append(out[0] if isinstance(out, tuple) else out)
    )
    with evaluation(model), exact_tail(model, one.blocks):
        logits = model(torch.tensor([one.prompts[0].ids])).logits
    handle.remove()
    assert states[0].dtype == torch.bfloat16
    assert logits.dtype == torch.float32
    # The same from the same states, with a head that is float32 altogether.
    norm, head = one.blocks.tail
    whole = type(model)(model.config).eval()
    whole.load_state_dict({k: v.float() for k, v in model.state_dict().items()})
    other = find_blocks(whole)
    with torch.inference_mode():
        expected = other.tail[1](other.tail[0](states[0].float()))
    close(expected, logits)
    # Afterwards everything is as it was.
    assert model(torch.tensor([one.prompts[0].ids])).logits.dtype == torch.bfloat16
    assert norm.weight.dtype == head.weight.dtype == torch.bfloat16
    report = choose(one.lm, one.blocks, one.prompts, one.vectors)
    assert report.engine == "packed"


def test_models_with_few_positions_keep_their_limit() -> None:
    one = dressed(made("Llama", **(GROUPED | BASE)), "llama")
    assert one.lm.context == 64
