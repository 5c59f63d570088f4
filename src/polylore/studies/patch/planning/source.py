"""The tokenizer of a model, and the few numbers of it that a plan is checked against."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polylore.models.cost import Anatomy
from polylore.models.loading import load_tokenizer
from polylore.models.skeleton import anatomy, skeleton
from polylore.models.store import Source
from polylore.studies.patch.config import PatchConfig


@dataclass(frozen=True)
class Planned:
    """A model as far as a plan needs it: no weights are read."""

    tokenizer: Any
    anatomy: Anatomy
    positions: int | None
    """Positions that it has; None if its configuration sets no limit."""
    vocabulary: int
    """Ids that its embedding has."""


def open_model(config: PatchConfig) -> Planned:
    """Find the model's first checkpoint; of a hub model only small files are fetched.

    Raises:
        PolyloreError: there is no such model, or its tokenizer cannot be loaded.
    """
    chosen = config.series.resolve(config.model).chosen
    source = Source.of(chosen.row(0, named=True))
    local = source.local and source.path is not None
    folder = Path(str(source.path)) if local else config.series.store().small_files(source)
    lm = skeleton(folder)
    settings = lm.model.config.get_text_config()
    tokenizer = lm.tokenizer if config.tokenizer is None else load_tokenizer(Path(config.tokenizer))
    return Planned(
        tokenizer,
        anatomy(lm.model),
        getattr(settings, "max_position_embeddings", None),
        int(lm.model.get_input_embeddings().weight.shape[0]),
    )
