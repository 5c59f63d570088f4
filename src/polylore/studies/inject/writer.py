"""A model that writes for items: how it is opened, asked and kept account of."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from polylore.errors import ConfigError
from polylore.facts.people import Fiction
from polylore.facts.people.acceptance import Identify, Refusal
from polylore.facts.people.tables import checked
from polylore.files import write_parquet
from polylore.models.loading import LanguageModel, load_model
from polylore.models.writing import Request, write
from polylore.runs import RunFolder
from polylore.studies.inject.writer_config import WriterConfig
from polylore.training.continued.start import open_start

Row = dict[str, Any]
Writer = Callable[[Sequence[Request]], list[str]]
Progress = Callable[[int, int, str], None]


@dataclass
class OpenModel:
    """A model of polylore's engine, loaded when it is first needed."""

    name: str
    folder: Path
    digest: str
    config: WriterConfig
    _lm: LanguageModel | None = None

    @classmethod
    def find(
        cls, name: str, config: WriterConfig, revision: str | int | None = None
    ) -> "OpenModel":
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


def identifier(config: WriterConfig) -> Identify | None:
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
