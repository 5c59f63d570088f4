"""A run of `inject` as others read it: a fact set, tables of answers, and a trace of every run."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from polylore.files import write_parquet
from polylore.runs import RunFolder
from polylore.studies.inject.answers import Answered, answers_of
from polylore.studies.inject.asked import MEMORIZATION
from polylore.studies.inject.raw import RawRuns
from polylore.studies.trace.config import AnalyseConfig
from polylore.tables.raw import PROMPTS


@dataclass(frozen=True)
class Exported:
    """What was written."""

    facts: Path
    """The folder, a fact set itself."""
    tables: list[Path]
    traces: list[Path]
    """Folders of a trace for `polylore report`; of runs in which free answers were read."""


def export_answers(raw: RawRuns, folder: str | Path, depth: str = MEMORIZATION) -> Exported:
    """Write the readings of all finished runs as `trace` has them.

    ```
    FOLDER/
      factset.json, facts.parquet, templates.parquet    the facts, as `FactSet.export` writes them
      checkpoints.parquet, answers.parquet              all readings of all runs
      <run>/                                            a run folder of `trace`, not yet analysed:
                                                        the states with free answers
    ```

    Args:
        raw: a run folder.
        folder: where to write; traces of the same run and depth are replaced.
        depth: see `answers_of`.

    Raises:
        ConfigError: no probe has that depth.
        RunError: the folder holds traces of other readings.
    """
    folder = Path(folder)
    whole = answers_of(raw, depth=depth)
    traces = []
    for run in raw.runs.iter_rows(named=True):
        own = answers_of(raw, [run["run_id"]], depth)
        found = _write_trace(raw, run, own, folder, depth)
        traces += [] if found is None else [found]
    tables = []
    for name, frame in (("checkpoints", whole.checkpoints), ("answers", whole.answers)):
        tables.append(folder / f"{name}.parquet")
        write_parquet(frame, tables[-1])
    whole.factset.export(folder)
    return Exported(folder, tables, traces)


def _write_trace(
    raw: RawRuns, run: dict[str, Any], own: Answered, folder: Path, depth: str
) -> Path | None:
    """A trace of one run, as far as its model was let answer freely; None if it never was."""
    answers = own.answers.drop_nulls("raw_text")
    if answers.is_empty():
        return None
    name = run["run_id"]
    begins = _begins(raw, run["condition"])
    asked = {
        "variants": sorted(set(own.probes["number"])),
        "n_shot": 0,
        "bos": begins,
        "depth": depth,
        "dtype": answers["dtype"][0],
    }
    question = {
        "preset": "default",
        "facts": {"source": raw.folder.path.name, "run": name},
        "ask": asked,
    }
    path = folder / re.sub(r"[^A-Za-z0-9.-]+", "_", name)
    trace = RunFolder.open(path, "trace", question, {"facts": own.factset.digest()})
    with trace.lock():
        there = answers["ckpt_id"].unique().implode()
        trace.write_table("checkpoints", own.checkpoints.filter(pl.col("ckpt_id").is_in(there)))
        trace.write_table("facts", own.factset.facts)
        trace.write_table("templates", own.factset.templates)
        trace.write_table("prompts", _prompts(own.probes, begins))
        if own.exposure.height:
            trace.write_table("exposure", own.exposure)
        trace.write_unit(name, {"answers": answers})
        languages = own.factset.languages
        usual = AnalyseConfig()
        pivot = usual.pivot if usual.pivot in languages else languages[0]
        trace.annotate(
            "analysis",
            {
                "model": run["model"],
                "exposure": None,
                "analyse": usual.model_copy(update={"pivot": pivot}).plain(),
                "notes": [
                    f"Answers are readings of a run of `inject`, {name}.",
                    *own.factset.notes,
                ],
            },
        )
    return path


def _begins(raw: RawRuns, condition: str) -> bool:
    """Whether probes had a begin-of-text token; folders of an older polylore say what was set."""
    noted = raw.folder.manifest.get("checkpoints", {}).get(condition, {})
    if "begin" in noted:
        return noted["begin"] is not None
    probes = raw.folder.manifest["config"].get("probes", {})
    return bool(probes.get("begin") == "yes")


def _prompts(probes: pl.DataFrame, begins: bool) -> pl.DataFrame:
    """Every probe as a prompt without demonstrations; contract PROMPTS."""
    texts = zip(probes["prefix"], probes["joiner"], strict=True)
    hashes = [hashlib.sha256("\x1f".join(parts).encode()).hexdigest() for parts in texts]
    return PROMPTS.validate(
        probes.select(
            pl.col("probe_id").alias("prompt_id"),
            "fact_id",
            "lang",
            pl.col("number").alias("variant"),
            pl.lit(0, pl.Int32).alias("n_shot"),
            pl.lit([], pl.List(pl.String)).alias("demo_fact_ids"),
            pl.col("joiner").alias("delimiter"),
            pl.lit(begins).alias("bos"),
            pl.col("prefix").alias("text"),
            pl.Series("sha256", hashes, dtype=pl.String),
        )
    )
