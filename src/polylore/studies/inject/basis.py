"""What all runs of a study share: the checkpoint, its tokenizer, the items, the form of rows."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from polylore.corpus.injection import RowFormat, passage_tokens
from polylore.corpus.injection.format import Tokens
from polylore.errors import ConfigError
from polylore.facts.fictional import Fiction, read_fiction
from polylore.models.loading import load_tokenizer
from polylore.models.skeleton import skeleton
from polylore.studies.inject.background import row_format
from polylore.studies.inject.config import InjectConfig
from polylore.studies.inject.items import Items
from polylore.training.continued.start import Start, open_start
from polylore.training.tokenizer import encode

ITEMS, SHAM_ITEMS, ROWS = "inputs/items", "inputs/sham", "inputs/background"
"""Where a run folder keeps what its runs read."""


@dataclass(frozen=True)
class Basis:
    """Checkpoint, tokenizer, items."""

    start: Start
    tokenizer: Any
    form: RowFormat
    items: Items

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Token ids of texts, nothing added; text that looks like a special token stays text."""
        return encode(self.tokenizer, texts)

    @cached_property
    def tokens(self) -> dict[str, Tokens]:
        """Tokens of every passage, those of the sham run included."""
        found = passage_tokens(self.items.fiction.passages, self.encode)
        if self.items.sham is not None:
            found |= passage_tokens(self.items.sham.passages, self.encode)
        return found

    @cached_property
    def parameters(self) -> int:
        """Parameters of the model."""
        return int(skeleton(self.start.folder).model.num_parameters())

    def begin(self, config: InjectConfig) -> int | None:
        """Token in front of probes: there if and only if rows of training begin with one."""
        chosen = config.probes.begin
        if chosen == "no" or (chosen == "auto" and not self.form.head):
            return None
        bos = self.tokenizer.bos_token_id
        return self.form.eos if bos is None else int(bos)


def make_basis(config: InjectConfig, items: Items) -> Basis:
    """Open the checkpoint of a study.

    Raises:
        ConfigError: no model is named, or its tokenizer cannot be used.
        ModelError: the checkpoint cannot be read.
    """
    start = open_start(config.model, revision=config.revision, optimizer=config.optimizer_state)
    tokenizer = load_tokenizer(start.folder)
    if not getattr(tokenizer, "is_fast", False):
        raise ConfigError(
            f"The tokenizer of {config.model} is not a fast one; save a tokenizer.json beside the "
            "model."
        )
    return Basis(start, tokenizer, row_format(config.background, start, tokenizer), items)


def save_items(items: Items, folder: Path) -> None:
    """Keep the items in a run folder, where every worker reads them."""
    for fiction, name in ((items.fiction, ITEMS), (items.sham, SHAM_ITEMS)):
        if fiction is not None and not (folder / name / "probes.parquet").is_file():
            fiction.export(folder / name)


def saved_items(folder: Path) -> Items:
    """What `save_items` kept."""
    sham: Fiction | None = None
    if (folder / SHAM_ITEMS).is_dir():
        sham = read_fiction(folder / SHAM_ITEMS)
    return Items(read_fiction(folder / ITEMS), sham)
