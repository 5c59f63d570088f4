"""What runs begin with: the checkpoint, its tokenizer, the items, the form of rows.

All runs of a study share the last three, whatever checkpoint they go on from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from polylore.corpus.injection import RowFormat, passage_tokens
from polylore.corpus.injection.format import Tokens
from polylore.errors import ConfigError, ModelError
from polylore.facts.people import Fiction, read_fiction
from polylore.models import LanguageModel
from polylore.models.fingerprint import tokenizer_hash
from polylore.models.loading import load_tokenizer
from polylore.models.skeleton import skeleton
from polylore.studies.inject.background import row_format
from polylore.studies.inject.conditions import RunSpec
from polylore.studies.inject.config import InjectConfig
from polylore.studies.inject.items import Items
from polylore.training.continued.settings import mode_of
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
    def skeleton(self) -> LanguageModel:
        """The model without its weights."""
        return skeleton(self.start.folder)

    @property
    def parameters(self) -> int:
        """Parameters of the model."""
        return int(self.skeleton.model.num_parameters())

    def begin(self, config: InjectConfig) -> int | None:
        """Token in front of probes: there if and only if rows of training begin with one."""
        chosen = config.probes.begin
        if chosen == "no" or (chosen == "auto" and not self.form.head):
            return None
        bos = self.tokenizer.bos_token_id
        return self.form.eos if bos is None else int(bos)


@dataclass(frozen=True)
class Opened:
    """A checkpoint and its tokenizer."""

    start: Start
    tokenizer: Any

    def length(self, text: str) -> int:
        """Tokens of a text."""
        return len(encode(self.tokenizer, [text])[0])


def open_checkpoint(config: InjectConfig) -> Opened:
    """Open the checkpoint of a study, or of one of its runs.

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
    return Opened(start, tokenizer)


def make_basis(
    config: InjectConfig,
    items: Items,
    form: RowFormat | None = None,
    opened: Opened | None = None,
) -> Basis:
    """What a study begins with, or one of its runs.

    Args:
        config: the study, or what holds in the run.
        items: its items.
        form: what rows look like, if that is settled.
        opened: the checkpoint, if it is open.

    Raises:
        ConfigError, ModelError: as for `open_checkpoint`.
    """
    own = opened or open_checkpoint(config)
    form = form or row_format(config.background, own.start, own.tokenizer)
    return Basis(own.start, own.tokenizer, form, items)


def other_basis(name: str, config: InjectConfig, study: Basis) -> Basis:
    """Open the checkpoint of a condition that has one of its own.

    Rows, plan and probes are made once for all runs, so it must read the same tokens.

    Raises:
        ConfigError: it has another tokenizer, or reads shorter rows.
        ModelError: it cannot be read.
    """
    found = make_basis(config, study.items, study.form)
    if tokenizer_hash(found.tokenizer) != tokenizer_hash(study.tokenizer):
        raise ConfigError(
            f"Condition {name}: the checkpoint has another tokenizer than that of the study, but "
            "rows, passages and probes are tokenised once for all runs; make it a study of its own."
        )
    if found.skeleton.context < study.form.length - 1:
        raise ConfigError(
            f"Condition {name}: the checkpoint reads {found.skeleton.context} tokens, but rows "
            f"have {study.form.length}; set a background.length that all checkpoints read."
        )
    return found


def bases_of(specs: Sequence[RunSpec], config: InjectConfig, study: Basis) -> dict[str, Basis]:
    """What every run begins with, by its name; each checkpoint is opened once.

    Raises:
        ConfigError: a checkpoint that does not fit the study, or runs whose optimizers would begin
            differently although nobody asked for that.
        ModelError: a checkpoint or a wanted optimizer state cannot be read.
    """
    known = {_place(config): study}
    found = {}
    for spec in specs:
        place = _place(spec.config)
        if place not in known:
            known[place] = other_basis(spec.condition, spec.config, study)
        own = known[place]
        mode = mode_of(spec.config.train, own.start)
        if mode == "restore" and own.start.optimizer is None:
            raise ModelError(
                f"Condition {spec.condition}: {own.start.source} has no optimizer state at step "
                f"{own.start.step}; name a file of one with optimizer_state, or set "
                "train.optimizer to fresh or fresh_burn_in."
            )
        usual = mode_of(config.train, study.start)
        if spec.config.train.optimizer == config.train.optimizer == "auto" and mode != usual:
            raise ConfigError(
                f"Condition {spec.condition}: at its checkpoint the optimizer would begin as "
                f"{mode}, at that of the study as {usual}, so they would differ in more than the "
                "checkpoint; set train.optimizer to fresh_burn_in, or name optimizer_state."
            )
        found[spec.run_id] = own
    return found


def _place(config: InjectConfig) -> tuple[str | None, ...]:
    return config.model, config.revision, config.optimizer_state


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
