"""`align lint`: findings about parallel sets and invented worlds."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from polylore.errors import ConfigError, DataError
from polylore.facts.choices.baselines import baselines
from polylore.facts.choices.lint import MESSAGES, lint, summary
from polylore.facts.choices.sets import read_questions
from polylore.facts.fiction import lint as fiction
from polylore.facts.fiction.published import read_published
from polylore.facts.fiction.repair import repair
from polylore.studies.align.world import holds_worlds, load_worlds


def lint_sets(folder: str | Path, pivot: str = "en") -> dict[str, pl.DataFrame]:
    """align_lint, align_lint_summary and align_baselines of a folder of parallel sets.

    Raises:
        ConfigError: no set has the pivot.
        DataError: files that are no parallel sets.
    """
    questions = read_questions(folder)
    if pivot not in set(questions["lang"]):
        langs = ", ".join(questions["lang"].unique(maintain_order=True))
        raise ConfigError(f"{folder} has no language '{pivot}'; choose a pivot among {langs}.")
    found = lint(questions, pivot)
    return {
        "align_lint": found,
        "align_lint_summary": summary(found, MESSAGES),
        "align_baselines": baselines(questions),
    }


def lint_worlds(folder: str | Path, repairs: Sequence[str] = ()) -> dict[str, pl.DataFrame]:
    """align_lint and align_lint_summary of every language of a published world, or of own worlds.

    Findings about the source language are the same in every world; they are listed once.

    Raises:
        ConfigError: repairs for what `align world` wrote.
        DataError: the folder is neither what `align world` wrote nor holds `train/<LANG>.json`.
    """
    if not Path(folder).is_dir():
        raise DataError(f"There is no folder {folder}; give the one that holds the worlds.")
    if holds_worlds(folder):
        if repairs:
            raise ConfigError(f"{folder} is no published world, so --repair has nothing to mend.")
        # Its numbers of rows are a setting, not a promise.
        return _found([fiction.lint_world(world) for world in load_worlds(folder).values()])
    langs = sorted(path.stem.lower() for path in (Path(folder) / "train").glob("*.json"))
    if not langs:
        raise DataError(
            f"{folder} is no invented world: it holds neither world.json (of `polylore align "
            "world`) nor train/<LANG>.json (of a published one)."
        )
    worlds = [repair(read_published(folder, lang), repairs) for lang in langs]
    return _found([fiction.lint_world(world, published_design=True) for world in worlds])


def _found(parts: Sequence[pl.DataFrame]) -> dict[str, pl.DataFrame]:
    found = pl.concat(parts).unique(maintain_order=True)
    return {"align_lint": found, "align_lint_summary": summary(found, fiction.MESSAGES)}
