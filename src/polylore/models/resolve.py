"""From the name of a model to the checkpoints to ask: folders or the hub, gaps, a schedule.

Specification of `trace`, section 4.1.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from polylore.errors import ConfigError, ModelError
from polylore.models import hub_cache
from polylore.models.duplicates import apply_policy, mark_duplicates, warn_suspect
from polylore.models.gaps import find_gaps
from polylore.models.hub import repos_of
from polylore.models.hub_series import scan_hub
from polylore.models.schedule import Schedule, choose
from polylore.models.series import Series, scan_series
from polylore.tables.raw import CHECKPOINTS

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Resolved:
    """What there is of a model, and what of it is to be asked."""

    series: pl.DataFrame
    """Table CHECKPOINTS of everything there is, in order of training."""
    chosen: pl.DataFrame
    """Table CHECKPOINTS of what the schedule chose."""
    gaps: pl.DataFrame
    """Table GAPS of the series."""
    skipped: tuple[tuple[str, str], ...]
    """What looks like a checkpoint but was left out: (folder or revision, reason)."""
    missing: tuple[int, ...]
    """Scheduled steps that the series lacks."""


def resolve(
    model: str,
    *,
    name: str | None = None,
    schedule: Schedule = "all",
    nearest: bool = False,
    pattern: str | None = None,
    phases: Mapping[str, int] | None = None,
    tokens_per_step: int | None = None,
    ingredient: int | None = None,
    duplicates: Literal["exclude", "keep", "error"] = "exclude",
    cache_dir: str | None = None,
    damaged: bool = False,
) -> Resolved:
    """Find a model's checkpoints and choose among them; nothing is downloaded.

    Args:
        model: a local folder, or a repository of the hub (``org/name``; several joined by ``+``
            are one model, of which the first wins at equal steps).
        name: name of the series, if not that of its folder or repository.
        schedule, nearest: see `choose`.
        pattern, phases, tokens_per_step: how names are read, see `parse_name`.
        ingredient: keep only this branch of the later stages.
        duplicates: checkpoints with the weights of another one are left out of trajectories
            (exclude), treated like any other (keep), or refused (error).
        cache_dir: the hub's cache, if not the usual one.
        damaged: let a checkpoint with damaged weights pass, without a fingerprint, for studies
            that note it as failed and go on.

    Raises:
        ModelError: no such folder or repository, nothing usable in it, or damaged weights.
        ConfigError: a bad schedule or pattern.
    """
    cache = hub_cache.cache_root(cache_dir)
    scanned = _scan(model, cache, pattern, phases, tokens_per_step, damaged)
    rows = _branch(scanned.checkpoints.to_dicts(), ingredient)
    for row in rows:
        row["model"] = name or row["model"]
    choice = choose(rows, schedule, nearest=nearest)
    chosen = {row["ckpt_id"]: row for row in choice.rows}
    for row in rows:
        if row["ckpt_id"] in chosen and row["weight_hash"] is None and row["path"] is not None:
            try:
                row["weight_hash"] = hub_cache.read_weight_hash(
                    cache, row["files_hash"], Path(row["path"])
                )
            except ModelError:
                if not damaged:
                    raise
    title = str(rows[0]["model"])
    _warn_branches(rows, title)
    mark_duplicates(rows)
    if rows[0]["repo"] is not None:  # local folders have been warned about
        warn_suspect(rows, title)
    apply_policy(rows, duplicates, title)
    if choice.missing:
        _log.warning(
            "%s lacks %d scheduled steps (%s); set series.nearest to use the nearest ones.",
            title,
            len(choice.missing),
            ", ".join(map(str, choice.missing[:10])),
        )
    picked = [
        row | {k: chosen[row["ckpt_id"]][k] for k in ("requested_step", "used_step")}
        for row in rows
        if row["ckpt_id"] in chosen
    ]
    return Resolved(
        CHECKPOINTS.build(rows),
        CHECKPOINTS.build(picked),
        find_gaps(rows, choice.requested),
        scanned.skipped,
        tuple(choice.missing),
    )


def refresh(
    checkpoints: pl.DataFrame,
    duplicates: str = "exclude",
    *,
    cache_dir: str | None = None,
    alike: Sequence[Sequence[str]] = (),
) -> pl.DataFrame:
    """Table CHECKPOINTS with what became known while the weights were read and asked.

    Args:
        checkpoints: the table so far.
        duplicates: as in `resolve`.
        cache_dir: the hub's cache, which remembers fingerprints, if not the usual one.
        alike: groups of checkpoints whose answers show that their weights are equal.

    Raises:
        ModelError: with duplicates "error", if equal weights came to light.
    """
    cache = hub_cache.cache_root(cache_dir)
    rows = checkpoints.to_dicts()
    new = False
    for row in rows:
        if row["weight_hash"] is None:
            row["weight_hash"] = hub_cache.known_weight_hash(cache, row["files_hash"])
            new = new or row["weight_hash"] is not None
    if not new and not alike:
        return checkpoints
    place = {ckpt_id: str(number) for number, group in enumerate(alike) for ckpt_id in group}
    for row in rows:
        row["answers"] = place.get(row["ckpt_id"])
    before = {row["ckpt_id"]: (row["duplicate_of"], row["suspect"]) for row in rows}
    mark_duplicates(rows)
    for row in rows:
        del row["answers"]
        # A twin outside the schedule stays known.
        if row["duplicate_of"] is None and before[row["ckpt_id"]][0] is not None:
            row["duplicate_of"], row["suspect"] = before[row["ckpt_id"]]
        row["suspect"] = row["suspect"] or before[row["ckpt_id"]][1]
    apply_policy(rows, duplicates, str(rows[0]["model"]))
    warn_suspect(
        [r for r in rows if r["suspect"] and not before[r["ckpt_id"]][1]], rows[0]["model"]
    )
    return CHECKPOINTS.build(rows)


def _scan(
    model: str,
    cache: Path,
    pattern: str | None,
    phases: Mapping[str, int] | None,
    tokens_per_step: int | None,
    damaged: bool,
) -> Series:
    options: dict[str, Any] = {
        "pattern": pattern,
        "phases": phases,
        "tokens_per_step": tokens_per_step,
    }
    repos = None if Path(model).is_dir() else repos_of(model)
    if repos is None:
        _refuse_unknown(model)
        return scan_series(model, damaged=damaged, **options)
    return scan_hub(repos, cache=cache, **options)


def _refuse_unknown(model: str) -> None:
    """Refuse what is neither a folder nor the name of a model on the hub."""
    if Path(model).is_dir():
        return
    repo, at, revision = model.partition("@")
    if at and repos_of(repo):
        raise ConfigError(
            f"{model} names a revision; give {repo} and choose with series.schedule={revision}."
        )
    raise ModelError(
        f"There is no folder {model}; a model on the hub is called ORG/NAME, such as "
        "EleutherAI/pythia-70m."
    )


def _warn_branches(rows: list[dict[str, Any]], title: str) -> None:
    there = sorted({row["ingredient"] for row in rows} - {None})
    if len(there) > 1:
        _log.warning(
            "%s branches in its later stages (ingredients %s), and trajectories follow ingredient "
            "%s; set series.ingredient to follow another one.",
            title,
            ", ".join(map(str, there)),
            there[0],
        )


def _branch(rows: list[dict[str, Any]], ingredient: int | None) -> list[dict[str, Any]]:
    if ingredient is None:
        return rows
    there = sorted({row["ingredient"] for row in rows} - {None})
    if ingredient not in there:
        listed = f"there are {', '.join(map(str, there))}" if there else "the series has none"
        raise ConfigError(f"There is no ingredient {ingredient}; {listed}.")
    return [row for row in rows if row["ingredient"] in (None, ingredient)]
