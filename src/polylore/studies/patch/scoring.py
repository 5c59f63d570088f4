"""`patch score` and `patch report`: from raw rows to numbers and a page, without a model."""

import csv
from collections.abc import Callable
from pathlib import Path

import polars as pl

from polylore.errors import ConfigError, DataError, RunError
from polylore.files import atomic_path, write_parquet
from polylore.metrics.patching import (
    Forms,
    Rules,
    merge_codes,
    patch_tables,
    read_sheet,
    sheet,
    similarity_of,
    to_code,
)
from polylore.report import Report
from polylore.runs import RunFolder
from polylore.studies.outputs import write_outputs
from polylore.studies.patch.pages import build_report
from polylore.studies.patch.planning.plan import PatchPlan
from polylore.studies.patch.running.config import PatchScoreConfig

Progress = Callable[[int, int, str], None]
PLAN = "plan"
"""Folder of the plan within a run."""
DERIVED = (
    "patch_errors",
    "patch_curves",
    "patch_contrasts",
    "patch_samek",
    "patch_emergence",
    "patch_transitions",
    "patch_changes",
    "patch_shares",
)


def open_patch_run(folder: str | Path) -> RunFolder:
    """A run folder of `patch`.

    Raises:
        RunError: it is none.
    """
    run = RunFolder.load(folder)
    if run.manifest.get("kind") != "patch":
        raise RunError(
            f"{folder} is a run of `{run.manifest.get('kind')}`; give one that `polylore patch run`"
            " wrote."
        )
    return run


def score(
    run: RunFolder, config: PatchScoreConfig | None = None, *, progress: Progress | None = None
) -> dict[str, pl.DataFrame]:
    """Compute and store every derived table; can be repeated at any time.

    Checkpoints that failed their self-check are left out, whatever rows they have. Answers that the
    classifier leaves open are written to `coding/` as sheets for two annotators.

    Args:
        run: a run folder of `patch`.
        config: how; what is not said is as by default.
        progress: called with (done, total, what).

    Raises:
        RunError: there are no finished units.
        DataError: a coded sheet that does not belong to the run.
    """
    config = config or PatchScoreConfig()
    plan = PatchPlan.load(run.path / PLAN)
    preset = plan.head.config.preset
    checkpoints = run.table("checkpoints")
    checks = run.read("patch_selfcheck")
    failed = checks.filter(~pl.col("passed"))["ckpt_id"].unique()
    asked = checkpoints.filter(~pl.col("ckpt_id").is_in(failed.implode()))
    units = [unit for unit in run.units() if unit.rpartition("/")[0] in set(asked["ckpt_id"])]
    if not units:
        raise RunError(
            f"{run.path} holds no checkpoint that was patched and passed its self-check; run "
            "`polylore patch run` first."
        )
    scores, answers = run.read("patch_scores", units), run.read("patch_answers", units)
    rules = Rules(
        senses="any" if preset == "paper" else "same",
        similarity=similarity_of(plan.lexicon.similarity),
    )
    numbers = config.plain()
    made = patch_tables(
        scores,
        answers,
        plan.pairs,
        asked,
        plan.lexicon.frame,
        plan.flags,
        prompts=plan.prompts,
        items=plan.items,
        rules=rules,
        manual=_manual(run, config.codes, Forms(plan.lexicon.frame)),
        phi=config.phi,
        floor_margin=config.floor_margin,
        draws=config.draws,
        seed=config.seed,
        progress=progress,
    )
    for name, frame in made.items():
        run.write_table(name, frame)
    run.write_table("patch_selfcheck", checks)
    if not config.codes:
        _write_sheets(run, made["patch_errors"], Forms(plan.lexicon.frame), config.seed)
    run.annotate("analysis", {"score": numbers})
    return made


def report(run: RunFolder, *, progress: Progress | None = None) -> Path:
    """Write `report.html`, `figures/` and every derived table as Parquet and CSV.

    Raises:
        DataError: the run was not scored yet.
    """
    absent = [name for name in DERIVED if not run.has_table(name)]
    if absent:
        raise DataError(f"{run.path} was not scored yet; run `polylore patch score {run.path}`.")
    plan = PatchPlan.load(run.path / PLAN)
    frames = {name: run.table(name) for name in run.table_names()}

    def build() -> Report:
        return build_report(
            frames,
            seen=plan.settings.seen,
            preset=plan.head.config.preset,
            provenance=_provenance(run, plan),
        )

    return write_outputs(run, build, frames, progress)


def _provenance(run: RunFolder, plan: PatchPlan) -> dict[str, str]:
    manifest = run.manifest
    said = manifest.get("git", {}).get("commit")
    versions = ", ".join(f"{k} {v}" for k, v in manifest.get("versions", {}).items())
    found = {
        "plan": plan.hash,
        "lexicon": f"{plan.lexicon.name} ({plan.head.lexicon_hash[:12]})",
        "command": " ".join(manifest.get("command", [])),
        "versions": versions,
    }
    return found | ({"code": said} if said else {})


def _manual(run: RunFolder, files: list[str], forms: Forms) -> pl.DataFrame | None:
    """Codes that people gave to answers which the classifier left open.

    Raises:
        ConfigError: more than two sheets.
        DataError: a sheet that does not belong to this run.
    """
    if not files:
        return None
    if len(files) > 2:
        raise ConfigError("codes takes the sheets of one or two annotators, no more.")
    if not run.has_table("patch_errors"):
        raise DataError(f"{run.path} was not scored yet, so no sheets of it can be coded.")
    rows = to_code(run.table("patch_errors"), forms)
    read = []
    for name in files:
        try:
            text = Path(name).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"The coded sheet {name} cannot be read ({error}).") from error
        read.append(read_sheet(text, rows, name=name))
    merged = merge_codes(rows, *read)
    run.write_table("patch_agreement", merged.agreement)
    return merged.codes


def _write_sheets(run: RunFolder, errors: pl.DataFrame, forms: Forms, seed: int) -> None:
    rows = to_code(errors, forms)
    write_parquet(rows, run.path / "coding" / "rows.parquet")
    for annotator in (1, 2):
        path = run.path / "coding" / f"annotator_{annotator}.csv"
        if path.is_file() and _coded(path):
            continue  # somebody's work
        with atomic_path(path) as temporary:
            temporary.write_bytes(sheet(rows, annotator=annotator, seed=seed).encode())


def _coded(path: Path) -> bool:
    """Whether somebody has begun to fill in a sheet, or it cannot be told."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return any((row.get("code") or "").strip() for row in csv.DictReader(lines))
    except (UnicodeDecodeError, csv.Error):
        return True
