"""Run the acceptance experiment of `inject` (specification, section 9.5) and write its page.

Everything is kept in --folder and resumed from there: models of stage 1 by the hash of their
configuration, studies as ordinary run folders. Without further flags only stages 1 and 2 are run.
"""

import argparse
import time
from pathlib import Path

import polars as pl

from acceptance.inject import page
from acceptance.inject.checks import checks
from acceptance.inject.claims import COMPOSITIONAL, MEMORIZATION, SEMANTIC, claims
from acceptance.inject.costs import cost_lines
from acceptance.inject.numbers import SHOWN
from acceptance.inject.paper import paper_claims
from acceptance.inject.pictures import course, draw
from acceptance.inject.pretrain import PretrainConfig, Pretrained, pretrain
from acceptance.inject.readout import Readout
from acceptance.inject.stages import run_stage, tables_of
from acceptance.inject.world import WorldConfig
from acceptance.results import write_results
from polylore.runs import RunFolder

PARTS = ("sweep", "script", "batch", "stage", "checks")
"""Parts beyond stages 1 and 2, in the order in which they are run."""
SECOND_SEEDS = 2
"""Runs of every condition of sweep, batch and stage."""


class Experiment:
    """Runs what is asked for and opens what is there."""

    def __init__(self, folder: Path, seeds: int, jobs: int) -> None:
        self.folder, self.seeds, self.jobs = folder, seeds, jobs
        self._start = time.monotonic()
        self.spent: dict[str, float] = {}

    def tell(self, done: int, total: int, what: str) -> None:
        """Print progress now and then."""
        if done % 50 == 0 or done == total:
            minutes = (time.monotonic() - self._start) / 60
            print(f"{minutes:.1f} min, {what}: {done} of {total}", flush=True)

    def model(self, names: str) -> Pretrained:
        """Stage 1 of a pair of languages."""
        world = WorldConfig.parse({"names": names}, "the world")
        return pretrain(self.folder, PretrainConfig(world=world))

    def study(self, name: str, model: Pretrained, seeds: int) -> RunFolder:
        """One of the studies."""
        start = time.monotonic()
        run = run_stage(name, model, self.folder, seeds, self.jobs, self.tell)
        self.spent[name] = time.monotonic() - start
        return run


def readout(run: RunFolder, condition: str = "main") -> Readout:
    """The runs of a condition."""
    return Readout(*tables_of(run, condition))


def dose_of(run: RunFolder) -> float:
    """Largest share of the loss of a step that passages have."""
    units = run.table("inject_runs")["run_id"].to_list()
    return float(pl.concat(run.read("inject_dose", [u]) for u in units)["loss_share"].max())  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where everything is kept")
    parser.add_argument("--results", type=Path, required=True, help="Markdown file to write")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side")
    parser.add_argument(
        "--also", nargs="*", choices=PARTS, default=[], help="stage 3, the second pair, contrasts"
    )
    parser.add_argument("--remark", default="", help="sentence about the runs, for the page")
    options = parser.parse_args()
    made = Experiment(options.folder, options.seeds, options.jobs)
    model = made.model("shared")
    run = made.study("arms", model, options.seeds)
    arms = readout(run)
    required, lines = written(made, model, run, arms, options)
    command = ["python", "-m", "acceptance.inject", "--folder", "FOLDER"]
    command += ["--seeds", str(options.seeds), "--jobs", str(options.jobs)]
    command += ["--also", *options.also] if options.also else []
    write_results(options.results, "Facts injected into a running training", command, lines)
    if not required:
        raise SystemExit("a required claim is not shown; see the page")


def written(
    made: Experiment, model: Pretrained, run: RunFolder, arms: Readout, options: argparse.Namespace
) -> tuple[bool, list[str]]:
    """Whether every required claim is shown, and the lines of the page."""
    also = set(options.also)
    batch: dict[str, Readout] = {}
    stage: dict[str, Readout] = {}
    second: list[str] = []
    figures = [course(arms, "arms", "Facts on their way", (MEMORIZATION, SEMANTIC, COMPOSITIONAL))]
    if "sweep" in also:
        swept = made.study("sweep", model, SECOND_SEEDS)
        second += page.sweep_lines(readout(swept), dose_of(swept))
    if "script" in also:
        other = readout(made.study("script", made.model("transliterated"), options.seeds))
        title = "The second pair: names in another script"
        figures.append(course(other, "script", title, (MEMORIZATION, SEMANTIC)))
        second += page.transfer_lines(
            other, title, "Reported only. The second language writes names in Cyrillic letters."
        )
    if "batch" in also:
        contrast = made.study("batch", model, SECOND_SEEDS)
        batch = {
            name: readout(contrast, condition)
            for name, condition in batch_conditions(contrast).items()
        }
    if "stage" in also:
        contrast = made.study("stage", model, SECOND_SEEDS)
        stage = {"late": readout(contrast), "early": readout(contrast, "early")}
    found = list(claims(arms))
    names = draw(figures, options.results.parent.parent / "images")
    pictures = [f"![{figure.title}: {figure.description}](../images/{name})"
                for figure, name in zip(figures, names, strict=True)]  # fmt: skip
    lines = [
        *page.setting(model, run, dose_of(run)),
        options.remark,
        "",
        *page.claim_lines(found),
        *[line for picture in pictures for line in (picture, "")],
        *page.paper_lines(list(paper_claims(arms, batch, stage))),
        *page.forms_beside(arms),
        *page.transfer_lines(arms, "Transfer", "Shared names, own words for everything else."),
        *page.kernel_lines(arms),
        *second,
    ]
    if batch or stage:
        lines += page.contrast_lines(batch | stage)
    if "checks" in also:
        lines += page.check_lines(checks(model, made.folder / "checks"))
    lines += [*cost_lines(model, run), page.LIMITS]
    return all(claim.verdict == SHOWN for claim in found if claim.required), lines


def batch_conditions(run: RunFolder) -> dict[str, str]:
    """Names of the conditions of the batch contrast: small, small_share, large."""
    rows = run.table("inject_runs").select("condition", "batch", "match").unique()
    small = int(rows["batch"].min())  # type: ignore[arg-type]
    found = {}
    for condition, size, match in rows.iter_rows():
        share = "_share" if size == small and match == "share" else ""
        found[("small" if size == small else "large") + share] = condition
    return found


if __name__ == "__main__":
    main()
