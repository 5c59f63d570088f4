"""What a run's settings come to, once the checkpoint and its optimizer have been seen."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from polylore.errors import ConfigError
from polylore.models.loading import DTYPES
from polylore.training.continued.config import RESUMED, ContinueConfig
from polylore.training.continued.start import Recipe, Start

_DEFAULTS = {"beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.1, "clip": 1.0}


@dataclass(frozen=True)
class Settings:
    """AdamW and its rate, with nothing left open; the manifest holds them."""

    mode: str
    """restore, fresh or fresh_burn_in."""
    made: int
    """Updates that the optimizer has made at t = 0."""
    learning_rate: float
    """Highest rate, before the configured factor; 0 where a formula gives it."""
    beta1: float
    beta2: float
    eps: float
    weight_decay: float
    clip: float
    dtype: str
    """float32, bfloat16 or float64."""
    threads: int

    def plain(self) -> dict[str, Any]:
        """JSON-compatible values."""
        return asdict(self)

    @property
    def torch_dtype(self) -> torch.dtype:
        """Number format of the forward pass as torch names it."""
        return DTYPES[self.dtype]


def weights_format(config: ContinueConfig, device: torch.device) -> str:
    """Number format of weights and optimizer: float32 unless training is in float64.

    Raises:
        ConfigError: the device has no float64.
    """
    if config.precision != "float64":
        return "float32"
    try:
        torch.zeros((), dtype=torch.float64, device=device)
    except (TypeError, RuntimeError) as error:
        raise ConfigError(
            f"The device {device.type} does not calculate in float64; set precision to float32, or "
            "train on a CPU."
        ) from error
    return "float64"


def mode_of(config: ContinueConfig, start: Start) -> str:
    """How the optimizer begins."""
    if config.optimizer != "auto":
        return config.optimizer
    return "fresh_burn_in" if start.optimizer is None else "restore"


def settle(
    config: ContinueConfig, start: Start, mode: str, made: int, told: Recipe, device: torch.device
) -> Settings:
    """Fill in what the configuration leaves open.

    Args:
        config: the configuration.
        start: the checkpoint.
        mode: of `mode_of`.
        made: updates the optimizer has made at t = 0.
        told: what is known of how the checkpoint was trained, its optimizer's file included.
        device: where training happens.

    Raises:
        ConfigError: no learning rate is given, and the checkpoint's own is unknown.
    """
    known = told if mode == "restore" else replace(Recipe(), clip=told.clip)
    chosen = {}
    for name, default in _DEFAULTS.items():
        given, own = getattr(config, name), getattr(known, name)
        chosen[name] = given if given is not None else own if own is not None else default
    rate = config.rate.learning_rate or told.learning_rate
    if config.rate.schedule == RESUMED:
        rate = 0.0
    elif rate is None:
        raise ConfigError(
            f"The learning rate with which {start.source} was trained is unknown; give "
            "rate.learning_rate."
        )
    usual = "float32" if device.type == "cpu" else "bfloat16"
    return Settings(
        mode=mode,
        made=made,
        learning_rate=rate,
        dtype=usual if config.precision == "auto" else config.precision,
        threads=config.threads or torch.get_num_threads(),
        **chosen,
    )
