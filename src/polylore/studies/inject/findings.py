"""What a run of `inject` says, in sentences with verdicts."""

from collections.abc import Iterator
from typing import Any

import polars as pl

from polylore.report import Finding, Verdict
from polylore.studies.inject.context import REASONS, InjectContext, own, plural, short
from polylore.studies.inject.sections.thresholds import UNDETERMINED, bracket_words

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
    whole = pl.concat([rows.filter(arm=arm).sort("inject_lang", "probe_lang")
                       for arm in context.arms])  # fmt: skip
    parts = [
        f"{_place(context, row)} {_number(row)}"
        + (f" ({REASONS.get(row['reason'], row['reason'])})" if row["reason"] else "")
        for row in whole.head(_CASES).iter_rows(named=True)
    ]
    more = _left_out(whole.height - _CASES, "on the page of gains")
    false = _false(context)
    yield Finding(
        _gained(context, whole, false),
        None,
        f"Corrected gain per exposure, mean over exposures: {'; '.join(parts)}{more}."
        + _beside(false),
    )


def _gained(context: InjectContext, rows: pl.DataFrame, false: pl.DataFrame | None) -> str:
    """What the intervals of gains bear: the cell whose lower end is highest, or that none does."""
    depth, cells = context.depths[0], f"{rows.height} {plural(rows.height, 'cell')}"
    known = rows.drop_nulls("lo")
    if not known.height:
        why = "; ".join(REASONS.get(r, r) for r in rows["reason"].drop_nulls().unique().sort())
        said = f"has an interval ({why})" if why else "has an interval"
        return f"Whether one exposure adds anything is undetermined: none of {cells} {said}."
    halves = None if false is None else false.filter(quantity="halves_false")["value"].max()
    bar = max(0.0, float(halves)) if isinstance(halves, float) else 0.0
    sure = known.filter(pl.col("lo") > bar)
    if not sure.height:
        what = "0" if bar == 0 else "what items never injected show"
        return (
            f"No gain per exposure is surely above {what}: of {cells} none has its interval there."
        )
    best = sure.sort("lo", descending=True).row(0, named=True)
    lang = best["inject_lang"]
    told = f"told and asked in {lang}" if lang == best["probe_lang"] else (
        f"told in turning languages, asked in {best['probe_lang']}")  # fmt: skip
    return (
        f"One exposure adds {best['estimate']:.2f} [{best['lo']:.2f}, {best['hi']:.2f}] nats per "
        f"token where it is surest ({best['arm']}, {depth}, {told}); "
        f"{sure.height} of {cells} {'is' if rows.height == 1 else 'are'} surely above what items "
        "never injected show."
    ).replace("-", "−")


def _place(context: InjectContext, row: dict[str, Any]) -> str:
    """Arm of a cell, with its languages where there are several."""
    if len(context.langs) < 2:
        return str(row["arm"])
    return f"{row['arm']} ({row['inject_lang']} → {row['probe_lang']})"


def _left_out(n: int, where: str) -> str:
    return f"; {n} more {where}" if n > 0 else ""


def _false(context: InjectContext) -> pl.DataFrame | None:
    """Gains of items never injected, corrected (halves) and as published."""
    controls = context.pooled("inject_controls")
    if controls is None:
        return None
    false = controls.filter(depth=context.depths[0]).drop_nulls("value")
    return false.filter(pl.col("quantity").is_in(["halves_false", "paper_false"]))


def _beside(false: pl.DataFrame | None) -> str:
    """What items never injected show, in words; empty if it is not known."""
    if false is None or false["quantity"].n_unique() < 2:
        return ""
    said = {name[0]: rows["value"].to_list() for name, rows in false.group_by("quantity")}
    return (
        f" Items never injected, at the same times: {_range(said['halves_false'])} "
        "corrected (one half of them held against the other), "
        f"{_range(said['paper_false'])} in the published form."
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
    cases = [f"{row['case']} {_judged(row)}" for row in rows.head(_CASES).iter_rows(named=True)]
    more = _left_out(rows.height - _CASES, "on the page of claims")
    measure = f"{first['measure'][:1].upper()}{first['measure'][1:]}"
    of = f"{rows.height} {plural(rows.height, 'case')}"
    return Finding(
        first["statement"],
        verdict_of(rows),
        f"{measure}; of {of}: {tally}. {'; '.join(cases)}{more}.",
    )


def _judged(row: dict[str, Any]) -> str:
    """The number of a case with its verdict, unless it is shown; the reason in a number's place."""
    if row["estimate"] is None:
        return _why(row)
    return _number(row) + ("" if row["verdict"] == "shown" else f" ({_why(row)})")


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
        f"{row['inject_lang']}: {row['bracket']} steps{_in_tokens(row, 'lo', 'hi')}"
        + _crossing(row)
        for row in rows.sort("inject_lang").iter_rows(named=True)
    ]
    known = rows.filter(pl.col("bracket") != UNDETERMINED).sort("inject_lang")
    if known.height:
        first = known.row(0, named=True)
        text = (
            f"Exposures stop accumulating at an interval of {first['bracket']} steps"
            f"{_in_tokens(first, 'lo', 'hi')} ({first['inject_lang']})."
        )
    else:
        text = "At which interval exposures stop accumulating is undetermined."
    yield Finding(
        text,
        None,
        f"Measured by the sweep of intervals, {context.depths[0]} probes: {'; '.join(said)}.",
    )


def _in_tokens(row: dict[str, Any], *ends: str) -> str:
    """Ends of a bracket in tokens, which stand beside those in steps wherever they are known."""
    told = [row[f"tokens_{end}"] for end in ends]
    said = [short(value) for value in told if value is not None]
    if not said:
        return ""
    sign = {"right": "> ", "left": "< "}.get(row["censored"], "")
    return f", {sign}{' to '.join(said)} tokens"


def _crossing(row: dict[str, Any]) -> str:
    """The published x-intercept of a sweep, in steps and in tokens."""
    if row["x_intercept"] is None:
        return ""
    tokens = row["x_intercept_tokens"]
    beside = "" if tokens is None else f", {short(tokens)} tokens"
    return f" (x-intercept {short(row['x_intercept'])} steps{beside})"


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
