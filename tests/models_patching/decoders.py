"""The setting of the engine tests: specification of `patch`, section 9."""

from dataclasses import dataclass
from typing import Any

import torch
import transformers as tf

from polylore.models import LanguageModel
from polylore.models.forward import evaluation
from polylore.models.loading import _context
from polylore.models.patching import Blocks, Form, PatchPrompt, find_blocks
from polylore.models.patching.engines import patch_logits

LAYERS, VOCABULARY, WINDOW = 6, 97, 8
LENGTHS = (30, 33, 21, 33, 28)
FROM_END = 7
"""The object's last token is the seventh from the end."""

BASE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
WIDE = BASE | {"intermediate_size": 48}
GROUPED = WIDE | {"num_key_value_heads": 2}
ALONE = WIDE | {"num_key_value_heads": 4}
GEMMA = GROUPED | {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": WINDOW}
DECODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", GROUPED),
    "mistral": ("Mistral", GROUPED | {"sliding_window": WINDOW}),
    "qwen2": ("Qwen2", GROUPED),
    "qwen3": ("Qwen3", GROUPED | {"head_dim": 8}),
    "gemma2": ("Gemma2", GEMMA | {"final_logit_softcapping": 3.0}),
    "gemma3": (
        "Gemma3Text",
        GEMMA | {"layer_types": ["sliding_attention", "sliding_attention", "full_attention"] * 2},
    ),
    "neox": ("GPTNeoX", WIDE | {"use_parallel_residual": True}),
    "neox-sequential": ("GPTNeoX", WIDE | {"use_parallel_residual": False}),
    "gpt2": ("GPT2", BASE),
    "olmo": ("Olmo", ALONE),
    "olmo2": ("Olmo2", GROUPED),
    "olmo3": ("Olmo3", GROUPED | {"sliding_window": WINDOW}),
    "apertus": ("Apertus", GROUPED),
    "bloom": (
        "Bloom",
        {"hidden_size": 32, "n_layer": LAYERS, "n_head": 4, "vocab_size": VOCABULARY},
    ),
}
QUICK = ["llama", "gemma3", "gpt2", "bloom"]
"""One of each kind: plain, windowed, learned positions, ALiBi and tuples."""


@dataclass
class Tiny:
    """A decoder, five prompts of different lengths, and vectors of other concepts."""

    lm: LanguageModel
    blocks: Blocks
    prompts: list[PatchPrompt]
    vectors: list[torch.Tensor]

    def logits(
        self,
        engine: str,
        onsets: Any = range(-1, LAYERS),
        depth: int | None = None,
        members: Any = None,
        vectors: list[torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Logits at every place: (1 + onsets, K, V)."""
        members = list(range(len(self.prompts)) if members is None else members)
        vectors = vectors or self.vectors
        with evaluation(self.lm.model):
            return patch_logits(
                self.lm,
                self.blocks,
                [self.prompts[k] for k in members],
                [vectors[k] for k in members],
                list(onsets),
                depth,
                engine,
            )


def make_tiny(kind: str, **changes: Any) -> Tiny:
    name, settings = DECODERS[kind]
    if not hasattr(tf, f"{name}Config"):
        import pytest

        pytest.skip(f"this transformers has no {name}")
    torch.manual_seed(0)
    config = getattr(tf, f"{name}Config")(**settings | changes)
    model = tf.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight *= 8  # as drawn, a patch would hardly change anything
    return dressed(model, kind)


def dressed(model: Any, kind: str) -> Tiny:
    """A model with what the tests ask of it; no tokenizer is needed to patch."""
    lm = LanguageModel(
        model, None, _context(model.config), torch.device("cpu"), "float32", kind, "none"
    )
    blocks = find_blocks(model)
    draw = torch.Generator().manual_seed(1)
    prompts = []
    for length in LENGTHS:
        ids = tuple(torch.randint(2, VOCABULARY, (length,), generator=draw).tolist())
        o = length - FROM_END
        prompts.append(PatchPrompt(ids, o, o))
    vectors = [
        torch.randn(LAYERS + 1, 1, blocks.width, generator=draw) for _ in range(len(LENGTHS))
    ]
    return Tiny(lm, blocks, prompts, vectors)


def limit(logits: torch.Tensor) -> float:
    """1e-5, or more where logits are larger than one."""
    assert bool(torch.isfinite(logits).all())
    return 1e-5 * max(1.0, float(logits.abs().max()))


def close(one: torch.Tensor, two: torch.Tensor) -> None:
    """Assert that logits are equal up to rounding."""
    assert one.shape == two.shape
    assert bool(torch.isfinite(two).all())
    assert float((one - two).abs().max()) <= limit(one)


FORMS = (
    Form((40, 41), FROM_END - 1),
    Form((40, 42, 43), FROM_END - 1),
    Form((44,), FROM_END - 1),
    Form((45, 46), FROM_END - 2),
)
"""Forms after a prompt, `after` counted from the object's last token; the last one merged with the
opening quote."""


def with_forms(prompt: PatchPrompt) -> PatchPrompt:
    """A prompt that asks for sets of tokens and for forms."""
    forms = tuple(Form(f.ids, prompt.last + f.after) for f in FORMS)
    return PatchPrompt(
        prompt.ids, prompt.first, prompt.last, ((40, 44), (50, 51, 52)), forms, (60, 61)
    )
