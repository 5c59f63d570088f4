"""A model without weights: its configuration and tokenizer, enough to plan with."""

from pathlib import Path
from typing import Any

import torch

from polylore.errors import ModelError
from polylore.models.checking import check_causal, quiet
from polylore.models.cost import Anatomy
from polylore.models.loading import DTYPES, LanguageModel, load_tokenizer, wrap
from polylore.models.usable import usable
from polylore.models.weights import said

_ATTENDING = ("full_attention", "sliding_attention", "chunked_attention", "attention")
_SCALED = ("final_logit_softcapping", "logit_scale", "logits_scaling")


def skeleton(folder: str | Path, *, dtype: str = "float32", device: str = "meta") -> LanguageModel:
    """The model of a folder without reading its weights.

    Args:
        folder: a model folder; its weights need not be there.
        dtype: number format it will be asked in.
        device: `meta` for no weights at all, or a device to put random weights on.

    Raises:
        ModelError: a configuration or tokenizer that is missing, damaged or of another kind.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} has no config.json, so it is not a model folder.")
    with quiet():
        check_causal(folder)
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        try:
            with torch.device(device):
                model = AutoModelForCausalLM.from_config(config, dtype=DTYPES[dtype])
        except Exception as error:
            raise ModelError(
                f"No model can be made of the configuration in {folder} ({said(error)})."
            ) from error
        tokenizer = load_tokenizer(folder)
    return wrap(model.eval(), tokenizer, str(folder))


def random_model(folder: str | Path, dtype: str, device: str, seed: int) -> LanguageModel:
    """The model of a folder with random weights instead of its own.

    Raises:
        ConfigError: there is no such device here.
        ModelError: as of `skeleton`.
    """
    place = usable(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        # Drawn on the CPU, so that they are the same for every device.
        lm = skeleton(folder, dtype=dtype, device="cpu")
    lm.model.to(place)
    lm.device = place
    return lm


def anatomy(model: Any) -> Anatomy:
    """The numbers that decide what a model costs; works on a model without weights."""
    config = model.config.get_text_config()
    head = model.get_output_embeddings()
    layers = int(config.num_hidden_layers)
    kinds = getattr(config, "layer_types", None)
    attending = sum(kind in _ATTENDING for kind in kinds) if kinds else layers
    heads = int(getattr(config, "num_attention_heads", 0) or 0)
    hidden = int(config.hidden_size)
    sizes = [weight.numel() for weight in model.parameters()]
    return Anatomy(
        parameters=sum(sizes),
        largest=max(sizes),
        inner=_inner(model, config),
        vocabulary=int(head.weight.shape[0]),
        hidden=hidden,
        intermediate=_intermediate(config, hidden),
        heads=heads,
        head=int(getattr(config, "head_dim", None) or (hidden // heads if heads else 0)),
        key_heads=int(getattr(config, "num_key_value_heads", None) or heads),
        layers=layers,
        attending=attending if heads else 0,
        parts=_parts(model, config),
        written=_written(config),
        logit_copies=2 if any(getattr(config, key, None) for key in _SCALED) else 1,
    )


def _inner(model: Any, config: Any) -> int:
    """Weights that each token meets in a matrix product, output layer and embeddings excluded."""
    outside = {id(model.get_output_embeddings().weight)}
    for part in model.modules():
        if isinstance(part, torch.nn.Embedding):
            outside.add(id(part.weight))
    total = 0
    for name, weight in model.named_parameters():
        if id(weight) in outside or weight.ndim < 2:
            continue
        share = 1.0
        if weight.ndim == 3 and "experts" in name:
            chosen = getattr(config, "num_experts_per_tok", None)
            share = chosen / weight.shape[0] if chosen else 1.0
        total += round(share * weight.numel())
    return total


def _intermediate(config: Any, hidden: int) -> int:
    """Numbers of a token where a layer is widest, attention excluded."""
    for key in ("intermediate_size", "n_inner", "ffn_dim"):
        value = getattr(config, key, None)
        if isinstance(value, int):
            return value
    return 4 * hidden


def _parts(model: Any, config: Any) -> int:
    """How many tensors of the inside of a layer are held at once."""
    names = [name for name, _ in model.named_parameters()]
    if any(".gate_up_proj" in name for name in names):
        return 4  # both halves in one, one activated, and their product
    if any(".gate" in name for name in names):
        return 3  # one activated, the other, and their product
    kind = getattr(config, "hidden_act", None) or getattr(config, "activation_function", None)
    return 2 if kind in ("gelu", "relu") else 4  # others take several steps


def _written(config: Any) -> int:
    """Copies of attention's weights that are held at once."""
    if getattr(config, "_attn_implementation", "eager") != "eager":
        return 0
    return 4 if config.model_type == "bloom" else 2  # biases are added in steps of their own
