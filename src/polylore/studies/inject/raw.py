"""A run folder of `inject`, opened for analysis: its runs by role and condition, their raw rows."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from polylore.errors import RunError
from polylore.runs import RunFolder
from polylore.tables.inject import CEILING, EXPOSURE, ITEM, RUNS

KIND = "inject"
MAIN, SHAM, BACKGROUND = "main", "sham", "background"
EXPOSURES = {"run_id": pl.String(), ITEM.name: ITEM.dtype, EXPOSURE.name: EXPOSURE.dtype,
             "step": pl.Int64()}  # fmt: skip
READ = (
    "run_id", "t", "probe_id", "item_id", "fact_id", "arm", "inject_lang", "probe_lang", "depth",
    "n_target_bytes", "sum_logprob", "mean_logprob", "margin", "swap_mean_logprob", "greedy_exact",
    "greedy_text", "flags",
)  # fmt: skip
"""Columns of the log that the analysis reads: a long log is several times as wide."""


@dataclass(frozen=True)
class RawRuns:
    """Raw tables of a run folder; a unit is one training run."""

    folder: RunFolder

    @cached_property
    def runs(self) -> pl.DataFrame:
        """Contract RUNS, of the training runs whose readings are there."""
        done = self.folder.units()
        if self.folder.has_table(RUNS.name):
            found = self.folder.table(RUNS.name)
        else:
            found = self.folder.read(RUNS.name)
        found = RUNS.validate(found)  # folders of an older polylore lack a column
        return found.filter(pl.col("run_id").is_in(done)).sort("condition", "seed")

    @cached_property
    def planned(self) -> pl.DataFrame:
        """Contract RUNS, of all training runs of the study."""
        whole = self.folder.has_table(RUNS.name)
        return self.folder.table(RUNS.name) if whole else self.folder.read(RUNS.name)

    def of(self, condition: str) -> list[str]:
        """Runs of a condition."""
        return self.runs.filter(condition=condition)["run_id"].to_list()

    def of_role(self, role: str) -> list[str]:
        """Conditions of a role, in order."""
        return self.runs.filter(role=role)["condition"].unique(maintain_order=True).to_list()

    def table(self, name: str, runs: list[str]) -> pl.DataFrame:
        """Rows of a raw table that has a run_id, of some runs."""
        return self.folder.read(name, runs)

    def log(self, runs: list[str]) -> pl.DataFrame:
        """Readings of some runs, run by run, without the columns that no number is made of."""
        parts = [self.folder.read("inject_log", [run]).select(READ) for run in runs]
        return pl.concat(parts)

    def told(self, name: str, runs: list[str]) -> pl.DataFrame:
        """The same of a table without run_id, which is added."""
        parts = [self.folder.read(name, [run]).with_columns(run_id=pl.lit(run)) for run in runs]
        return pl.concat(parts)

    def exposures(self, runs: list[str]) -> pl.DataFrame:
        """run_id, item_id, exposure and step of every exposure.

        The schedule says them; where a run has none, its plan does.
        """
        parts = []
        for run in runs:
            found = self.folder.read("inject_schedule", [run])
            if not found.height:
                found = self.folder.read("inject_plan", [run])
            parts.append(
                found.select(pl.lit(run).alias("run_id"), "item_id", "exposure", "step").unique(
                    ["item_id", "exposure", "step"], maintain_order=True
                )
            )
        return pl.concat(parts) if parts else pl.DataFrame(schema=EXPOSURES)

    @cached_property
    def probes(self) -> pl.DataFrame:
        """Contract PROBES."""
        return self.folder.table("inject_probes")

    def ceiling(self, runs: list[str]) -> pl.DataFrame:
        """Contract CEILING, empty if it was not read."""
        found = self.folder.read("inject_ceiling", runs)
        return found if found.height else CEILING.empty()


def open_inject(folder: str | Path) -> RawRuns:
    """A run folder of `inject`.

    Raises:
        RunError: it is none, or no training run of it is finished.
    """
    run = RunFolder.load(folder)
    if run.manifest.get("kind") != KIND:
        raise RunError(
            f"{folder} is a run of `{run.manifest.get('kind')}`; give one that `polylore inject "
            "run` wrote."
        )
    raw = RawRuns(run)
    if not raw.runs.height or not raw.of_role(MAIN):
        raise RunError(
            f"{folder} holds no finished training run yet; run `polylore inject run` again with "
            "the same settings to go on with it."
        )
    return raw
