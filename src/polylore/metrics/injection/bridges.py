"""Whether the second fact of a two-hop probe was known before injection (`inject`, section 2.9).

A `two_hop_background` probe asks by way of a fact of the background, its bridge. Where the model
does not know the bridge, a wrong answer says nothing of the injected fact: such probes are counted
and left out of the class.
"""

from typing import Any

import polars as pl

from polylore.metrics.injection.trajectories import CONTROL
from polylore.tables.injection_evidence import CONTROLS

TWO_HOP, BRIDGE = "two_hop_background", "bridge"
_ASKED = ("run_id", "fact_id", "probe_lang")


def bridges_of(log: pl.DataFrame, exposures: pl.DataFrame) -> pl.DataFrame:
    """Which two-hop probes stand on a known bridge.

    Known: the bridge asked by itself is right at the last reading before the run's first exposure,
    the same state for injected items and controls. One that was not asked is not known.

    Args:
        log: contract `tables.inject.LOG`.
        exposures: run_id, item_id, exposure and step of every exposure.

    Returns:
        run_id, probe_lang, fact_id, probe_id, control and known, one row per two-hop probe of a
        run; empty without such probes.
    """
    hops = log.filter(depth=TWO_HOP).select(
        *_ASKED, "probe_id", control=pl.col("arm") == CONTROL
    ).unique(maintain_order=True)  # fmt: skip
    begin = exposures.group_by("run_id").agg(begin=pl.col("step").min())
    asked = log.filter(depth=BRIDGE).join(begin, on="run_id")
    before = asked.filter(pl.col("t") <= pl.col("begin")).sort("t")
    told = before.group_by(_ASKED, maintain_order=True).agg(known=pl.col("greedy_exact").last())
    return hops.join(told, on=_ASKED, how="left", maintain_order="left").with_columns(
        pl.col("known").fill_null(False)
    )


def over_known_bridges(log: pl.DataFrame, bridges: pl.DataFrame) -> pl.DataFrame:
    """The log without two-hop probes whose bridge was not known.

    Of a language in which no control's bridge was known none is kept: nothing could be corrected.
    """
    if not bridges.height:
        return log
    held = bridges.filter("known", "control").select("probe_lang").unique()
    kept = bridges.filter("known").join(held, on="probe_lang", how="semi")
    hops = log.filter(depth=TWO_HOP).join(
        kept.select("run_id", "probe_id"), on=["run_id", "probe_id"], how="semi",
        maintain_order="left",
    )  # fmt: skip
    return pl.concat([log.filter(pl.col("depth") != TWO_HOP), hops])


def bridge_rows(bridges: pl.DataFrame, run_id: str = "all") -> pl.DataFrame:
    """How many two-hop probes stand on a known bridge, and on another; table CONTROLS."""
    counts = bridges.group_by("probe_lang").agg(
        pl.col("known").sum().alias("bridge_known"),
        (~pl.col("known")).sum().alias("bridge_unknown"),
        n=pl.len(),
    )
    rows: list[dict[str, Any]] = [
        {"run_id": run_id, "depth": TWO_HOP, "probe_lang": row["probe_lang"], "quantity": quantity,
         "value": float(row[quantity]), "n": row["n"]}
        for row in counts.sort("probe_lang").iter_rows(named=True)
        for quantity in ("bridge_known", "bridge_unknown")
    ]  # fmt: skip
    return CONTROLS.build(rows)
