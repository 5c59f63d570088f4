"""Numbers and page of `unify link` from its raw tables: no model is needed."""

from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl

from polylore.errors import DataError, RunError
from polylore.metrics import exposure_at
from polylore.metrics.unification import Score, link, link_covariates
from polylore.report import Report
from polylore.runs import RunFolder
from polylore.studies.outputs import write_outputs
from polylore.studies.unify.linking.config import LinkAnalyseConfig
from polylore.studies.unify.linking.pages import build_report
from polylore.studies.unify.linking.study import failed_checkpoints, fresh_ids
from polylore.studies.unify.linking.work import unit_name
from polylore.tables.course import course

Progress = Callable[[int, int, str], None]


def score_link(run: RunFolder, *, progress: Progress | None = None) -> pl.DataFrame:
    """Write the table LINK; can be repeated at any time.

    Raises:
        RunError: no checkpoint was read.
        DataError: no fact can be compared in two languages.
    """
    config = LinkAnalyseConfig.parse(run.manifest["analysis"]["analyse"])
    show = progress or (lambda done, total, what: None)
    checkpoints = run.table("checkpoints")
    units = [unit_name(name) for name in (*fresh_ids(run), *course(checkpoints)["ckpt_id"])]
    units = [unit for unit in units if run.is_done(unit)]
    prompts = run.read("unify_link_prompts", units)
    if not prompts.height:
        raise RunError(f"No checkpoint in {run.path} could be read; its folder `failed` says why.")
    exposure = None
    if run.has_table("exposure"):
        exposure = exposure_at(run.table("exposure"), checkpoints, run.table("facts"))
    answers = run.table("unify_link_answers")
    covariates = link_covariates(prompts, answers, exposure)
    scores: tuple[Score, ...] = ("s_i", "neighbours", "units") if config.overlaps else ("s_i",)
    passes = 2 * len(units) * len(scores)
    done = 0

    def parts() -> Iterator[pl.DataFrame]:
        nonlocal done
        for unit in units:
            yield run.read("unify_link_items", [unit])
            done += 1
            show(min(done, passes), passes, "linking")

    tables = []
    for score in scores:
        made = link(parts, answers, covariates, score=score, draws=config.draws, seed=config.seed)
        # Pairs and times are about U, whatever the score of single facts.
        tables.append(made if score == "s_i" else made.filter(level="item"))
    show(passes, passes, "linking")
    table = run.write_table("unify_link", pl.concat(tables))
    if not table.height:
        raise DataError(
            "No fact has answers and comparable states in two languages, so there is nothing to "
            "link; facts need answers in two languages and others of their relation to differ from."
        )
    return table


def report_link(run: RunFolder, *, progress: Progress | None = None) -> Path:
    """Write numbers, page, figures and tables of a run anew; returns the page."""
    score_link(run, progress=progress)
    names = ("checkpoints", "unify_link", "unify_link_answers")
    frames = {name: run.table(name) for name in names}

    def build() -> Report:
        return build_report(
            frames["unify_link"],
            frames["checkpoints"],
            about=run.manifest["analysis"],
            states=run.manifest["config"]["states"],
            failed=failed_checkpoints(run),
            provenance=_provenance(run),
        )

    return write_outputs(run, build, frames, progress)


def _provenance(run: RunFolder) -> dict[str, str]:
    manifest = run.manifest
    about = manifest["analysis"]
    versions = ", ".join(f"{k} {v}" for k, v in manifest.get("versions", {}).items())
    commit = manifest.get("git", {}).get("commit")
    found = {
        "Model": about["model"],
        "Answers": f"{about['answers']} (graded by {about['matcher']})",
        "Facts": manifest["inputs"]["facts"][:12],
        "Versions": versions,
        "Code": commit or "an installed package",
        "Made": manifest["created"],
    }
    return {name: str(value) for name, value in found.items()}
