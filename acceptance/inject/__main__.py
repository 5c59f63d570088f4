"""Run the acceptance experiment of `inject` (specification, section 9.5) and write its page.

Everything is kept in --folder and resumed from there: models of stage 1 by the hash of their
configuration, studies as ordinary run folders. Without further flags only stages 1 and 2 are run.
"""

import argparse
import time
from pathlib import Path
from typing import Literal

import polars as pl

from acceptance.inject import page
from acceptance.inject.checks import checks
from acceptance.inject.claims import claims
from acceptance.inject.control_runs import control_run_lines
from acceptance.inject.costs import cost_lines
from acceptance.inject.design import WORLD
from acceptance.inject.diagnosis import fading_lines
from acceptance.inject.pictures import course, draw
from acceptance.inject.pretrain import PretrainConfig, Pretrained, opened, pretrain
from acceptance.inject.readout import Found
from acceptance.inject.stages import run_stage, tables_of
from acceptance.inject.world import WorldConfig
from acceptance.results import write_results
from polylore.metrics.injection.evidence import COMP, MEM, SEM
from polylore.metrics.injection.number import SHOWN
from polylore.report import Chart
from polylore.runs import RunFolder
from polylore.studies.inject.analyse import analyse
from polylore.studies.inject.raw import open_inject

PARTS = ("sweep", "script", "batch", "stage", "controls", "checks")
"""Parts beyond stages 1 and 2, in the order in which they are run."""
SECOND_SEEDS = 2
"""Runs of every condition of sweep, batch and stage, and of the arms beside control runs."""


class Experiment:
    """Runs what is asked for and opens what is there."""

    def __init__(self, folder: Path, jobs: int, *, world: int, train: bool = True) -> None:
        self.folder, self.jobs, self.world, self.train = folder, jobs, world, train
        self._start = time.monotonic()
        self.runs: dict[str, RunFolder] = {}

    def tell(self, done: int, total: int, what: str) -> None:
        """Print progress now and then."""
        if done % 50 == 0 or done == total:
            minutes = (time.monotonic() - self._start) / 60
            print(f"{minutes:.1f} min, {what}: {done} of {total}", flush=True)

    def model(self, names: Literal["shared", "transliterated"]) -> Pretrained:
        """Stage 1 of a pair of languages."""
        config = PretrainConfig(world=WorldConfig(seed=self.world, names=names))
        return pretrain(self.folder, config) if self.train else opened(self.folder, config)

    def study(self, name: str, model: Pretrained, seeds: int) -> RunFolder:
        """One of the studies."""
        if self.train:
            run = run_stage(name, model, self.folder, seeds, self.jobs, self.tell)
        else:
            run = RunFolder.load(self.folder / name)
        self.runs[name] = run
        return run

    def provenance(self) -> str:
        """Which code made which study."""
        made: dict[str, list[str]] = {}
        for name, run in self.runs.items():
            made.setdefault(run.manifest["git"].get("commit", "unknown"), []).append(name)
        parts = (f"{', '.join(names)}: {commit}" for commit, names in made.items())
        return f"Runs were made by the code {'; '.join(parts)}."


def measured(run: RunFolder, condition: str = "main") -> Found:
    """The runs of a condition."""
    return Found.of(*tables_of(run, condition))


def derived(run: RunFolder) -> page.Tables:
    """Every derived table of a study; they are kept in its folder."""
    return analyse(open_inject(str(run.path)))


def dose_of(run: RunFolder) -> float:
    """Largest share of the loss weight of a step that passages have.

    It is taken from the tokens that were really read, of which the first of a row is not predicted,
    since folders of an older polylore hold shares of whole rows, padding included. Every row begins
    with a boundary, so no injected token is the first.
    """
    made = run.table("inject_runs")
    return max(_dose(run, row["run_id"], row["batch"]) for row in made.iter_rows(named=True))


