"""The model that is trained: an ordinary Llama-style model of Hugging Face, freshly initialised."""

import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from polylore.models.double import unrounded, wide
from polylore.training.config import TrainConfig


def new_model(config: TrainConfig, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Initialise a model in float32; equal configurations give equal weights.

    The random state of the caller is left untouched.
    """
    sizes = config.model
    llama = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=sizes.hidden_size,
        intermediate_size=sizes.intermediate_size,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        num_key_value_heads=sizes.kv_heads or sizes.heads,
        max_position_embeddings=sizes.max_positions,
        initializer_range=sizes.init_std,
        tie_word_embeddings=sizes.tie_embeddings,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = LlamaForCausalLM(llama)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return model.train()


def batch_loss(
    model: torch.nn.Module,
    rows_BT: torch.Tensor,
    pad: int,
    dtype: torch.dtype,
    weights_BT: torch.Tensor | None = None,
) -> torch.Tensor:
    """Sum of the cross-entropies (nats) of all tokens after the first of each row.

    In float32; in float64 for a model in it.

    Args:
        model: a causal language model, possibly wrapped or compiled.
        rows_BT: [sequences, context + 1] token ids; padding stands only at the end of a row, where
            no earlier position can see it, so no attention mask is needed.
        pad: id of the padding token, which is not predicted.
        dtype: number format of the forward pass: that of the weights, or bfloat16 by autocast.
        weights_BT: weight of each token in the sum; 1 if not given.
    """
    return labelled_loss(model, rows_BT, rows_BT, dtype, weights_BT, unlabelled=pad)


def labelled_loss(
    model: torch.nn.Module,
    rows_BT: torch.Tensor,
    labels_BT: torch.Tensor,
    dtype: torch.dtype,
    weights_BT: torch.Tensor | None = None,
    *,
    unlabelled: int,
) -> torch.Tensor:
    """Sum of the cross-entropies of all labelled tokens after the first of each row.

    Args:
        model, rows_BT, dtype, weights_BT: as for `batch_loss`.
        labels_BT: the tokens, or `unlabelled` where none is to be predicted.
        unlabelled: label of such places.
    """
    half = dtype not in (torch.float32, torch.float64)
    with torch.autocast(rows_BT.device.type, dtype=dtype, enabled=half), unrounded(dtype):
        logits_BTV = model(input_ids=rows_BT[:, :-1], use_cache=False).logits
    logits_NV, labels_N = wide(logits_BTV.flatten(0, 1)), labels_BT[:, 1:].flatten()
    if weights_BT is None:
        return torch.nn.functional.cross_entropy(
            logits_NV, labels_N, ignore_index=unlabelled, reduction="sum"
        )
    losses_N = torch.nn.functional.cross_entropy(
        logits_NV, labels_N, ignore_index=unlabelled, reduction="none"
    )
    return losses_N @ weights_BT[:, 1:].flatten().to(losses_N.dtype)


def parameter_groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Matrices decay, vectors (norms) do not."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
