"""Every derived table of `inject`, from raw tables alone; no model takes part."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from polylore.metrics.injection import window_of
from polylore.metrics.injection.analysis import arm_tables
from polylore.metrics.injection.answers import answer_transfer
from polylore.metrics.injection.batches import BatchRuns, batch_contrast
from polylore.metrics.injection.bridges import bridge_rows, bridges_of, over_known_bridges
from polylore.metrics.injection.claims import claims
from polylore.metrics.injection.clocks import Clock, by_clocks
from polylore.metrics.injection.contrasts import dedup_contrast, mixed_contrast
from polylore.metrics.injection.controls import control_rows, drift_rows
from polylore.metrics.injection.curves import curve_rows, kernel_curves
from polylore.metrics.injection.evidence import Evidence, Series
from polylore.metrics.injection.measurements import Measurements
from polylore.metrics.injection.permuted import permuted_plan
from polylore.metrics.injection.readout import Readout
from polylore.metrics.injection.resample import ItemDraws
from polylore.metrics.injection.stages import StageRuns, stage_contrast
from polylore.metrics.injection.sweep import threshold_tables
from polylore.metrics.injection.trajectories import CONTROL, SCORE
from polylore.metrics.injection.transfer import MARGIN, SWAP_MARGIN, transfer_table
from polylore.studies.inject.analysis_config import InjectAnalyseConfig
from polylore.studies.inject.factors import pair_factors
from polylore.studies.inject.raw import BACKGROUND, MAIN, SHAM, RawRuns
from polylore.tables import ALL

Progress = Callable[[int, int, str], None]
Tables = dict[str, pl.DataFrame]
DERIVED = (
    "inject_effectivity", "inject_retention", "inject_decay", "inject_kernels",
    "inject_kernel_gains", "inject_kernel_curves", "inject_forms", "inject_threshold",
    "inject_brackets", "inject_transfer", "inject_curves", "inject_controls", "inject_permuted",
    "inject_answer_transfer", "inject_dedup_contrast", "inject_mixed_contrast",
    "inject_batch_contrast", "inject_stage_contrast", "inject_claims",
)  # fmt: skip
"""Names of all derived tables."""
SETTINGS = ("batch", "length", "match", "lr_rule", "optimizer", "settings")
"""What conditions share that differ in their checkpoint alone."""
PUBLISHED_ARMS = {"duplication", "paraphrase", "once"}


@dataclass
class _Found:
    """What is kept of the conditions that were measured."""

    tables: dict[str, list[pl.DataFrame]] = field(default_factory=dict)
    readouts: dict[str, Readout] = field(default_factory=dict)
    swaps: dict[str, Readout] = field(default_factory=dict)

    def add(self, name: str, frame: pl.DataFrame) -> None:
        if frame.height:
            self.tables.setdefault(name, []).append(frame)

    def frame(self, name: str) -> pl.DataFrame:
        parts = self.tables.get(name)
        return ALL[name].validate(pl.concat(parts)) if parts else ALL[name].empty()


def analyse(
    raw: RawRuns, config: InjectAnalyseConfig | None = None, progress: Progress | None = None
) -> Tables:
    """Compute and store every derived table.

    Rows of a condition carry its name as run_id and have intervals over the items of all its
    seeds; rows of single runs, where there are several, have none: they show signs by seed.

    Args:
        raw: a run folder.
        config: how; what is not said is as by default.
        progress: called with (done, total, what).

    Returns:
        The tables `DERIVED` by name.

    Raises:
        DataError: a plan places nothing, or a probe language has no control items.
    """
    config = config or InjectAnalyseConfig()
    show = progress or (lambda done, total, what: None)
    found = _Found()
    conditions = raw.of_role(MAIN)
    draws = _draws(raw, conditions, config)
    for done, condition in enumerate(conditions):
        show(done, len(conditions) + 1, f"analysing {condition}")
        _condition(raw, condition, config, draws, found, progress)
    show(len(conditions), len(conditions) + 1, "holding conditions against each other")
    for role in (SHAM, BACKGROUND):
        for condition in raw.of_role(role):
            rows = drift_rows(raw.log(raw.of(condition)), role, condition,
                              resamples=config.resamples, seed=config.seed)  # fmt: skip
            found.add("inject_controls", ALL["inject_controls"].build(rows))
    batches = _batches(raw, found)
    found.add("inject_batch_contrast", batch_contrast(batches))
    found.add("inject_stage_contrast", stage_contrast(_series(raw, found)))
    found.add("inject_claims", claims(_evidence(raw, found, batches)))
    made = {name: found.frame(name) for name in DERIVED}
    for name, frame in made.items():
        raw.folder.write_table(name, frame)
    raw.folder.annotate(
        "analysis", {**raw.folder.manifest.get("analysis", {}), "analyse": config.plain()}
    )
    show(len(conditions) + 1, len(conditions) + 1, "analysed")
    return made


def window(config: InjectAnalyseConfig, beta1: float) -> int:
    """Steps after an exposure in which a gain may peak."""
    return config.window or window_of(beta1)


def _draws(raw: RawRuns, conditions: list[str], config: InjectAnalyseConfig) -> ItemDraws | None:
    """One set of draws for all conditions, so that differences between them are paired."""
    if not config.resamples:
        return None
    arms = raw.told("inject_arms", [run for name in conditions for run in raw.of(name)])
    control = pl.col("arm") == CONTROL
    names = [arms.filter(which)["item_id"].unique().to_list() for which in (~control, control)]
    return ItemDraws.of(names[0], names[1], config.resamples, config.seed)


def _condition(
    raw: RawRuns,
    condition: str,
    config: InjectAnalyseConfig,
    draws: ItemDraws | None,
    found: _Found,
    progress: Progress | None,
) -> None:
    runs = raw.of(condition)
    log, exposures = raw.log(runs), raw.exposures(runs)
    bridges = bridges_of(log, exposures)
    log = over_known_bridges(log, bridges)
    about = raw.runs.filter(condition=condition).row(0, named=True)
    length = window(config, about["beta1"])

    def measured(rows: pl.DataFrame, score: pl.Expr = SCORE, kernels: bool = True) -> Readout:
        return Readout.of(
            rows,
            exposures,
            window=length,
            resamples=0,
            draws=draws,
            no_control=config.no_control,
            score=score,
            kernels=kernels,
            progress=progress,
        )

    readout = measured(log)
    tokens = Clock.of(raw.table("inject_steps", runs), 0).tokens_per_step
    pooled = arm_tables(
        readout.pooled,
        form_resamples=config.form_resamples,
        paper_on_gaps=True,
        tokens_per_step=tokens,
        progress=progress,
    )
    pooled["inject_threshold"], pooled["inject_brackets"] = threshold_tables(readout.pooled)
    swapped = log.filter(SWAP_MARGIN.is_not_null())
    swaps = measured(swapped, SWAP_MARGIN, kernels=False) if swapped.height else None
    if swaps is not None:
        found.swaps[condition] = swaps.without_log()
    apart = log.filter(MARGIN.is_not_null())
    margins = Measurements.of(
        apart, exposures, window=length, draws=draws, pool=True, no_control=config.no_control,
        score=MARGIN, kernels=False,
    ) if apart.height else None  # fmt: skip
    pooled["inject_transfer"] = transfer_table(
        readout.pooled,
        pair_factors(raw, runs, log),
        swaps=None if swaps is None else swaps.pooled,
        margins=margins,
    )
    controls = [control_rows(readout.pooled, raw.ceiling(runs)), bridge_rows(bridges)]
    pooled["inject_controls"] = pl.concat(controls)
    pooled["inject_permuted"] = permuted_plan(
        readout.pooled, shuffles=config.shuffles, seed=config.seed
    )
    pooled["inject_curves"] = curve_rows(readout.pooled)
    pooled["inject_kernel_curves"] = kernel_curves(readout.pooled)
    plan = raw.folder.read("inject_plan", runs[:1])
    pooled["inject_dedup_contrast"] = dedup_contrast(readout, plan)
    pooled["inject_mixed_contrast"] = mixed_contrast(readout, plan)
    pooled["inject_answer_transfer"] = answer_transfer(log, exposures, raw.probes, draws=draws)
    for name, frame in _timed(raw, exposures, runs, pooled).items():
        found.add(name, frame.with_columns(run_id=pl.lit(condition)))
    if len(runs) > 1:
        alone = arm_tables(readout.runs, form_resamples=None, presets=("default",))
        for run in runs:
            own = {name: frame.filter(run_id=run) for name, frame in alone.items()}
            for name, frame in _timed(raw, exposures, [run], own).items():
                found.add(name, frame)
    # Readings of one condition at a time are held.
    found.readouts[condition] = readout.without_log()


def _timed(raw: RawRuns, exposures: pl.DataFrame, runs: list[str], tables: Tables) -> Tables:
    """Tables of some runs by all clocks, which count from the last injection of an arm."""
    steps = raw.table("inject_steps", runs)
    arms = raw.told("inject_arms", runs).select("run_id", "item_id", "arm", "inject_lang")
    shown = exposures.join(arms, on=["run_id", "item_id"])
    last = shown.group_by("arm", "inject_lang").agg(pl.col("step").max())
    own = {(arm, lang): Clock.of(steps, step) for arm, lang, step in last.iter_rows()}
    return by_clocks(tables, Clock.of(steps, max(last["step"].to_list())), own)


def _batches(raw: RawRuns, found: _Found) -> list[BatchRuns]:
    groups = []
    matched = raw.runs.filter(pl.col("match").is_not_null(), role=MAIN)
    for row in matched.unique("condition", keep="first", maintain_order=True).iter_rows(named=True):
        readout = found.readouts[row["condition"]]
        dose = raw.folder.read("inject_dose", [row["run_id"]]).filter(pl.col("injected_rows") > 0)
        share = dose["loss_share"].mean()
        tokens = Clock.of(raw.table("inject_steps", raw.of(row["condition"])), 0).tokens_per_step
        groups.append(
            BatchRuns(
                row["match"],
                row["lr_rule"] or "equal",
                row["optimizer"],
                row["batch"],
                row["length"] if tokens is None else tokens / row["batch"],
                float(share) if isinstance(share, float) else 0.0,
                readout,
            )
        )
    return groups


def _evidence(raw: RawRuns, found: _Found, batches: list[BatchRuns]) -> Evidence:
    """The main condition, and what other conditions add."""
    main = main_condition(raw)
    plain = [main, *(n for n in found.readouts if n != main and _standard(found.readouts[n]))]
    about = {
        row["condition"]: row
        for row in raw.runs.unique("condition", keep="first").iter_rows(named=True)
    }
    series = _series(raw, found)
    series.sort(key=lambda one: main not in {stage.condition for stage in one})
    level, apart = (
        [_as_series(one) for one in series if _at_one_rate(one, about) is same]
        for same in (True, False)
    )
    # Of a model with several checkpoints the last one stands for it.
    alike = [n for n in plain[1:] if _key(about[n], SETTINGS) == _key(about[main], SETTINGS)]
    alike.sort(key=lambda n: -(about[n]["checkpoint_step"] or 0))
    sizes = _ordered(found, about, [main, *alike], "parameters")
    batch = found.frame("inject_batch_contrast")
    return Evidence(
        found.readouts[main],
        found.swaps.get(main),
        apart,
        level,
        sizes,
        batch if batch.height else None,
        batches,
        found.frame("inject_forms").filter(run_id=main),
        found.frame("inject_brackets"),
        found.readouts,
        _false(found.frame("inject_controls").filter(run_id=main), _single(found.readouts[main])),
    )


def main_condition(raw: RawRuns) -> str:
    """The condition that arms are compared in: the first one with arms of the published study."""
    names = raw.of_role(MAIN)
    ranked = [MAIN, *(n for n in names if n != MAIN)] if MAIN in names else names
    for name in ranked:
        arms = raw.folder.read("inject_arms", raw.of(name)[:1])["arm"]
        if set(arms) & PUBLISHED_ARMS:
            return name
    return ranked[0]


def _standard(readout: Readout) -> bool:
    """Whether a condition has arms of the published study."""
    arms = {key[1] for key in readout.pooled.cells}
    return bool(arms & PUBLISHED_ARMS)


def _key(run: dict[str, Any], names: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(run[name] for name in names)


def _series(raw: RawRuns, found: _Found) -> list[list[StageRuns]]:
    """Conditions that differ in the step of their checkpoint alone, by that step."""
    groups: dict[tuple[Any, ...], dict[int, StageRuns]] = {}
    main = raw.runs.filter(pl.col("checkpoint_step").is_not_null(), role=MAIN)
    for row in main.unique("condition", keep="first", maintain_order=True).iter_rows(named=True):
        name, step = row["condition"], row["checkpoint_step"]
        stage = StageRuns(name, step, row["lr"], row["optimizer"], found.readouts[name])
        groups.setdefault(_key(row, ("model", "parameters", *SETTINGS)), {}).setdefault(step, stage)
    return [[own[step] for step in sorted(own)] for own in groups.values() if len(own) > 1]


def _at_one_rate(series: list[StageRuns], about: dict[str, dict[str, Any]]) -> bool:
    """Whether checkpoints are known to have gone on at one and the same constant rate."""
    constant = all(about[stage.condition]["lr_schedule"] == "constant" for stage in series)
    return constant and series[0].lr is not None and len({stage.lr for stage in series}) == 1


def _as_series(series: list[StageRuns]) -> Series:
    return Series(series[-1].condition, tuple((one.step, one.readout) for one in series))


def _ordered(
    found: _Found, about: dict[str, dict[str, Any]], names: list[str], column: str
) -> tuple[tuple[int, Readout], ...]:
    values: dict[int, Readout] = {}
    for name in names:
        value = about.get(name, {}).get(column)
        if isinstance(value, int):
            values.setdefault(value, found.readouts[name])
    return tuple(sorted(values.items(), key=lambda pair: pair[0])) if len(values) > 1 else ()


def _single(readout: Readout) -> set[str]:
    """Arms of which every item was shown once."""
    cells = readout.pooled.cells.items()
    more = {key[1] for key, cell in cells if cell.injected.times_JN.shape[1] > 1}
    return {key[1] for key, _ in cells} - more


def _false(
    controls: pl.DataFrame, single: set[str]
) -> dict[str, tuple[float, float, float, float]]:
    """By depth, language and arm whose times controls take: their E as published and as ours.

    Of arms with one exposure E_cf of all controls lies below zero by itself; there one half of them
    is held against the other (`crossfit.control_effectivity`).
    """
    found: dict[str, tuple[float, float, float, float]] = {}
    keys = ("depth", "probe_lang", "arm")
    for (depth, lang, arm), rows in controls.group_by(keys, maintain_order=True):
        by = {row["quantity"]: row for row in rows.iter_rows(named=True)}
        halved = arm in single
        ours = by.get("halves_false" if halved else "default_false", {})
        paper = by.get("paper_false", {}).get("value")
        if paper is None:
            continue
        ends = [float("nan") if ours.get(k) is None else ours[k] for k in ("value", "lo", "hi")]
        how = ", one half against the other" if halved else ""
        found[f"{depth}, {lang}, at the times of {arm}{how}"] = (paper, *ends)
    return found
