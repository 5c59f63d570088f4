"""LoRA on a model in memory, by peft (specification of `align`, section 4.5)."""

import copy
from typing import Any

import torch

from polylore.config import digest
from polylore.errors import ConfigError
from polylore.training.adapters.config import LoraConfig
from polylore.training.adapters.targets import find_targets, transposed


class Lora:
    """Adapts one model; the hook that `continue_training` takes."""

    def __init__(self, config: LoraConfig, seed: int = 0) -> None:
        """Args: config: what; seed: seed of the adapters' first weights."""
        self.config, self.seed = config, seed
        self.digest = digest({"lora": config.plain(), "seed": seed})
        self.names: list[str] = []
        """Layers that were adapted."""
        self._tuner: Any = None

    def adapt(self, model: Any) -> Any:
        """Put adapters on the layers, in place, and freeze everything else.

        Raises:
            ConfigError: peft is not installed, or no layer matches.
        """
        try:
            from peft import LoraConfig as PeftConfig
            from peft.tuners.lora import LoraModel
        except ImportError as error:
            raise ConfigError("LoRA needs peft: pip install 'polylore[lora]'.") from error
        wanted = self.config
        targets = wanted.targets if isinstance(wanted.targets, str) else list(wanted.targets)
        self.names = find_targets(model, targets)
        made = PeftConfig(
            r=wanted.rank,
            lora_alpha=wanted.alpha,
            lora_dropout=wanted.dropout,
            target_modules=self.names,
            fan_in_fan_out=transposed(model, self.names),
            bias="none",
        )
        device = next(model.parameters()).device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(self.seed)
            self._tuner = LoraModel(model, made, "default")
        for train, layer in (
            (wanted.embeddings, model.get_input_embeddings()),
            (wanted.head, model.get_output_embeddings()),
        ):
            if train:
                layer.requires_grad_(True)
        return model

    def merged(self, model: Any) -> Any:
        """An ordinary model with the adapters added to its weights; `model` stays as it is."""
        if self._tuner is None or self._tuner.model is not model:
            raise ConfigError("These adapters belong to another model; adapt it first.")
        return copy.deepcopy(self._tuner).merge_and_unload()
