"""Tiny configurations of every architecture that polylore is tried on."""

from typing import Any

import transformers as tf

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "initializer_range": 0.2,
    "pad_token_id": 1,  # its embedding is zero, and that of the first token must not be
    "bos_token_id": 0,
    "eos_token_id": 1,
}
GROUPED = {**SMALL, "intermediate_size": 48, "num_key_value_heads": 2}
ALONE = {**GROUPED, "num_key_value_heads": 4, "tie_word_embeddings": False}
HEADS = {"head_dim": 8, "query_pre_attn_scalar": 8}
WINDOW = 8
"""Tokens that windowed layers look back on."""

ZOO: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", GROUPED),
    "llama-tied": ("Llama", GROUPED | {"tie_word_embeddings": True}),
    "llama-ungrouped": ("Llama", ALONE),
    "qwen2": ("Qwen2", GROUPED),
    "qwen2-window": (
        "Qwen2",
        GROUPED | {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1},
    ),
    "qwen3": ("Qwen3", GROUPED | {"head_dim": 8}),
    "mistral": ("Mistral", GROUPED | {"sliding_window": WINDOW}),
    "mistral-full": ("Mistral", GROUPED | {"sliding_window": None}),
    "gemma2": (
        "Gemma2",
        GROUPED | HEADS | {"sliding_window": 2 * WINDOW, "final_logit_softcapping": 3.0},
    ),
    "gemma3": (
        "Gemma3Text",
        GROUPED | HEADS | {"sliding_window": WINDOW, "layer_types": ["sliding_attention"] * 2},
    ),
    "gemma3-mixed": (
        "Gemma3Text",
        GROUPED
        | HEADS
        | {"sliding_window": WINDOW, "layer_types": ["sliding_attention", "full_attention"]},
    ),
    "gpt2": ("GPT2", SMALL),
    "neox": ("GPTNeoX", SMALL | {"intermediate_size": 48}),
    "olmo": ("Olmo", ALONE | {"clip_qkv": 1.0}),
    "olmo2": ("Olmo2", GROUPED),
    "bloom": ("Bloom", {"hidden_size": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.2}),
    "phi3": ("Phi3", GROUPED | {"sliding_window": WINDOW}),
    "smollm3": ("SmolLM3", GROUPED | {"no_rope_layers": [1, 0]}),
    "smollm3-window": (
        "SmolLM3",
        GROUPED | {"no_rope_layers": [1, 0], "use_sliding_window": True, "sliding_window": WINDOW},
    ),
    "opt": ("OPT", SMALL | {"ffn_dim": 48, "word_embed_proj_dim": 32, "init_std": 0.2}),
    "cohere": ("Cohere", GROUPED | {"logit_scale": 0.5}),
    "granite": ("Granite", GROUPED | {"logits_scaling": 4.0}),
    "mpt": ("Mpt", {"d_model": 32, "n_layers": 2, "n_heads": 4, "initializer_range": 0.2}),
    "lfm2": ("Lfm2", GROUPED | {"layer_types": ["conv", "full_attention"]}),
    "mamba": ("Mamba", {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}),
}


def config(kind: str, **changes: Any) -> Any:
    """The tiny configuration of an architecture, with some settings changed."""
    name, settings = ZOO[kind]
    return getattr(tf, f"{name}Config")(**settings | changes)