def _dose(run: RunFolder, unit: str, rows: int) -> float:
    background = pl.col("read") - rows - pl.col("injected_tokens")
    mean_weight = (pl.col("loss_weight") * pl.col("n_tokens")).sum() / pl.col("n_tokens").sum()
    plan = run.read("inject_plan", [unit]).group_by(t=pl.col("step") + 1).agg(mean_weight)
    steps = run.read("inject_steps", [unit]).sort("t")
    shares = (
        steps.with_columns(read=pl.col("tokens").diff().fill_null(pl.col("tokens")))
        .join(plan, on="t")
        .with_columns(weight=pl.col("loss_weight") * pl.col("injected_tokens"))
        .select(pl.col("weight") / (background + pl.col("weight")))
    )
    return float(shares.to_series().max() or 0.0)  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where everything is kept")
    parser.add_argument("--results", type=Path, required=True, help="Markdown file to write")
    parser.add_argument("--world", type=int, default=WORLD, help="seed of words, people and facts")
    parser.add_argument("--seeds", type=int, default=3, help="runs of stage 2")
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side")
    parser.add_argument(
        "--also", nargs="*", choices=PARTS, default=[], help="stage 3, the second pair, contrasts"
    )
    parser.add_argument(
        "--page-only", action="store_true", help="write the page anew from runs that are there"
    )
    parser.add_argument("--remark", default="", help="sentence about the runs, for the page")
    options = parser.parse_args()
    train = not options.page_only
    made = Experiment(options.folder, options.jobs, world=options.world, train=train)
    model = made.model("shared")
    run = made.study("arms", model, options.seeds)
    required, figures, lines = written(made, model, run, options)
    command = ["python", "-m", "acceptance.inject", "--folder", "FOLDER"]
    for name in ("world", "seeds", "jobs"):
        command += [f"--{name}", str(getattr(options, name))]
    command += ["--also", *options.also] if options.also else []
    write_results(options.results, "Facts injected into a running training", command, lines)
    draw(figures, options.results.parent.parent / "images")
    if not required:
        raise SystemExit("a required claim is not shown; see the page")


def written(
    made: Experiment, model: Pretrained, run: RunFolder, options: argparse.Namespace
) -> tuple[bool, list[Chart], list[str]]:
    """Whether every required claim is shown, the figures, and the lines of the page."""
    also = set(options.also)
    arms = measured(run)
    found = list(claims(arms))
    print("\n".join(f"{claim.id}: {claim.verdict}" for claim in found), flush=True)
    studies = {"arms": derived(run)}
    figures = [course(arms, "arms", "Facts on their way", (MEM, SEM, COMP))]
    later: list[str] = []
    if "sweep" in also:
        swept = made.study("sweep", model, SECOND_SEEDS)
        studies["sweep"] = derived(swept)
        later += page.sweep_lines(studies["sweep"], SECOND_SEEDS, dose_of(swept))
    if "script" in also:
        other = made.study("script", made.model("transliterated"), options.seeds)
        title = "The second pair: names in another script"
        figures.append(course(measured(other), "script", title, (MEM, SEM)))
        remark = "Reported only. The second language writes names in Cyrillic letters."
        later += page.transfer_lines(derived(other), title, remark)
    contrasts: dict[str, Found] = {}
    for name in ("batch", "stage"):
        if name in also:
            contrast = made.study(name, model, SECOND_SEEDS)
            studies[name] = derived(contrast)
            contrasts |= {
                words: measured(contrast, condition)
                for words, condition in conditions_of(name, contrast).items()
            }
    if contrasts:
        later += page.contrast_lines(contrasts)
    if "stage" in studies:
        later += page.stage_lines(studies["stage"])
    if "controls" in also:
        later += control_run_lines(made.study("controls", model, SECOND_SEEDS))
    pictures = [
        f"![{figure.title}: {figure.description}](../images/{figure.id}.svg)" for figure in figures
    ]
    lines = [
        *page.setting(model, run, dose_of(run)),
        f"{made.provenance()} {options.remark}".strip(),
        "",
        *page.claim_lines(found),
        *[line for picture in pictures for line in (picture, "")],
        *fading_lines(arms),
        *page.paper_lines(studies),
        *page.both_estimators(studies["arms"]),
        *page.control_lines(studies["arms"]),
        *page.false_lines(studies["arms"]),
        *page.transfer_lines(studies["arms"], "Transfer", "Shared names, own words for the rest."),
        *page.forgetting_lines(studies["arms"]),
        *later,
    ]
    if "checks" in also:
        lines += page.check_lines(checks(model, made.folder / "checks", train=made.train))
    lines += [*cost_lines(model, run), page.LIMITS]
    shown = all(claim.verdict == SHOWN for claim in found if claim.required)
    return shown, figures, lines


def conditions_of(name: str, run: RunFolder) -> dict[str, str]:
    """Conditions of a contrast by what the page calls them."""
    if name == "stage":
        return {"late checkpoint": "main", "early checkpoint": "early"}
    conditions = run.table("inject_runs")["condition"].unique(maintain_order=True)
    return {condition: condition for condition in conditions}


if __name__ == "__main__":
    main()
