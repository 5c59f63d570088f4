"""The checkpoints of a model on the hub: its branches or tags, from one or several repositories.

Specification of `trace`, section 4.1.
"""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from polylore.errors import ModelError
from polylore.models import hub_cache
from polylore.models.duplicates import mark_duplicates
from polylore.models.hub import HubFile, Revision, UnreachableError, needed, revisions
from polylore.models.names import CheckpointName, continuous, parse_name
from polylore.models.series import Series, add_stages
from polylore.tables.raw import CHECKPOINTS

_log = logging.getLogger(__name__)

_ASKING = 8  # revisions whose file lists are asked for at the same time
PYTHIA_END = 143_000


@dataclass(frozen=True)
class _Found:
    parsed: CheckpointName
    repo: str
    revision: Revision
    listing: list[HubFile] = field(default_factory=list)
    folder: Path | None = None


Skipped = list[tuple[str, str]]


def scan_hub(
    repos: Sequence[str],
    *,
    cache: Path,
    pattern: str | None = None,
    phases: Mapping[str, int] | None = None,
    tokens_per_step: int | None = None,
) -> Series:
    """List and order the checkpoints of repositories that together hold one model.

    Branches are checkpoints; where fewer than two of them say a step, tags are. At equal steps the
    repository named first wins, and final models of the others are left out. Weights are compared
    by the hub's own hashes, so nothing is downloaded. Without network (or with HF_HUB_OFFLINE) the
    series is what the hub's cache on this machine holds.

    Args:
        repos: names such as ``org/name``; the first one names the series.
        cache: folder of the hub's cache.
        pattern, phases, tokens_per_step: how names are read, see `parse_name`.

    Raises:
        ModelError: a repository that is missing, gated or without a usable checkpoint.
        UnreachableError: no network, and nothing in the cache.
    """
    options = {"pattern": pattern, "phases": phases, "tokens_per_step": tokens_per_step}
    skipped: Skipped = []
    found: list[_Found] = []
    for number, repo in enumerate(repos):
        own, online = _revisions(cache, repo)
        named = _named(own, repo, options, skipped)
        found += _merge(found, _one_per_step(named, skipped), number > 0, skipped)
        found = _with_files(found, cache, online, repo, skipped)
    if not found:
        listed = "; left out: " + ", ".join(name for name, _ in skipped[:10]) if skipped else ""
        raise ModelError(f"There is no checkpoint with weights in {'+'.join(repos)}{listed}.")
    names = continuous([f.parsed for f in found])
    ordered = sorted(
        (replace(f, parsed=_stand_in(n, f.repo, names)) for f, n in zip(found, names, strict=True)),
        key=lambda f: (f.parsed.order, f.parsed.name),
    )
    model = repos[0]
    rows = [_row(f, model, cache) for f in ordered]
    add_stages(rows, tokens_per_step)
    mark_duplicates(rows)
    return Series(CHECKPOINTS.build(rows), tuple(skipped))


def _revisions(cache: Path, repo: str) -> tuple[list[Revision], bool]:
    """Revisions of a repository, and whether the hub itself named them."""
    if hub_cache.offline():
        cached = hub_cache.cached_revisions(cache, repo)
        if not cached:
            raise UnreachableError(
                f"{repo} is not in the hub's cache {cache}, and the network is switched off "
                "(HF_HUB_OFFLINE); unset that, or give the folder of a local copy."
            )
        return cached, False
    try:
        return revisions(repo), True
    except UnreachableError as error:
        cached = hub_cache.cached_revisions(cache, repo)
        if not cached:
            raise
        _log.warning("%s Using the revisions of %s in the cache %s.", error, repo, cache)
        return cached, False


def _named(
    found: Sequence[Revision], repo: str, options: Mapping[str, Any], skipped: Skipped
) -> list[_Found]:
    left: Skipped = []
    more: Skipped = []
    branches = _parsed([r for r in found if not r.tag], repo, options, left)
    if sum(not f.parsed.final for f in branches) < 2:
        tags = _parsed([r for r in found if r.tag], repo, options, more)
        if sum(not f.parsed.final for f in tags) >= 2:
            known = {f.parsed.name for f in branches}
            branches += [f for f in tags if not f.parsed.final and f.parsed.name not in known]
            left = left + more
    skipped += left
    return branches


