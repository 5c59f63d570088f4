"""What is there before the first update: model, adapter, optimizer settings and its moments."""

from collections.abc import Mapping
from typing import Any, Protocol

import torch

from polylore.corpus.draw import number
from polylore.errors import ConfigError
from polylore.models.loading import LanguageModel, load_model
from polylore.training.checkpoint import trainable
from polylore.training.continued.config import ContinueConfig
from polylore.training.continued.moments import read_moments
from polylore.training.continued.settings import Settings, mode_of, settle
from polylore.training.continued.start import Start
from polylore.training.continued.streams import RowStream


class Adapter(Protocol):
    """Something that is trained in the place of all weights, such as LoRA."""

    @property
    def digest(self) -> str:
        """SHA-256 of its settings: part of the run's identity."""

    def adapt(self, model: Any) -> Any:
        """Prepare a model that was just loaded; random numbers are seeded by then."""

    def merged(self, model: Any) -> Any:
        """An ordinary model to be saved; the one in training stays as it is."""


def load(start: Start, adapt: Adapter | None, seed: int, dtype: str) -> LanguageModel:
    """The model of a checkpoint in a number format, with its adapter, ready to be trained.

    Raises:
        ModelError: it cannot be read.
        ConfigError: the adapter leaves nothing to be trained.
    """
    lm = load_model(start.folder, dtype=dtype)
    if adapt is not None:
        torch.manual_seed(number(seed, "adapter"))
        lm.model = adapt.adapt(lm.model)
    lm.model.train()
    if not trainable(lm.model):
        raise ConfigError("The adapter leaves no weight to be trained.")
    return lm


def check_length(stream: RowStream, lm: LanguageModel, start: Start) -> None:
    """Refuse rows that the model cannot read.

    Raises:
        ConfigError: they are too long.
    """
    if stream.form.length - 1 > lm.context:
        raise ConfigError(
            f"Rows of {stream.form.length} tokens are longer than {start.source} reads "
            f"({lm.context}); use shorter rows."
        )


def begin(
    config: ContinueConfig,
    start: Start,
    stream: RowStream,
    model: torch.nn.Module,
    device: torch.device,
) -> tuple[Settings, Mapping[str, torch.Tensor] | None]:
    """Settings with nothing left open, and the moments that the optimizer takes over, if any.

    Raises:
        ModelError: the optimizer state cannot be read or belongs to another model.
        ConfigError: the learning rate is unknown, or the stream is too short for a burn-in.
    """
    mode = mode_of(config, start)
    if mode == "restore":
        found = read_moments(start, model)
        return settle(config, start, mode, found.made, found.recipe, device), found.tensors
    made = config.burn_in if mode == "fresh_burn_in" else 0
    if stream.before < made:
        raise ConfigError(
            f"A burn-in of {made} updates needs as many steps before the first, but the stream "
            f"has {stream.before}; let it begin later in the text, shorten burn_in, or set "
            "optimizer to fresh."
        )
    return settle(config, start, mode, made, start.recipe, device), None
