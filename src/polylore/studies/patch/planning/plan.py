"""The plan: tables and a head, written as Parquet and JSON (`patch`, section 4.4).

```
PLAN/
  plan.json                  configuration, names, hashes, what was dropped and why
  patch_pairs.parquet  patch_prompts.parquet  patch_items.parquet  patch_cells.parquet
  lexicon_flags.parquet      what makes each item hard to judge
  lexicon/                   the concepts and words it was made of
```
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import polars as pl

from polylore.config import digest
from polylore.errors import DataError, ModelError
from polylore.facts.lexicon import Lexicon, load_lexicon
from polylore.files import read_json, read_parquet, write_json, write_parquet
from polylore.studies.patch.config import PatchConfig, PlanConfig
from polylore.studies.patch.planning.pairs import ConceptPair
from polylore.tables.contract import Table
from polylore.tables.lexicon import LEXICON_FLAGS
from polylore.tables.patch import CELLS, ITEMS, PAIRS, PROMPTS

FORMAT = 1
TABLES: dict[str, Table] = {
    "pairs": PAIRS,
    "prompts": PROMPTS,
    "items": ITEMS,
    "cells": CELLS,
    "flags": LEXICON_FLAGS,
}
"""Tables of a plan, by their name in `PatchPlan`."""


@dataclass(frozen=True)
class Head:
    """Everything about a plan but its tables."""

    config: PatchConfig
    names: Mapping[str, str]
    """Language -> its own name, as written in prompts."""
    languages: tuple[str, ...]
    """All languages in which naming a concept is looked for."""
    lexicon_hash: str
    tokenizer_hash: str
    dropped: Mapping[str, Any]
    """What was left out, counted and listed by reason."""

    def plain(self) -> dict[str, Any]:
        """JSON-compatible values."""
        return {
            "preset": self.config.preset,
            "lexicon": self.config.effective_lexicon().plain(),
            "plan": self.config.effective_plan().plain(),
            "names": dict(self.names),
            "languages": list(self.languages),
            "lexicon_hash": self.lexicon_hash,
            "tokenizer_hash": self.tokenizer_hash,
            "dropped": dict(self.dropped),
        }


@dataclass(frozen=True, eq=False)
class PatchPlan:
    """What is put before a model, and which states go where."""

    head: Head
    lexicon: Lexicon
    pairs: pl.DataFrame
    prompts: pl.DataFrame
    items: pl.DataFrame
    cells: pl.DataFrame
    flags: pl.DataFrame
    hash: str
    """SHA-256 (hex) of the head and all tables."""

    @property
    def settings(self) -> PlanConfig:
        """The plan's configuration as it was in effect."""
        return self.head.config.effective_plan()

    @cached_property
    def concept_pairs(self) -> list[ConceptPair]:
        """Pairs of concepts with their demonstrations, in order."""
        return [
            ConceptPair(
                row["pair_id"],
                row["fact_id"],
                row["fact_id_target"],
                tuple(row["source_shots"]),
                tuple(row["target_shots"]),
            )
            for row in self.pairs.iter_rows(named=True)
        ]

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt."""
        return int(self.prompts["token_ids"].list.len().max() or 0)  # type: ignore[arg-type]

    @property
    def largest_id(self) -> int:
        """Largest token id of prompts and first-token sets."""
        ids = [self.prompts["token_ids"], self.cells["first_ids"]]
        return max(int(one.list.max().max() or 0) for one in ids)  # type: ignore[arg-type]

    def check_tokenizer(self, tokenizer_hash: str) -> None:
        """Refuse a tokenizer that the plan was not made with.

        Args:
            tokenizer_hash: as `models.fingerprint.tokenizer_hash` gives it.

        Raises:
            DataError: it has another hash.
        """
        if tokenizer_hash != self.head.tokenizer_hash:
            raise DataError(
                "The plan was made with another tokenizer; make it again, or carry it over with "
                "`polylore patch plan --retokenise PLAN`."
            )

    def check_model(self, positions: int | None, vocabulary: int) -> None:
        """Refuse a model that cannot read the plan's prompts, before any forward pass.

        Args:
            positions: positions that the model has; None if it has no limit.
            vocabulary: ids that its embedding has.

        Raises:
            ModelError: a prompt is too long, or an id too large.
        """
        if positions is not None and self.longest > positions:
            raise ModelError(
                f"The longest prompt has {self.longest} tokens and the model reads {positions}; "
                "make the plan with fewer demonstrations (plan.n_shots)."
            )
        if self.largest_id >= vocabulary:
            raise ModelError(
                f"The plan holds token id {self.largest_id} and the model has {vocabulary} ids; "
                "make the plan with the model's own tokenizer."
            )

    def save(self, folder: str | Path) -> None:
        """Write the plan; `plan.json` comes last."""
        folder = Path(folder)
        for name, table in TABLES.items():
            write_parquet(getattr(self, name), folder / f"{table.name}.parquet")
        self.lexicon.export(folder / "lexicon")
        values = {"format": FORMAT, "plan_hash": self.hash, **self.head.plain()}
        write_json(values, folder / "plan.json")

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read a plan.

        Raises:
            DataError: there is none, or it was changed after it was made.
        """
        folder = Path(folder)
        values = read_json(folder / "plan.json")
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise DataError(f"{folder / 'plan.json'} is no plan that this polylore reads.")
        config = PatchConfig.parse(
            {
                "model": "",
                **{k: values.get(k) for k in ("preset", "lexicon", "plan")},
            },
            str(folder / "plan.json"),
        )
        try:
            head = Head(
                config,
                values["names"],
                tuple(values["languages"]),
                *(values[k] for k in ("lexicon_hash", "tokenizer_hash", "dropped")),
            )
            expected = values["plan_hash"]
        except KeyError as error:
            raise DataError(f"{folder / 'plan.json'} lacks {error}.") from error
        frames = {
            name: table.validate(read_parquet(folder / f"{table.name}.parquet"))
            for name, table in TABLES.items()
        }
        found = cls(head, load_lexicon(folder / "lexicon"), hash=_hash(head, frames), **frames)
        if found.hash != expected or found.lexicon.digest() != head.lexicon_hash:
            raise DataError(f"The plan in {folder} was changed after it was made; make it again.")
        return found


def seal(head: Head, lexicon: Lexicon, **frames: pl.DataFrame) -> PatchPlan:
    """A plan of finished tables, with its hash."""
    return PatchPlan(head, lexicon, hash=_hash(head, frames), **frames)


def _hash(head: Head, frames: Mapping[str, pl.DataFrame]) -> str:
    return digest({"head": head.plain(), "tables": dict(_hashes(frames))})


def _hashes(frames: Mapping[str, pl.DataFrame]) -> Iterable[tuple[str, str]]:
    for name in TABLES:
        content = hashlib.sha256()
        # In parts: the work list of a large plan would be a string of hundreds of megabytes.
        for part in frames[name].iter_slices(10_000):
            content.update(part.write_ndjson().encode())
        yield name, content.hexdigest()
