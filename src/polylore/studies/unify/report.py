"""Tables and page of a sweep."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from polylore.report import Report
from polylore.runs import RunFolder
from polylore.studies.outputs import write_outputs
from polylore.studies.unify.context import MISSING, UnifyContext
from polylore.studies.unify.failures import failure, why
from polylore.studies.unify.pages import build_report
from polylore.studies.unify.scoring import score
from polylore.studies.unify.sections.pictures import pictured

Progress = Callable[[int, int, str], None]


def report(run: RunFolder, *, progress: Progress | None = None) -> Path:
    """Make all numbers of a sweep from its units, and write page, figures and tables.

    Args:
        run: folder of a sweep, finished or not, with at least one run done.
        progress: called with (done, total, what).

    Returns:
        Path of `report.html`.
    """
    score(run)
    frames = {name: run.table(name) for name in run.table_names()}
    drawn = {**frames, "unify_states": _states(run, frames)}

    def build() -> Report:
        return build_report(
            drawn,
            sizes={
                one["name"]: one["config"].get("preset", "custom")
                for one in run.manifest["conditions"]
            },
            missing=_missing(run),
            provenance=_provenance(run),
        )

    return write_outputs(run, build, frames, progress)


def _states(run: RunFolder, frames: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """States of the few runs that are drawn: those of a whole sweep would not fit into memory."""
    context = UnifyContext(frames)
    chosen = context.runs.filter(pl.col("run_hash").is_in(pictured(context)))
    units = [f"{c} seed {s}" for c, s in chosen.select("condition", "seed").iter_rows()]
    return run.read("unify_states", units)


def _missing(run: RunFolder) -> pl.DataFrame:
    """Runs that are not done, and why if they failed."""
    rows = []
    for condition, seed in run.manifest.get("missing", []):
        note = failure(run, condition, seed)
        said = "not run yet" if note is None else f"failed: {why(note)}"
        rows.append((condition, seed, said))
    return pl.DataFrame(rows, schema=MISSING, orient="row")


def _provenance(run: RunFolder) -> dict[str, str]:
    manifest = run.manifest
    said = manifest.get("git", {}).get("commit")
    found = {
        "sweep": str(manifest.get("config_digest", ""))[:12],
        "command": " ".join(manifest.get("command", [])),
        "versions": ", ".join(f"{k} {v}" for k, v in manifest.get("versions", {}).items()),
        "started": str(manifest.get("created", "")),
    }
    return found | ({"code": said} if said else {})
