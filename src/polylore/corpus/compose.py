"""From a fact set and a plan to a corpus on disk: documents in order of reading, and its design."""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from polylore.config import difference, digest
from polylore.corpus.background import NO_BACKGROUND, Background, find_background
from polylore.corpus.config import ComposeConfig
from polylore.corpus.design import all_wordings, check_plan, design_table, expressed_table
from polylore.corpus.draw import number
from polylore.corpus.events import Events, plan_events
from polylore.corpus.mentions import mention_table
from polylore.errors import DataError, RunError
from polylore.files import (
    clear_temporary,
    read_json,
    read_parquet,
    sha256_file,
    write_json,
    write_parquet,
)

if TYPE_CHECKING:
    from polylore.facts.factset import FactSet

FORMAT = 1
PART_ROWS = 50_000
"""Documents per Parquet part."""
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Composed:
    """A composed corpus on disk."""

    folder: Path
    manifest: dict[str, Any]
    """Plan, digests and counts; see `compose`."""

    @cached_property
    def design(self) -> pl.DataFrame:
        """Condition and dose of every cell; contract `tables.raw.DESIGN`."""
        return read_parquet(self.folder / "design.parquet")

    @cached_property
    def expressed(self) -> pl.DataFrame:
        """Other facts that sentences express as well: fact_id, lang, wording, also_fact_id."""
        return read_parquet(self.folder / "expressed.parquet")

    @property
    def parts(self) -> list[Path]:
        """Parquet files of the documents, in order of reading."""
        return [self.folder / "documents" / name for name in self.manifest["parts"]]

    def documents(self) -> pl.LazyFrame:
        """All documents in order of reading; contract `tables.raw.DOCUMENTS`."""
        return pl.scan_parquet(self.parts)


def compose(
    factset: "FactSet",
    config: ComposeConfig,
    folder: str | Path,
    progress: Progress | None = None,
) -> Composed:
    """Write a deterministic training corpus with a known design.

    The folder receives `documents/part-*.parquet` (contract `tables.raw.DOCUMENTS`, in order of
    reading), `design.parquet`, `expressed.parquet`, `facts/` (the fact set) and, last of all,
    `manifest.json` with the plan, counts and a digest of everything that decides the documents.
    The same fact set and plan give the same documents, byte for byte, however often it is
    interrupted; a finished corpus of the same plan is opened instead of being written again.

    Raises:
        ConfigError: the plan does not fit the fact set or the background files.
        DataError: a wording cannot be used as training text, or a background file is broken.
        RunError: the folder holds another corpus or cannot be written to.
    """
    folder = Path(folder)
    plan = {"format": FORMAT, "config": config.plain(), "factset": factset.digest()}
    if (folder / "manifest.json").exists():
        return _reopen(folder, plan)
    check_plan(factset, config)
    wordings = all_wordings(factset, config)
    expressed = expressed_table(factset, wordings)
    design = design_table(factset, config, expressed)
    mentions = mention_table(factset, config, design)
    n_told = int(design["dose"].sum()) + int(mentions["count"].sum())
    background = _background(factset, config, n_told)
    events = plan_events(factset, config, design, mentions, background, wordings)

    try:
        shutil.rmtree(folder / "documents", ignore_errors=True)
        (folder / "documents").mkdir(parents=True)
    except OSError as error:
        raise RunError(
            f"Cannot write the corpus to {folder} ({error.strerror}); choose another folder."
        ) from error
    clear_temporary(folder)
    parts = _write_parts(events, folder / "documents", progress)
    write_parquet(design, folder / "design.parquet")
    write_parquet(expressed, folder / "expressed.parquet")
    factset.export(folder / "facts")
    manifest = plan | {
        "digest": digest(plan | {"background": _fingerprint(background)}),
        "name": factset.name,
        "languages": factset.languages,
        "parts": parts,
        "counts": _counts(design, mentions, background),
    }
    write_json(manifest, folder / "manifest.json")
    return Composed(folder, manifest)


def open_corpus(folder: str | Path) -> Composed:
    """Open a composed corpus.

    Raises:
        DataError: the folder holds none, or an unfinished one.
    """
    folder = Path(folder)
    if not (folder / "manifest.json").exists():
        raise DataError(f"{folder} holds no finished corpus; compose it first.")
    manifest = read_json(folder / "manifest.json")
    if not isinstance(manifest, dict) or "parts" not in manifest:
        raise DataError(f"{folder} holds something else than a composed corpus.")
    return Composed(folder, manifest)


def _reopen(folder: Path, plan: dict[str, Any]) -> Composed:
    corpus = open_corpus(folder)
    changes = difference({key: corpus.manifest.get(key) for key in plan}, plan)
    if changes:
        raise RunError(
            f"{folder} already holds a corpus of another plan ({'; '.join(changes)}); "
            "choose another folder."
        )
    return corpus


def _background(factset: "FactSet", config: ComposeConfig, n_told: int) -> Background:
    if not config.background:
        return NO_BACKGROUND
    found = find_background(config.background, factset)
    n = round(n_told * config.background_share / (1 - config.background_share))
    return found.choose(n, number(config.seed, "background"))


def _fingerprint(background: Background) -> list[Any]:
    """Content and chosen places of the background, to tell one mixture from another."""
    places = hashlib.sha256(background.places.tobytes()).hexdigest()
    return [[path.name, sha256_file(path)] for path in background.files] + [places]


def _write_parts(events: Events, folder: Path, progress: Progress | None) -> list[str]:
    names = []
    for number_, frame in enumerate(events.frames(PART_ROWS)):
        name = f"part-{number_:05d}.parquet"
        write_parquet(frame, folder / name)
        names.append(name)
        if progress:
            progress(min((number_ + 1) * PART_ROWS, len(events)), len(events), "documents")
    return names


def _counts(design: pl.DataFrame, mentions: pl.DataFrame, background: Background) -> dict[str, Any]:
    per_lang = (
        design.group_by("lang", maintain_order=True)
        .agg(
            facts=pl.len(),
            held_out=(pl.col("dose") == 0).sum(),
            fact_documents=pl.col("dose").sum(),
        )
        .join(mentions.group_by("lang").agg(mentions=pl.col("count").sum()), on="lang", how="left")
        .with_columns(pl.col("mentions").fill_null(0))
    )
    n_background = len(background.places)
    told = int(design["dose"].sum()) + int(mentions["count"].sum())
    return {
        "documents": told + n_background,
        "background": n_background,
        "background_left_out": background.left_out,
        "languages": {row["lang"]: row for row in per_lang.to_dicts()},
    }