def _parsed(
    found: Sequence[Revision], repo: str, options: Mapping[str, Any], skipped: Skipped
) -> list[_Found]:
    result = []
    for revision in found:
        final = revision.name.lower() in ("main", "final")
        try:
            parsed = parse_name(revision.name, repo=repo, **({} if final else options))
        except ModelError:
            skipped.append((f"{repo}@{revision.name}", "its name says no step, or several"))
            continue
        if parsed is None:
            skipped.append((f"{repo}@{revision.name}", "a long-context variant"))
        else:
            result.append(_Found(parsed, repo, revision))
    return result


def _one_per_step(found: Sequence[_Found], skipped: Skipped) -> list[_Found]:
    """Of several revisions of one step keep the one whose name says most."""
    kept: dict[tuple[Any, ...], _Found] = {}
    for one in sorted(found, key=lambda f: (len(f.parsed.flags), f.parsed.name)):
        first = kept.setdefault(_place(one), one)
        if first is not one:
            reason = f"the same step as {first.revision.name}"
            skipped.append((f"{one.repo}@{one.revision.name}", reason))
    return list(kept.values())


def _merge(
    before: Sequence[_Found], new: Sequence[_Found], later: bool, skipped: Skipped
) -> list[_Found]:
    """Those checkpoints of a further repository that the ones before do not have."""
    there = {_place(f) for f in before}
    ids = {f.parsed.name for f in before}
    kept = []
    for one in new:
        if later and one.parsed.final:
            reason = "the final model of a further repository"
        elif _place(one) in there or one.parsed.name in ids:
            reason = "the repository named first has this step"
        else:
            kept.append(one)
            continue
        skipped.append((f"{one.repo}@{one.revision.name}", reason))
    return kept


def _place(found: _Found) -> tuple[Any, ...]:
    return (found.parsed.name,) if found.parsed.final else found.parsed.order


def _with_files(
    found: Sequence[_Found], cache: Path, online: bool, repo: str, skipped: Skipped
) -> list[_Found]:
    """Attach what files each checkpoint of `repo` has; those without weights are left out."""

    def look(one: _Found) -> _Found:
        if one.repo != repo:
            return one
        folder = hub_cache.snapshot(cache, repo, one.revision.commit)
        if online:
            files = needed(hub_cache.listing(cache, repo, one.revision.commit))
        else:
            files = [] if folder is None else hub_cache.snapshot_files(folder)
        return replace(one, listing=files, folder=folder)

    with ThreadPoolExecutor(_ASKING) as pool:
        looked = list(pool.map(look, found))
    kept = []
    for one in looked:
        if hub_cache.files_hash(one.listing) is None:
            reason = "it holds no weights" if online else "its weights are not on this machine"
            skipped.append((f"{one.repo}@{one.revision.name}", reason))
        else:
            kept.append(one)
    return kept


def _stand_in(parsed: CheckpointName, repo: str, names: Sequence[CheckpointName]) -> CheckpointName:
    """Pythia's final model stands for its last step where that revision is missing."""
    steps = [n for n in names if n.family == "pythia"]
    if not (parsed.final and steps) or any(n.step == PYTHIA_END for n in steps):
        return parsed
    last = parse_name(f"step{PYTHIA_END}", repo=repo)
    if last is None or last.family != "pythia":
        return parsed
    return replace(last, name=parsed.name, flags=("stands_for_last_step",))


def _row(found: _Found, model: str, cache: Path) -> dict[str, Any]:
    parsed = found.parsed
    hash_of_files = hub_cache.files_hash(found.listing)
    return {
        "ckpt_id": parsed.name,
        "family": parsed.family,
        "model": model,
        "repo": found.repo,
        "revision": found.revision.name,
        "commit": found.revision.commit,
        "path": None if found.folder is None else str(found.folder),
        "stage": parsed.stage,
        "ingredient": parsed.ingredient,
        "step": parsed.step,
        "tokens": parsed.tokens,
        "tokens_exact": parsed.tokens is not None and parsed.tokens_exact,
        "final": parsed.final,
        "weight_hash": hub_cache.known_weight_hash(cache, hash_of_files),
        "files_hash": hash_of_files,
        "flags": [*parsed.flags, *(["tag"] if found.revision.tag else [])] or None,
    }
