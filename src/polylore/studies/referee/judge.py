"""From answers, design and arms to the tables of the referee: no model is needed.

Labels are made by the ordinary analysis from answers and counts alone; design and truth are read
only afterwards, to judge them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import polars as pl

from polylore import metrics
from polylore.metrics import pathways as ways
from polylore.metrics.referee.clusters import Clusters
from polylore.metrics.referee.counterfactual import comparison, counterfactual
from polylore.metrics.referee.paper import paper_cells
from polylore.metrics.referee.rates import true_rates
from polylore.metrics.referee.scores import judged, score
from polylore.metrics.referee.truth import truth
from polylore.runs import RunFolder
from polylore.studies.referee.config import RefereeConfig, compared_steps
from polylore.studies.referee.levels import Level, levels
from polylore.studies.trace.config import AnalyseConfig
from polylore.studies.trace.pathways import NO_EXPOSURE, rules_of

Progress = Callable[[int, int, str], None]
FULL = "full"
"""Name of the arm that reads the whole corpus."""


@dataclass(frozen=True)
class Answers:
    """What labels are made from: the graded answers of one run."""

    grades: pl.DataFrame
    """Table GRADES of the headline wordings, all matchers."""
    guesses: pl.DataFrame
    """How strongly each right answer could have been a guess: frame of `pathways.guesses`."""


@dataclass(frozen=True)
class Bench:
    """What is judged, and with what."""

    run: RunFolder
    config: AnalyseConfig
    facts: pl.DataFrame
    matcher: str
    read: Callable[[RunFolder], Answers]
    """Reads and grades the answers of a run folder."""
    draws: metrics.Draws | None
    progress: Progress | None


def can_judge(run: RunFolder) -> bool:
    """Whether the run has a design and exact counts of what was read."""
    if not all(run.has_table(name) for name in ("design", "string_exposure", "exposure")):
        return False
    kinds = run.table("exposure")["exposure_kind"].unique().to_list()
    return kinds == ["exact"]


def judge(bench: Bench) -> dict[str, pl.DataFrame]:
    """Tables truth, true_rates, truth_scores, truth_confusion, reliability and counterfactual."""
    run, pivot = bench.run, bench.config.pivot
    checkpoints = run.table("checkpoints")
    noted = RefereeConfig.parse(run.manifest.get("analysis", {}).get("referee", {}), str(run.path))
    steps = [s for s in checkpoints["step"].to_list() if s is not None]
    wanted = compared_steps(steps, noted.checkpoints)
    compared = checkpoints.filter(pl.col("step").is_in(wanted))["ckpt_id"].to_list()
    design = run.table("design")
    full, arms = _runs(run)
    clusters = Clusters.of(bench.facts, bench.draws, list(full))
    truths, cells, rates = [], [], []
    exposure = metrics.exposure_at(run.table("exposure"), checkpoints, bench.facts)
    for number, (seed, folder) in enumerate(full.items()):
        if bench.progress:
            bench.progress(number, len(full), "judging labels")
        answers = bench.read(folder)
        own = answers.grades.filter(pl.col("matcher") == bench.matcher)
        found = truth(
            own.filter(pl.col("ckpt_id").is_in(compared)),
            bench.facts,
            exposure,
            design,
            pivot=pivot,
            donors=bench.config.donors,
        )
        named = pl.lit(seed, dtype=pl.Int64()).alias("seed")
        truths.append(found.with_columns(named))
        told = levels(bench.facts, run.table("exposure"), run.table("string_exposure"))
        for level in told:
            labelled, rate = label_cells(bench, answers, checkpoints, level, compared)
            cells.append(labelled.with_columns(named))
            rates.append(rate.with_columns(named))
    known, labelled = pl.concat(truths), judged(pl.concat(truths), pl.concat(cells), pivot)
    scores = score(labelled, checkpoints, clusters)
    estimates = _with_pooled(pl.concat(rates)) if len(full) > 1 else pl.concat(rates)
    made = {
        "truth": known.filter(seed=next(iter(full))).drop("seed"),
        "true_rates": true_rates(known, estimates, checkpoints, clusters, pivot=pivot),
        "truth_scores": scores.scores,
        "truth_confusion": scores.confusion,
        "reliability": scores.reliability,
    }
    if arms:
        removed = _removed(bench, arms, compared)
        pairs = comparison(known, removed, design, pivot)
        made["counterfactual"] = counterfactual(pairs, labelled, checkpoints, clusters)
    return made


def _runs(run: RunFolder) -> tuple[dict[int, RunFolder], dict[tuple[int, str], RunFolder]]:
    """Full runs by seed, and counterfactual runs by seed and group."""
    if not run.has_table("arms"):
        return {0: run}, {}
    every: dict[tuple[int, str], RunFolder] = {}
    for seed, arm, place in run.table("arms").select("seed", "arm", "trace").iter_rows():
        folder = run.path / place
        own = folder.resolve() == run.path.resolve()
        every[seed, arm] = run if own else RunFolder.load(folder)
    full = {seed: folder for (seed, arm), folder in every.items() if arm == FULL}
    return full, {key: folder for key, folder in every.items() if key[1] != FULL}


def label_cells(
    bench: Bench,
    answers: Answers,
    checkpoints: pl.DataFrame,
    level: Level,
    compared: list[str],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Labels of both methods, and estimated rates, from answers and one level of information.

    Neither design nor truth is in reach here.

    Returns:
        Cells (method, info_level, label and evidence), and rates (columns of the estimates of
        `true_rates` without seed).
    """
    exposure = pl.DataFrame(schema=NO_EXPOSURE)
    if level.counted is not None:
        exposure = metrics.exposure_at(level.counted, checkpoints, bench.facts)
    rules = rules_of(bench.config, level.counted)
    one = pl.col("matcher") == bench.matcher
    # Intervals of rates are for whole information only: they are the dear part.
    draws = None if level.degraded else bench.draws
    course = ways.Course.of(
        answers.grades.filter(one),
        bench.facts,
        checkpoints,
        exposure,
        answers.guesses.filter(one),
        rules,
        draws=draws,
    )
    found = ways.pathways([_only(course, compared)], checkpoints, draws=draws)
    columns = ["ckpt_id", "fact_id", "lang", "matcher", "label"]
    columns += ["e_freq", "e_transfer", "e_copy", "e_guess"]
    methods = {"pathways": found.cells, "paper": paper_cells(found.cells)}
    level_name = pl.lit(level.name).alias("info_level")
    cells = pl.concat(
        [
            frame.select(*columns, pl.lit(name).alias("method"), level_name)
            for name, frame in methods.items()
        ]
    )
    rates = found.rates.filter(pl.col("relation") == "all").select(
        "ckpt_id", "lang", "matcher", "t", "t_lo", "t_hi", level_name
    )
    return cells, rates


