"""The shape of a tiny Llama, and where each of its weights lies in one flat row of numbers."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from polylore.errors import ModelError
from polylore.training.tiny.config import Recipe

EPSILON = 1e-6
"""Of RMSNorm."""
THETA = 10_000.0
"""Base of the rotary frequencies."""
INIT_STD = 0.02
"""Standard deviation of all initial matrices."""


@dataclass(frozen=True)
class Slot:
    """Place of one weight in the flat row of its model."""

    name: str
    """As in the state dict of the standard class."""
    shape: tuple[int, ...]
    start: int

    @property
    def stop(self) -> int:
        """Index after its last number."""
        return self.start + math.prod(self.shape)


@dataclass(frozen=True)
class Sizes:
    """Everything that decides the shapes of a model's weights."""

    vocabulary: int
    layers: int
    hidden: int
    intermediate: int
    heads: int
    max_positions: int

    @classmethod
    def of(cls, recipe: Recipe, vocabulary: int) -> Self:
        """The shape that a recipe gives to a world's vocabulary."""
        return cls(
            vocabulary,
            recipe.layers,
            recipe.hidden,
            recipe.intermediate,
            recipe.n_heads,
            recipe.max_positions,
        )

    @classmethod
    def seen(cls, model: LlamaForCausalLM) -> Self:
        """The shape of a model of the standard class.

        Raises:
            ModelError: it computes something else than the models of this recipe.
        """
        config = model.config
        sizes = cls(
            config.vocab_size,
            config.num_hidden_layers,
            config.hidden_size,
            config.intermediate_size,
            config.num_attention_heads,
            config.max_position_embeddings,
        )
        there = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
        alike = there == {slot.name: slot.shape for slot in sizes.slots}
        if alike and config.rms_norm_eps == EPSILON:
            rotary = model.model.rotary_emb
            even = torch.arange(0, 2 * len(rotary.inv_freq), 2, dtype=torch.float32)
            expected = THETA ** (-even / (2 * len(even)))
            if rotary.attention_scaling == 1 and torch.allclose(rotary.inv_freq.cpu(), expected):
                return sizes
        raise ModelError(
            f"This {type(model).__name__} is no tiny Llama of `unify` (untied embeddings, no "
            "biases, as many key-value heads as heads, plain rotary positions); train it with "
            "polylore."
        )

    @property
    def parameters(self) -> int:
        """2|V|d + layers (4d² + 3d·ff + 2d) + d (specification of `unify`, section 4.1)."""
        d, ff = self.hidden, self.intermediate
        return 2 * self.vocabulary * d + self.layers * (4 * d * d + 3 * d * ff + 2 * d) + d

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        """All weights in order: matrices first, which decay, then norms, which do not."""
        d, ff = self.hidden, self.intermediate
        wide = {"self_attn.q_proj": (d, d), "self_attn.k_proj": (d, d), "self_attn.v_proj": (d, d)}
        wide |= {"self_attn.o_proj": (d, d), "mlp.gate_proj": (ff, d), "mlp.up_proj": (ff, d)}
        wide |= {"mlp.down_proj": (d, ff)}
        shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens": (self.vocabulary, d)}
        for layer in range(self.layers):
            shapes |= {f"model.layers.{layer}.{name}": shape for name, shape in wide.items()}
        shapes["lm_head"] = (self.vocabulary, d)
        for layer in range(self.layers):
            shapes[f"model.layers.{layer}.input_layernorm"] = (d,)
            shapes[f"model.layers.{layer}.post_attention_layernorm"] = (d,)
        shapes["model.norm"] = (d,)
        slots, start = [], 0
        for name, shape in shapes.items():
            slots.append(Slot(f"{name}.weight", shape, start))
            start = slots[-1].stop
        return tuple(slots)

    @cached_property
    def matrices(self) -> int:
        """Numbers in all matrices; the norms lie behind them."""
        return max(slot.stop for slot in self.slots if len(slot.shape) > 1)


def new_llama(sizes: Sizes, seed: int) -> LlamaForCausalLM:
    """A freshly initialised model of the standard class; equal seeds give equal weights.

    The random state of the caller is left untouched.
    """
    config = LlamaConfig(
        vocab_size=sizes.vocabulary,
        hidden_size=sizes.hidden,
        intermediate_size=sizes.intermediate,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        num_key_value_heads=sizes.heads,
        max_position_embeddings=sizes.max_positions,
        initializer_range=INIT_STD,
        rms_norm_eps=EPSILON,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
        dtype="float32",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    # Without it the class would look for the tokens that these models do not have.
    model.generation_config = GenerationConfig()
    return model.train()
