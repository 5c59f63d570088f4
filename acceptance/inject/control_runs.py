"""Sham and background-only runs beside the main ones (specification of `inject`, section 5)."""

from collections.abc import Iterator

import polars as pl

from acceptance.inject.page import number, spread, table
from polylore.metrics.injection.controls import drift_rows
from polylore.runs import RunFolder

ROLES = {
    "main": "passages about them",
    "sham": "as many about other people",
    "background": "no passage",
}


def control_run_lines(run: RunFolder) -> list[str]:
    """How far probes move from the first to the last state, and what the background loses."""
    head = ("people", "probe", "asked in", *ROLES.values())
    losses = ("language", "at first", *ROLES.values())
    return [
        "## Other passages, and none",
        "",
        "The same checkpoint, background and steps with passages about these people, with as many "
        "passages about others of whom nothing is asked (sham), and with none. Score at the last "
        "state less that at the first one, mean over people, with 95 % intervals over resampled "
        "people, and none where they are fewer than ten: what moves in people nobody told of is "
        "drift, and what moves more with passages about others than with none is the effect of "
        "the dose itself. Several runs of the first kind, one of the others.",
        *table(head, list(_drifts(run))),
        "Loss of background that no run reads, at the last reading, run by run: what it is above "
        "that without passages is what passages cost.",
        *table(losses, list(_losses(run))),
        _said(run),
        "",
    ]


def _runs(run: RunFolder, role: str) -> list[str]:
    found = run.table("inject_runs").filter(role=role)["run_id"]
    return [str(name) for name in found]


def _drifts(run: RunFolder) -> Iterator[tuple[str, ...]]:
    """Drift of people by what they are in the main runs; D of the told ones is the difference."""
    told = _in_turn(run)
    logs = {role: run.read("inject_log", _runs(run, role)) for role in ROLES}
    for words, who in (("told in the main runs", told), ("never told", ~told)):
        found = {
            (row["depth"], row["probe_lang"], role): spread(row)
            for role, log in logs.items()
            for row in drift_rows(log.filter(who), role, role)
        }
        for depth, lang in dict.fromkeys(key[:2] for key in found):
            yield words, depth, lang, *(found.get((depth, lang, role), "–") for role in ROLES)


def _said(run: RunFolder) -> str:
    """What the control runs show, in words."""
    means = {}
    for role in ROLES:
        log = run.read("inject_log", _runs(run, role)).filter(~_in_turn(run))
        rows = drift_rows(log, role, role)
        means[role] = sum(row["value"] for row in rows) / len(rows)
    last = {role: _end_loss(run, role) for role in ROLES}
    cost = {role: last[role] - last["background"] for role in ("main", "sham")}
    return (
        "In the mean over probes, people who are told of in no run move by "
        f"{means['main']:+.2f} beside passages about others who are asked, {means['sham']:+.2f} "
        f"beside those of the sham run, and {means['background']:+.2f} with none. Passages raise "
        f"the held-out loss at the end by {cost['main']:+.3f}, those of the sham run by "
        f"{cost['sham']:+.3f}."
    )


def _end_loss(run: RunFolder, role: str) -> float:
    """Held-out loss at the last state of the runs of a role, mean over them and the languages."""
    read = run.read("inject_eval_loss", _runs(run, role))
    ends = read.sort("t").group_by("run_id", "lang").agg(pl.col("loss").last())
    return float(ends["loss"].to_numpy().mean())


def _in_turn(run: RunFolder) -> pl.Expr:
    """Items that take turns in the arms of the main runs."""
    arms = pl.concat(run.read("inject_arms", [name]) for name in _runs(run, "main"))
    return ~pl.col("item_id").is_in(arms.filter(arm="never")["item_id"].unique().to_list())


def _losses(run: RunFolder) -> Iterator[tuple[str, ...]]:
    """Held-out loss of each language: at the first state, and at the last one of every run."""
    read = {role: run.read("inject_eval_loss", _runs(run, role)).sort("t") for role in ROLES}
    for lang in read["main"]["lang"].unique().sort():
        start = read["main"].filter(lang=lang)["loss"][0]
        ends = (
            found.filter(lang=lang)
            .group_by("run_id", maintain_order=True)
            .agg(pl.col("loss").last())
            .sort("run_id")["loss"]
            for found in read.values()
        )
        yield lang, number(start, 3), *(", ".join(number(v, 3) for v in end) for end in ends)