def _only(course: ways.Course, ckpt_ids: list[str]) -> ways.Course:
    """The same course, looked at from some of its checkpoints; what came between stays known."""
    kept = [t for t, ckpt in enumerate(course.ckpt_ids) if ckpt in ckpt_ids]
    return replace(
        course,
        ckpt_ids=tuple(course.ckpt_ids[t] for t in kept),
        places_T=tuple(course.places_T[t] for t in kept),
        y_TFL=course.y_TFL[kept],
        share_TFL=course.share_TFL[kept],
    )


def _with_pooled(rates: pl.DataFrame) -> pl.DataFrame:
    """Rates of every run, and their mean over runs, which has no interval of its own."""
    keys = ["ckpt_id", "lang", "matcher", "info_level"]
    empty = pl.lit(None, dtype=pl.Float64())
    pooled = rates.group_by(keys, maintain_order=True).agg(pl.col("t").mean())
    pooled = pooled.with_columns(seed=pl.lit(None, dtype=pl.Int64()), t_lo=empty, t_hi=empty)
    return pl.concat([rates, pooled.select(rates.columns)])


def _removed(
    bench: Bench, arms: Mapping[tuple[int, str], RunFolder], compared: list[str]
) -> pl.DataFrame:
    """Answers of the counterfactual runs."""
    parts: list[pl.DataFrame] = []
    for (seed, arm), folder in arms.items():
        own = bench.read(folder).grades.filter(
            (pl.col("matcher") == bench.matcher) & pl.col("ckpt_id").is_in(compared)
        )
        combined = metrics.combine_variants(own).select(
            "ckpt_id", "fact_id", "lang", "matcher", "y"
        )
        parts.append(combined.with_columns(seed=pl.lit(seed, dtype=pl.Int64()), arm=pl.lit(arm)))
    return pl.concat(parts)
