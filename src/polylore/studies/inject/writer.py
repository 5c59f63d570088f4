"""A model that writes for items: its settings, and how it is opened, asked and kept account of."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import Field

from polylore.config import Config
from polylore.errors import ConfigError
from polylore.facts.people import Fiction
from polylore.facts.people.acceptance import Refusal
from polylore.facts.people.tables import checked
from polylore.files import write_parquet
from polylore.models.loading import LanguageModel, load_model
from polylore.models.writing import Request, write
from polylore.runs import RunFolder
from polylore.studies.work_config import WorkConfig
from polylore.training.continued.start import open_start

Row = dict[str, Any]
Writer = Callable[[Sequence[Request]], list[str]]
Progress = Callable[[int, int, str], None]


class WriterConfig(Config):
    """Who writes, for which items, and how often it may try."""

    model: str
    """Folder of a model, training run of polylore, or repository of the hub."""
    revision: str | int | None = None
    """Checkpoint of a series; the last one by default."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Number format of the forward pass."""
    chat: Literal["auto", "plain"] = "auto"
    """Use the tokenizer's chat template if it has one, or plain prompts with examples."""
    items: list[str] | None = None
    """Identities of the items; by default all."""
    attempts: int = Field(default=4, ge=1)
    """Attempts at each text, all with seeds of their own."""
    temperature: float = Field(default=0.8, gt=0)
    """Of the draws: low writes what is likely, high what is varied."""
    seed: int = 0
    """Decides all draws."""
    tokenizer: str | None = None
    """tokenizer.json, or a folder with it: lengths are within 10 % in its tokens, else in
    characters."""
    langid: bool = True
    """Refuse passages that read like another language (extra `langid`)."""
    device: str = "cpu"
    """Device of the forward pass: cpu, cuda, cuda:1, mps."""
    token_budget: int | None = Field(default=None, ge=1)
    """Tokens in memory at once; by default what suits the device."""

    @property
    def work(self) -> WorkConfig:
        """Budgets of the device."""
        return WorkConfig(device=self.device, token_budget=self.token_budget)

    def identity(self) -> dict[str, Any]:
        """What decides the texts."""
        return self.model_dump(mode="json", exclude={"device", "token_budget"})


@dataclass
class OpenModel:
    """A model of polylore's engine, loaded when it is first needed."""

    name: str
    folder: Path
    digest: str
    config: WriterConfig
    _lm: LanguageModel | None = None

    @classmethod
    def find(cls, name: str, config: WriterConfig, revision: str | int | None = None) -> "OpenModel":
        """Find a model; nothing is loaded yet."""
        start = open_start(name, revision=revision)
        return cls(name, start.folder, start.digest, config)

    @property
    def lm(self) -> LanguageModel:
        """The model itself."""
        if self._lm is None:
            config = self.config
            self._lm = load_model(self.folder, dtype=config.dtype, device=config.device)
        return self._lm

    def write(self, requests: Sequence[Request]) -> list[str]:
        """Its answers."""
        chat = self.config.chat == "auto" and bool(getattr(self.lm.tokenizer, "chat_template", ""))
        return write(
            self.lm,
            requests,
            chat=chat,
            temperature=self.config.temperature,
            token_budget=self.config.work.generation_budget(),
        )


def chosen(fiction: Fiction, items: list[str] | None) -> list[str]:
    """The items that are to be written for.

    Raises:
        ConfigError: there is no such item.
    """
    known = fiction.items["item_id"].to_list()
    for item in items or ():
        if item not in known:
            raise ConfigError(
                f"items: there is no item {item}; there are {known[0]} to {known[-1]} "
                f"({len(known)})."
            )
    return known if items is None else [item for item in known if item in items]


def length_of(config: WriterConfig) -> Callable[[str], int]:
    """Length of a text: in tokens of `config.tokenizer`, else in characters."""
    if config.tokenizer is None:
        return len
    from polylore.corpus.documents.tokens import load_tokenizer

    encode = load_tokenizer(config.tokenizer).encode
    return lambda text: len(encode(text, add_special_tokens=False).ids)


def identifier(config: WriterConfig) -> Callable[[str], str | None] | None:
    """What tells the language of a text, if that is asked for.

    Raises:
        ConfigError: the package that does is not installed.
    """
    if not config.langid:
        return None
    from polylore.corpus.documents.languages import identified
    from polylore.corpus.extras import require

    require("pycld2", "langid")
    return lambda text: identified(text.encode())


def do_units(
    run: RunFolder,
    units: Iterable[str],
    work: Callable[[str], list[Row]],
    what: str,
    progress: Progress | None,
) -> pl.DataFrame:
    """All that was written, with what is pending done first; finished units are kept."""
    from polylore.tables.inject import WRITTEN

    wanted = list(units)
    pending = run.pending(wanted)
    for done, unit in enumerate(pending, len(wanted) - len(pending)):
        if progress:
            progress(done, len(wanted), what)
        run.write_unit(unit, {WRITTEN.name: WRITTEN.build(work(unit))})
    if progress:
        progress(len(wanted), len(wanted), what)
    return run.read(WRITTEN.name, wanted)


def row_of(
    item: str, lang: str, kind: str, about: str, text: str, refusal: Refusal | None, **more: Any
) -> Row:
    """A row of WRITTEN."""
    reason, evidence = refusal or (None, None)
    row = {"item_id": item, "lang": lang, "kind": kind, "about": about, "text": text}
    return {"attempt": 0, "seed": None} | row | {"reason": reason, "evidence": evidence} | more


@dataclass(frozen=True)
class Outcome:
    """What came of it."""

    path: Path
    """Folder with the items, if any text was taken, and refused.parquet."""
    taken: int
    """Passages that were taken."""
    wanted: int
    """Passages that were asked for."""
    refused: pl.DataFrame
    """Refused texts; contract `tables.inject.WRITTEN`."""

    @property
    def reasons(self) -> pl.DataFrame:
        """Texts by kind and reason, most first."""
        counts = self.refused.group_by("kind", "reason").agg(texts=pl.len())
        return counts.sort("texts", "kind", "reason", descending=[True, False, False])


def conclude(run: RunFolder, fiction: Fiction | None, written: pl.DataFrame, **n: int) -> Outcome:
    """Write the items beside what was refused; without items only that."""
    refused = written.filter(pl.col("reason").is_not_null())
    write_parquet(refused, run.path / "refused.parquet")
    if fiction is not None:
        checked(fiction, "written items").export(run.path)
    return Outcome(run.path, refused=refused, **n)


def opened(
    config: WriterConfig, writer: Writer | None, inputs: dict[str, str]
) -> tuple[Writer, OpenModel | None]:
    """Who writes: a given callable, or the model of the configuration, whose digest is noted."""
    if writer is not None:
        return writer, None
    model = OpenModel.find(config.model, config, config.revision)
    inputs["model"] = model.digest
    return partial(model.write), model
