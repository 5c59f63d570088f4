"""Readings of a run as answer rows, so that the metrics of `trace` can be computed on them.

A checkpoint is a run and a state, a prompt is a probe (specification of `inject`, section 6).
"""

from dataclasses import dataclass

import polars as pl

from polylore.facts import FactSet
from polylore.studies.inject.asked import MEMORIZATION, asked_facts, chosen_probes
from polylore.studies.inject.raw import RawRuns
from polylore.tables.raw import ANSWERS, CHECKPOINTS, EXPOSURE

_CKPT = pl.format("{} t{}", "run_id", "t").alias("ckpt_id")


@dataclass(frozen=True)
class Answered:
    """Readings of some runs in the tables of `trace`."""

    factset: FactSet
    """The facts that were asked, see `asked.asked_facts`."""
    probes: pl.DataFrame
    """What asks for them, see `asked.chosen_probes`."""
    checkpoints: pl.DataFrame
    """Each run is a series of its own: `model` is its name, `step` its checkpoint's step plus the
    state."""
    answers: pl.DataFrame
    """Several probes of one fact and language are its wordings (`variant`). Free answers are null
    where they were not read; gold_logprob is the sum over the target's tokens."""
    exposure: pl.DataFrame
    """What each run (`source`) was shown of these facts, in the steps of `checkpoints`."""


def answers_of(raw: RawRuns, runs: list[str] | None = None, depth: str = MEMORIZATION) -> Answered:
    """The readings of some runs as answers.

    Args:
        raw: a run folder.
        runs: names of the runs; None for all that are finished.
        depth: the depth whose probe stands for a fact, one for each fact and language, or `all`
            probes.

    Raises:
        ConfigError: no probe has that depth.
    """
    wanted = raw.runs if runs is None else raw.runs.filter(pl.col("run_id").is_in(runs))
    log = raw.table("inject_log", wanted["run_id"].to_list())
    read = raw.probes.join(log.select("probe_id").unique(), on="probe_id", how="semi")
    probes = chosen_probes(read, depth)
    numbers = probes.select("probe_id", variant="number")
    log = log.join(numbers, on="probe_id").sort("run_id", "t", "probe_id")
    factset = asked_facts(raw, probes)
    return Answered(
        factset,
        probes,
        _checkpoints(wanted, log),
        _answers(wanted, log),
        _exposure(raw, wanted, factset.facts),
    )


def _checkpoints(runs: pl.DataFrame, log: pl.DataFrame) -> pl.DataFrame:
    states = log.select("run_id", "t").unique(maintain_order=True)
    about = runs.select("run_id", "revision", "checkpoint_step", "batch", "length")
    told = states.join(about, on="run_id", maintain_order="left").select(
        _CKPT,
        pl.col("revision"),
        family=pl.lit("inject"),
        model=pl.col("run_id"),
        step=pl.col("checkpoint_step").fill_null(0) + pl.col("t"),
        tokens_exact=pl.lit(False),
        final=pl.lit(False),
        suspect=pl.lit(False),
    )
    return CHECKPOINTS.build(told.to_dicts())


def _answers(runs: pl.DataFrame, log: pl.DataFrame) -> pl.DataFrame:
    # Probes are read in the format of the weights, which is float32 in runs in bfloat16 too.
    wide = runs.select("run_id", wide=pl.col("dtype") == "float64")
    told = log.join(wide, on="run_id", maintain_order="left").select(
        _CKPT,
        "fact_id",
        pl.col("probe_lang").alias("lang"),
        "variant",
        pl.lit("generate").alias("mode"),
        pl.col("probe_id").alias("prompt_id"),
        pl.col("greedy_text").alias("raw_text"),
        pl.lit(None, pl.Int32).alias("n_new_tokens"),
        pl.lit(None, pl.String).alias("stop_reason"),
        pl.col("sum_logprob").alias("gold_logprob"),
        pl.when("wide").then(pl.lit("float64")).otherwise(pl.lit("float32")).alias("dtype"),
        pl.lit(None, pl.String).alias("error"),
    )
    return ANSWERS.validate(told)


def _exposure(raw: RawRuns, runs: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
    """What each run was shown of these facts; a run counts its steps from its checkpoint on."""
    parts = [EXPOSURE.empty()]
    asked = facts.select("fact_id", "lang")
    for run, begin in runs.select("run_id", pl.col("checkpoint_step").fill_null(0)).iter_rows():
        own = raw.folder.read(EXPOSURE.name, [run]).join(asked, on=["fact_id", "lang"], how="semi")
        steps = (pl.col(name) + begin for name in ("step_lo", "step_hi"))
        parts.append(EXPOSURE.validate(own.with_columns(*steps, source=pl.lit(run))))
    return pl.concat(parts)
