"""Readings of a run as answer rows, so that the metrics of `trace` can be computed on them.

A checkpoint is a run and a state, a prompt is a probe (specification of `inject`, section 6).
"""

from pathlib import Path

import polars as pl

from polylore.facts.people import Fiction
from polylore.facts.people.facts import facts_of
from polylore.files import write_parquet
from polylore.studies.inject.raw import RawRuns
from polylore.tables.inject import PASSAGES
from polylore.tables.raw import ANSWERS, CHECKPOINTS, FACTS

_CKPT = pl.format("{} t{}", "run_id", "t").alias("ckpt_id")


def answer_tables(raw: RawRuns, runs: list[str] | None = None) -> dict[str, pl.DataFrame]:
    """The readings of some runs in the tables of `trace`.

    Args:
        raw: a run folder.
        runs: names of the runs; None for all that are finished.

    Returns:
        facts, checkpoints and answers, by name. Each run is a series of its own: `model` is its
        name, `step` the step of its checkpoint plus the state. Probes of one fact and language are
        its wordings, numbered by their names. Free answers are null where they were not read;
        gold_logprob is the sum over the target's tokens.
    """
    wanted = raw.runs if runs is None else raw.runs.filter(pl.col("run_id").is_in(runs))
    log = raw.table("inject_log", wanted["run_id"].to_list()).sort("run_id", "t", "probe_id")
    return {
        "facts": _facts(raw),
        "checkpoints": _checkpoints(wanted, log),
        "answers": _answers(wanted, raw.probes, log),
    }


def export_answers(raw: RawRuns, folder: str | Path) -> list[Path]:
    """Write the tables of `answer_tables` as Parquet files; returns their paths."""
    paths = []
    for name, frame in answer_tables(raw).items():
        paths.append(Path(folder) / f"{name}.parquet")
        write_parquet(frame, paths[-1])
    return paths


def _facts(raw: RawRuns) -> pl.DataFrame:
    """Those that the run noted; made from its probes in folders that noted none."""
    if raw.folder.has_table(FACTS.name):
        return raw.folder.table(FACTS.name)
    return facts_of(Fiction(raw.folder.table("inject_items"), PASSAGES.empty(), raw.probes))


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


def _answers(runs: pl.DataFrame, probes: pl.DataFrame, log: pl.DataFrame) -> pl.DataFrame:
    wordings = probes.select(
        "probe_id",
        variant=pl.col("probe_id").rank("dense").over("fact_id", "lang").cast(pl.Int32) - 1,
    )
    # Probes are read in the format of the weights, which is float32 in runs in bfloat16 too.
    wide = runs.select("run_id", wide=pl.col("dtype") == "float64")
    both = log.join(wordings, on="probe_id", maintain_order="left")
    told = both.join(wide, on="run_id", maintain_order="left").select(
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
