"""How large a model is and what of it an arm trains, without loading weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from polylore.errors import ModelError
from polylore.studies.align.arms.config import ArmConfig
from polylore.training.adapters.targets import find_targets


@dataclass(frozen=True)
class Sizes:
    """Parameters of a model and of an arm."""

    parameters: int
    trainable: int
    hidden: int
    depth: int
    """Blocks."""
    vocabulary: int
    layers: tuple[str, ...] | None
    """Layers with adapters; None if all weights are trained."""


def sizes_of(folder: Path, arm: ArmConfig | None) -> Sizes:
    """Sizes of the model in a folder, and of an arm that goes on from it.

    Raises:
        ModelError: its configuration cannot be read.
        ConfigError: no layer matches the arm's LoRA targets.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            model: Any = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"The configuration in {folder} cannot be read ({str(error).splitlines()[0]})."
        ) from error
    model.tie_weights()
    parameters = sum(weight.numel() for weight in model.parameters())
    layers, trainable = None, parameters
    if arm is not None and arm.method == "lora":
        wanted = arm.lora.targets if isinstance(arm.lora.targets, str) else list(arm.lora.targets)
        layers = tuple(find_targets(model, wanted))
        trainable = sum(
            arm.lora.rank * sum(model.get_submodule(name).weight.shape) for name in layers
        )
        whole = {
            id(layer.weight): layer.weight.numel()
            for train, layer in (
                (arm.lora.embeddings, model.get_input_embeddings()),
                (arm.lora.head, model.get_output_embeddings()),
            )
            if train
        }
        trainable += sum(whole.values())
    text = config.get_text_config()
    return Sizes(
        parameters=parameters,
        trainable=trainable,
        hidden=int(text.hidden_size),
        depth=int(text.num_hidden_layers),
        vocabulary=int(text.vocab_size),
        layers=layers,
    )
