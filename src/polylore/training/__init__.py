"""Training from scratch on a composed corpus."""

from polylore.training.config import ModelConfig, ScheduleConfig, TokenizerConfig, TrainConfig
from polylore.training.loop import train
from polylore.training.schedule import checkpoint_steps

__all__ = [
    "ModelConfig",
    "ScheduleConfig",
    "TokenizerConfig",
    "TrainConfig",
    "checkpoint_steps",
    "train",
]
