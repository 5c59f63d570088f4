"""Tables and page of a run of `inject`, made anew from its raw readings."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from polylore.report import Report
from polylore.studies.inject.analyse import DERIVED, Tables, analyse, main_condition, window
from polylore.studies.inject.analysis_config import InjectAnalyseConfig
from polylore.studies.inject.pages import build_report
from polylore.studies.inject.raw import BACKGROUND, MAIN, RawRuns, open_inject
from polylore.studies.outputs import write_outputs

Progress = Callable[[int, int, str], None]


def report(
    folder: str | Path,
    config: InjectAnalyseConfig | None = None,
    *,
    progress: Progress | None = None,
) -> Path:
    """Analyse a run and write page, figures and tables; can be repeated at any time.

    Args:
        folder: run folder of `polylore inject run`, finished or not.
        config: how to analyse; by default as last time, or as usual.
        progress: called with (done, total, what).

    Returns:
        Path of `report.html`.

    Raises:
        RunError: the folder is no run of `inject`, or holds no finished training run.
    """
    raw = open_inject(folder)
    config = config or noted(raw)
    made = analyse(raw, config, progress)
    frames = {**made, **_beside(raw)}
    drawn = {
        **frames, "_exposures": _exposures(raw), "_windows": _windows(raw, config),
        "_losses": _losses(raw),
    }  # fmt: skip

    def build() -> Report:
        done = raw.runs["run_id"].implode()
        return build_report(
            drawn,
            main=main_condition(raw),
            missing=raw.planned.filter(~pl.col("run_id").is_in(done)),
            provenance=_provenance(raw),
        )

    return write_outputs(raw.folder, build, {k: frames[k] for k in DERIVED}, progress)


def noted(raw: RawRuns) -> InjectAnalyseConfig:
    """How the run was analysed last time."""
    said = raw.folder.manifest.get("analysis", {}).get("analyse")
    return InjectAnalyseConfig() if said is None else InjectAnalyseConfig.model_validate(said)


def _beside(raw: RawRuns) -> Tables:
    """Raw tables that pages show as they are, and doses of one seed each."""
    first = raw.runs.unique("condition", keep="first", maintain_order=True)["run_id"]
    made = {
        "inject_runs": raw.runs,
        "inject_dose": raw.told("inject_dose", first.to_list()),
    }
    for name in ("inject_contamination", "inject_lint"):
        if raw.folder.has_table(name):
            made[name] = raw.folder.table(name)
    return made


def _exposures(raw: RawRuns) -> pl.DataFrame:
    """Steps since the first exposure at which an arm shows its items; those most items share."""
    parts = []
    for condition in raw.of_role("main"):
        run = raw.of(condition)[0]
        arms = raw.folder.read("inject_arms", [run]).select("item_id", "arm")
        parts.append(raw.exposures([run]).join(arms, on="item_id"))
    times = pl.concat(parts).with_columns(
        since=pl.col("step") - pl.col("step").min().over("run_id", "item_id")
    )
    shared = times.group_by("arm", "since").agg(items=pl.col("item_id").n_unique())
    all_of = times.group_by("arm").agg(of=pl.col("item_id").n_unique())
    return (
        shared.join(all_of, on="arm")
        .filter(pl.col("items") >= 0.5 * pl.col("of"))
        .select("arm", "since")
        .sort("arm", "since")
    )


def _windows(raw: RawRuns, config: InjectAnalyseConfig) -> pl.DataFrame:
    """How many exposures another one of their item follows, and how many within the window."""
    parts = []
    for condition in raw.of_role(MAIN):
        runs = raw.of(condition)
        beta1 = raw.runs.filter(condition=condition)["beta1"][0]
        arms = raw.told("inject_arms", runs).select("run_id", "item_id", "arm")
        times = raw.exposures(runs).select("run_id", "item_id", "step").unique()
        gaps = times.sort("run_id", "item_id", "step").with_columns(
            gap=pl.col("step").diff().over("run_id", "item_id")
        )
        parts.append(
            gaps.drop_nulls("gap")
            .join(arms, on=["run_id", "item_id"], maintain_order="left")
            .with_columns(condition=pl.lit(condition), window=window(config, beta1))
        )
    return (
        pl.concat(parts)
        .group_by("condition", "arm", "window", maintain_order=True)
        .agg(
            followed=pl.len(),
            cut=(pl.col("gap") < pl.col("window")).sum(),
            shortest=pl.col("gap").min(),
        )
    )


_SAME = ("model", "checkpoint_step", "batch", "lr", "lang", "t")
"""What a run shares with the one of the background alone that it is held against."""


def _losses(raw: RawRuns) -> pl.DataFrame:
    """Held-out loss of every run and language at its first and last reading.

    `beyond`: how much more it rose than in the run of the background alone, where there is one.
    """
    read = raw.table("inject_eval_loss", raw.runs["run_id"].to_list()).sort("run_id", "lang", "t")
    ends = read.group_by("run_id", "lang", maintain_order=True).agg(
        pl.col("t").last(), start=pl.col("loss").first(), end=pl.col("loss").last()
    )
    about = raw.runs.select("run_id", "condition", "role", *_SAME[:4])
    found = about.join(ends, on="run_id", maintain_order="left").with_columns(
        rise=pl.col("end") - pl.col("start")
    )
    alone = found.filter(role=BACKGROUND).select(*_SAME, alone="rise")
    held = found.join(alone, on=_SAME, how="left", nulls_equal=True, maintain_order="left")
    return held.with_columns(
        beyond=pl.when(pl.col("role") != BACKGROUND).then(pl.col("rise") - pl.col("alone"))
    )


def _provenance(raw: RawRuns) -> dict[str, str]:
    manifest = raw.folder.manifest
    models = raw.runs["model"].unique(maintain_order=True).to_list()
    said = manifest.get("git", {}).get("commit")
    found = {
        "model": ", ".join(map(str, models)),
        "run": str(manifest.get("config_digest", ""))[:12],
        "command": " ".join(manifest.get("command", [])),
        "versions": ", ".join(f"{k} {v}" for k, v in manifest.get("versions", {}).items()),
        "started": str(manifest.get("created", "")),
    }
    return found | ({"code": said} if said else {})
