"""What a run of `inject` says, in sentences with verdicts."""

from collections.abc import Iterator
from typing import Any

import polars as pl

from polylore.report import Finding, Verdict
from polylore.studies.inject.context import REASONS, InjectContext, own, plural
from polylore.studies.inject.sections.thresholds import bracket_words

_ORDER = ("C1", "1a", "1c", "1b", "T1", "T2", "T3", "T4")
"""Claims that come first; the others follow in their own order."""
_CASES = 6


def findings(context: InjectContext) -> tuple[Finding, ...]:
    """The headline gain, every claim that some case of the run can judge, then what cannot be."""
    parts = (_headline, _claimed, _threshold, _untested)
    return tuple(found for part in parts for found in part(context))


def _headline(context: InjectContext) -> Iterator[Finding]:
    """Gain per exposure in both forms, and what never-injected items make of them."""
    table = context.pooled("inject_effectivity")
    if table is None:
        return
    rows = table.filter(
        pl.col("exposure").is_null() & own(), depth=context.depths[0], preset="default"
    ).drop_nulls("estimate")
    if not rows.height:
        yield Finding(
            "No corrected gain could be computed.",
            None,
            "; ".join(REASONS.get(r, r) for r in table["reason"].drop_nulls().unique()) + ".",
        )
        return
    parts = []
    for arm in context.arms:
        for row in rows.filter(arm=arm).sort("probe_lang").iter_rows(named=True):
            where = f" ({row['probe_lang']})" if len(context.langs) > 1 else ""
            parts.append(f"{arm}{where} {_number(row)}")
    controls = context.pooled("inject_controls")
    beside = ""
    if controls is not None:
        false = controls.filter(depth=context.depths[0]).drop_nulls("value")
        said = {
            name: false.filter(quantity=name)["value"].to_list()
            for name in ("halves_false", "paper_false")
        }
        if all(said.values()):
            beside = (
                f" Items never injected, at the same times: {_range(said['halves_false'])} "
                "corrected (one half of them held against the other), "
                f"{_range(said['paper_false'])} in the published form."
            )
    best = rows.sort("estimate", descending=True).row(0, named=True)
    yield Finding(
        f"One exposure adds up to {best['estimate']:.2f} nats per token "
        f"({best['arm']}, {context.depths[0]}).",
        None,
        f"Corrected gain per exposure, mean over exposures: {'; '.join(parts[:8])}.{beside}",
    )


def _range(values: list[float]) -> str:
    low, high = min(values), max(values)
    return _signed(low) if len(values) == 1 else f"{_signed(low)} to {_signed(high)}"


def _signed(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")


def _number(row: dict[str, Any]) -> str:
    if row["estimate"] is None:
        return REASONS.get(str(row["reason"]), str(row["reason"]))
    ends = "" if row["lo"] is None else f" [{_signed(row['lo'])}, {_signed(row['hi'])}]"
    return _signed(row["estimate"]) + ends


def _claimed(context: InjectContext) -> Iterator[Finding]:
    table = context.table("inject_claims")
    if table is None:
        return
    ids = table["claim_id"].unique(maintain_order=True).to_list()
    ids = [i for i in _ORDER if i in ids] + [i for i in ids if i not in _ORDER]
    for claim_id in ids:
        rows = table.filter(claim_id=claim_id).filter(pl.col("case").is_not_null())
        if rows.height and claim_id != "10a":  # 10a rests on the numbers of 2c
            yield _finding(rows)


def verdict_of(rows: pl.DataFrame) -> Verdict:
    """Confirmed: shown in every case; not confirmed: contradicted in some and shown in none."""
    verdicts = rows["verdict"].to_list()
    if all(v == "shown" for v in verdicts):
        return "confirmed"
    if "contradicted" in verdicts and "shown" not in verdicts:
        return "not confirmed"
    return "undecided"


def _finding(rows: pl.DataFrame) -> Finding:
    first = rows.row(0, named=True)
    counts = {v: rows.filter(verdict=v).height for v in ("shown", "undetermined", "contradicted")}
    tally = ", ".join(f"{n} {v}" for v, n in counts.items() if n)
    cases = [
        f"{row['case']} {_number(row)}" + ("" if row["verdict"] == "shown" else f" ({_why(row)})")
        for row in rows.head(_CASES).iter_rows(named=True)
    ]
    more = "; …" if rows.height > _CASES else ""
    measure = f"{first['measure'][:1].upper()}{first['measure'][1:]}"
    of = f"{rows.height} {plural(rows.height, 'case')}"
    return Finding(
        first["statement"],
        verdict_of(rows),
        f"{measure}; of {of}: {tally}. {'; '.join(cases)}{more}.",
    )


def _why(row: dict[str, Any]) -> str:
    reason = row["reason"]
    return f"{row['verdict']}: {REASONS.get(reason, reason)}" if reason else str(row["verdict"])


def _threshold(context: InjectContext) -> Iterator[Finding]:
    table = context.table("inject_brackets")
    if table is None:
        return
    rows = table.filter(own()).with_columns(bracket_words()).filter(depth=context.depths[0])
    if not rows.height:
        return
    said = [
        f"{row['inject_lang']}: {row['bracket']} steps"
        + ("" if row["x_intercept"] is None else f" (x-intercept {row['x_intercept']:,.0f})")
        for row in rows.sort("inject_lang").iter_rows(named=True)
    ]
    yield Finding(
        f"Exposures stop accumulating at an interval of {rows['bracket'][0]} steps "
        f"({rows['inject_lang'][0]}).",
        None,
        f"Measured by the sweep of intervals, {context.depths[0]} probes: {'; '.join(said)}.",
    )


def _untested(context: InjectContext) -> Iterator[Finding]:
    table = context.table("inject_claims")
    if table is None:
        return
    rows = table.filter(pl.col("case").is_null())
    if rows.height:
        said = [f"{r['claim_id']}: {r['reason']}" for r in rows.iter_rows(named=True)]
        yield Finding(
            f"{rows.height} claims are not tested by this run.", None, "; ".join(said) + "."
        )
