"""From raw rows to derived tables: no model, no randomness but the seeded bootstrap."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import polars as pl

from polylore import metrics
from polylore.facts import FactSet, lint
from polylore.runs import RunFolder
from polylore.studies.referee.judge import Answers, Bench, can_judge, judge
from polylore.studies.trace.config import AnalyseConfig
from polylore.studies.trace.pathways import guesses_of, pathway_matcher, pathway_tables, rules_of
from polylore.studies.trace.similarity_tables import similarity_tables

Progress = Callable[[int, int, str], None]

STEPS = (
    "data_report",
    "grades",
    "recall",
    "consistency",
    "acquisition",
    "exposure",
    "pathways",
    "referee",
    "similarity",
)
"""Stages of the analysis, in order."""

# The matchers that the headline tables are made for; the others are graded and stay in `recall`.
_HEADLINE = {"default": ("default", "candidates"), "paper": ("paper", "default", "candidates")}


def analyse(
    run: RunFolder, config: AnalyseConfig, preset: str, progress: Progress | None = None
) -> None:
    """Compute and store every derived table of a trace.

    Reads facts, templates, prompts, checkpoints, answers, candidate_scores and, if there,
    exposure and similarity; writes the tables of `tables.derived`. Can be repeated at any time.
    """
    report = progress or (lambda done, total, what: None)
    data = _read(run, config, preset, progress)
    for number, name in enumerate(STEPS):
        report(number, len(STEPS), "analysing")
        for table, frame in _STAGES[name](data).items():
            run.write_table(table, frame)
            data.made[table] = frame
    report(len(STEPS), len(STEPS), "analysing")


@dataclass
class _Data:
    """What the stages work on."""

    run: RunFolder
    config: AnalyseConfig
    factset: FactSet
    prompts: pl.DataFrame
    checkpoints: pl.DataFrame
    answers: pl.DataFrame
    scores: pl.DataFrame
    counted: pl.DataFrame | None
    """Table EXPOSURE, if there is one."""
    exposure: pl.DataFrame | None
    """Frame of `metrics.exposure_at`; None without an exposure table."""
    draws: metrics.Draws | None
    headline: tuple[str, ...]
    preset: str
    made: dict[str, pl.DataFrame]
    progress: Progress | None

    @property
    def facts(self) -> pl.DataFrame:
        return self.factset.facts

    @property
    def grades(self) -> pl.DataFrame:
        """Grades of the headline matchers in the headline wordings."""
        return self.in_headline(self.made["grades"]).filter(pl.col("matcher").is_in(self.headline))

    def in_headline(self, grades: pl.DataFrame) -> pl.DataFrame:
        """Grades of the wordings that the headline is about."""
        wanted = self.config.headline_variants
        return grades if wanted is None else grades.filter(pl.col("variant").is_in(wanted))

    @cached_property
    def n_shot(self) -> int:
        """Demonstrations before a question, at most."""
        return most_shots(self.prompts)

    @cached_property
    def copied(self) -> pl.DataFrame | None:
        """Which answers repeat a demonstration; None without demonstrations."""
        return self.copies(self.answers)

    def copies(self, answers: pl.DataFrame) -> pl.DataFrame | None:
        """The same for other answers to these prompts."""
        return metrics.copied_demos(answers, self.facts, self.prompts) if self.n_shot else None

    @property
    def pivot(self) -> str | None:
        """The pivot, if it was asked."""
        return self.config.pivot if self.config.pivot in self.factset.languages else None


def _read(run: RunFolder, config: AnalyseConfig, preset: str, progress: Progress | None) -> _Data:
    factset = FactSet("run", run.table("facts"), run.table("templates"))
    checkpoints = run.table("checkpoints")
    counted = run.table("exposure") if run.has_table("exposure") else None
    exposure = None
    if counted is not None:
        exposure = metrics.exposure_at(counted, checkpoints, factset.facts)
    draws = None
    if config.draws:
        draws = metrics.cluster_draws(factset.facts, n=config.draws, seed=config.seed)
    asked = checkpoints["ckpt_id"].implode()
    return _Data(
        run=run,
        config=config,
        factset=factset,
        prompts=run.table("prompts"),
        checkpoints=checkpoints,
        answers=run.read("answers").filter(pl.col("ckpt_id").is_in(asked)),
        scores=run.read("candidate_scores").filter(pl.col("ckpt_id").is_in(asked)),
        counted=counted,
        exposure=exposure,
        draws=draws,
        headline=_HEADLINE[preset],
        preset=preset,
        made={},
        progress=progress,
    )


def _data_report(data: _Data) -> dict[str, pl.DataFrame]:
    pivot = data.pivot or data.factset.languages[0]
    return {
        "data_report": metrics.data_report(data.facts, pivot),
        "lint": lint(data.factset),
    }


def _grades(data: _Data) -> dict[str, pl.DataFrame]:
    return {"grades": grade(data.answers, data.scores, data.facts)}


def grade(answers: pl.DataFrame, scores: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
    """Table GRADES by every matcher that the raw rows allow."""
    frames = [metrics.grade_answers(answers, facts)]
    if scores.height:
        frames.append(metrics.grade_candidates(scores, facts))
        if scores["content_free_logprob"].null_count() == 0:
            for matcher in ("candidates_pmi", "candidates_content_free"):
                frames.append(metrics.grade_candidates(scores, facts, matcher=matcher))
    return pl.concat(frames)


def guesses(
    facts: pl.DataFrame, prompts: pl.DataFrame, answers: pl.DataFrame, grades: pl.DataFrame
) -> pl.DataFrame:
    """Credits of every knowledge-free baseline that a trace allows; see `baseline_credits`."""
    copied = metrics.copied_demos(answers, facts, prompts) if most_shots(prompts) else None
    return _guesses(facts, prompts, grades, copied)


def most_shots(prompts: pl.DataFrame) -> int:
    """Most demonstrations in a prompt."""
    return int(prompts["n_shot"].cast(pl.Int64).max() or 0)  # type: ignore[arg-type]


def _guesses(
    facts: pl.DataFrame, prompts: pl.DataFrame, grades: pl.DataFrame, copied: pl.DataFrame | None
) -> pl.DataFrame:
    control = grades.filter(pl.col("matcher") == "candidates_content_free")
    # What a prompt without its subject already gives away is a floor for the ranked candidates.
    controls = {"content_free": control.with_columns(matcher=pl.lit("candidates"))}
    n_shot = most_shots(prompts)
    return metrics.baseline_credits(
        facts,
        n_shot=n_shot,
        prompts=prompts if n_shot else None,
        copied=copied,
        controls=controls if control.height else None,
    )


def _recall(data: _Data) -> dict[str, pl.DataFrame]:
    grades = data.made["grades"]
    credits = _guesses(data.facts, data.prompts, grades, data.copied)
    strata = metrics.strata(
        data.facts, pivot=data.pivot, exposure=data.exposure, design=_taught(data)
    )
    recall = partial(
        metrics.recall,
        facts=data.facts,
        checkpoints=data.checkpoints,
        credits=credits,
        draws=data.draws,
    )
    asked = grades.filter(pl.col("matcher") != "candidates_content_free")
    headline = recall(data.in_headline(asked), strata=strata)
    by_wording = recall(asked)
    wording = pl.col("stratum").str.starts_with("wording:")
    return {
        "baselines": metrics.baselines(credits, strata),
        "recall": pl.concat([headline.filter(~wording), by_wording.filter(wording)]),
    }


def _taught(data: _Data) -> pl.DataFrame | None:
    """Strata `taught` and `held_out`: cells read at least once, or never, by the last checkpoint.

    Taken from exact exposure, not from anybody's design, so it means the same for every corpus.
    """
    if data.exposure is None or (data.exposure["exposure_kind"] != "exact").any():
        return None
    most = data.exposure.group_by("fact_id", "lang", maintain_order=True).agg(
        pl.col("exposure").max()
    )
    name = pl.when(pl.col("exposure") > 0).then(pl.lit("taught")).otherwise(pl.lit("held_out"))
    return most.select("fact_id", "lang", name.alias("stratum"))


def _consistency(data: _Data) -> dict[str, pl.DataFrame]:
    if len(data.factset.languages) < 2:
        return {}
    return {
        "consistency": metrics.consistency(
            data.grades,
            data.facts,
            data.checkpoints,
            pivot=data.pivot,
            pairs="all",
            scores=data.scores if data.scores.height else None,
            draws=data.draws,
        ),
        "consistency_summary": metrics.consistency_summary(
            data.grades, data.facts, data.checkpoints, pivot=data.pivot, draws=data.draws
        ),
    }


def _acquisition(data: _Data) -> dict[str, pl.DataFrame]:
    acquired = metrics.acquisition(data.grades, data.checkpoints, k=data.config.sustained)
    first = int(data.grades["variant"].min() or 0)  # type: ignore[arg-type]
    made = {
        "acquisition": acquired,
        "survival": metrics.survival(acquired, data.checkpoints, variant=first, draws=data.draws),
    }
    if data.pivot is not None:
        made["lag"] = metrics.lag(acquired, pivot=data.pivot)
    return made


def _exposure(data: _Data) -> dict[str, pl.DataFrame]:
    if data.exposure is None or data.exposure["exposure"].null_count() == data.exposure.height:
        return {}
    grades, facts, checkpoints = data.grades, data.facts, data.checkpoints
    return {
        "freq_curve": metrics.freq_curve(
            grades,
            facts,
            checkpoints,
            data.exposure,
            bins="paper" if data.preset == "paper" else "log",
            draws=data.draws,
        ),
        "freq_corr": metrics.freq_corr(grades, facts, checkpoints, data.exposure, draws=data.draws),
        "threshold": metrics.freq_threshold(
            grades, facts, checkpoints, data.exposure, draws=data.draws
        ),
    }


def _pathways(data: _Data) -> dict[str, pl.DataFrame]:
    grades = data.in_headline(data.made["grades"])
    matcher = pathway_matcher(grades, data.preset)
    if data.pivot is None or matcher is None or len(data.factset.languages) < 2:
        return {}
    return pathway_tables(
        grades=grades,
        facts=data.facts,
        checkpoints=data.checkpoints,
        exposure=data.exposure,
        rules=rules_of(data.config, data.counted),
        matcher=matcher,
        scores=data.scores if data.scores.height else None,
        copied=data.copied,
        draws=data.draws,
        seed=data.config.seed,
        progress=data.progress,
    )


def _referee(data: _Data) -> dict[str, pl.DataFrame]:
    grades = data.in_headline(data.made["grades"])
    matcher = pathway_matcher(grades, data.preset)
    if data.pivot is None or matcher is None or not can_judge(data.run):
        return {}

    def read(folder: RunFolder) -> Answers:
        answers, scores, own, copied = data.answers, data.scores, grades, data.copied
        if folder is not data.run:
            answers, scores = folder.read("answers"), folder.read("candidate_scores")
            own = data.in_headline(grade(answers, scores, data.facts))
            copied = data.copies(answers)
        return Answers(own, guesses_of(own, data.facts, matcher, scores, copied))

    return judge(Bench(data.run, data.config, data.facts, matcher, read, data.draws, data.progress))


def _similarity(data: _Data) -> dict[str, pl.DataFrame]:
    return similarity_tables(
        data.run,
        facts=data.facts,
        checkpoints=data.checkpoints,
        cells=data.made.get("cells"),
        controls=data.made.get("controls"),
        pivot=data.config.pivot,
        draws=data.draws,
        seed=data.config.seed,
        progress=data.progress,
    )


_STAGES: dict[str, Callable[[_Data], dict[str, pl.DataFrame]]] = {
    "data_report": _data_report,
    "grades": _grades,
    "recall": _recall,
    "consistency": _consistency,
    "acquisition": _acquisition,
    "exposure": _exposure,
    "pathways": _pathways,
    "referee": _referee,
    "similarity": _similarity,
}
