"""What a run of `align` says, in sentences with verdicts."""

import polars as pl

from polylore.report import Case, Finding, Verdict, judge, tally
from polylore.studies.align.context import AlignContext

_VERDICTS: dict[str, Verdict] = {
    "confirmed": "confirmed",
    "contradicted": "not confirmed",
    "equivalent": "not confirmed",
    "open": "undecided",
}
LOST = 0.5
"""Half of what a perfect carry-over would be: the bar of "poor" conductivity."""


def findings(context: AlignContext) -> tuple[Finding, ...]:
    """Trust first, then consistency, conductivity and comparisons."""
    parts = (_usable, _consistent, _conducted, _claimed)
    return tuple(finding for part in parts for finding in part(context))


def _usable(context: AlignContext) -> list[Finding]:
    trust = context.table("align_trust")
    if trust is None:
        return []
    usable = int(trust["usable"].sum())
    reasons = trust.filter(~pl.col("usable"))["reason"].value_counts(sort=True)
    first = f" Most often: {reasons['reason'][0]}." if reasons.height else ""
    return [
        Finding(
            f"{usable} of {trust.height} cells can be used.",
            None,
            f"A cell is a model in one set and language; the first page says why.{first}",
        )
    ]


def _consistent(context: AlignContext) -> list[Finding]:
    """One finding per set: does the last model share more than habits with the pivot?"""
    pairs = context.table("align_consistency")
    if pairs is None:
        return []
    rows = context.last(
        pairs.filter(
            context.headline
            & (pl.col("exposure_class") == "all")
            & (pl.col("pivot") == context.pivot)
        )
    )
    found = []
    for (dataset,), own in rows.group_by(["dataset"], maintain_order=True):
        read = own.filter("interpretable")
        cases = [
            Case(f"{row['model']} {row['lang']}", row["co_norm_lo"], row["co_norm_hi"], 0.0)
            for row in read.iter_rows(named=True)
        ]
        if not cases:
            found.append(
                Finding(
                    f"Consistency in {dataset} says nothing: no pair of languages can be read.",
                    None,
                    f"{own.height} pairs; first reason: {own['reason'][0]}.",
                )
            )
            continue
        found.append(
            Finding(
                f"In {dataset} the same items are right as in {context.pivot}, beyond accuracy and "
                "letter habits.",
                judge(cases),
                f"Normalised consistency above 0, by model and language. {tally(cases)} "
                f"{own.height - read.height} pairs cannot be read.",
            )
        )
    return found


def _conducted(context: AlignContext) -> list[Finding]:
    table = context.table("align_conductivity")
    claims = context.table("align_claims")
    if table is None or (claims is not None and "conductivity" in claims["level"].to_list()):
        return []  # Over seeds the claims say it better than runs one by one.
    rows = table.filter(
        (pl.col("subset") == "valid")
        & (pl.col("scoring") == "default")
        & (pl.col("step") == pl.col("step").max().over("run_id"))
    )
    gates = context.table("align_gates")
    if gates is not None:
        # What was taught in the target, too, is the ceiling and no conduction.
        told = gates.filter(pl.col("trained") & (pl.col("component") == "target_1"))
        rows = rows.join(told.select("run_id", "target"), on=["run_id", "target"], how="anti")
    passed = rows.filter(pl.col("gate_pass").fill_null(False))
    # "Poor" is a claim about an upper end, so both ends change sides.
    cases = [
        Case(
            f"{row['arm']} {row['source']}>{row['target']} (seed {row['seed']})",
            None if row["cd_hi"] is None else -row["cd_hi"],
            None if row["cd_lo"] is None else -row["cd_lo"],
            -LOST,
        )
        for row in passed.iter_rows(named=True)
    ]
    if not cases:
        return []
    return [
        Finding(
            "Facts taught in one language are poorly known in another.",
            judge(cases),
            f"The whole interval of conductivity below {LOST}, runs that passed their gate "
            f"({passed.height} of {rows.height}). {tally(cases)}",
        )
    ]


def _claimed(context: AlignContext) -> list[Finding]:
    """One finding per claim, over all arms, sets and languages; the table has each of them."""
    claims = context.table("align_claims")
    if claims is None:
        return []
    strictest = claims.filter(pl.col("m") == pl.col("m").max())
    found = []
    for (claim,), rows in strictest.group_by(["claim"], maintain_order=True):
        says = [_VERDICTS[verdict] for verdict in rows["verdict"]]
        counts = ", ".join(f"{name} {says.count(name)}" for name in _SAID)
        unjudged = rows["reason"].drop_nulls()
        lost = (
            f" {unjudged.len()} cannot be judged (first: {unjudged[0]})." if unjudged.len() else ""
        )
        found.append(
            Finding(
                f"{str(claim)[:1].upper()}{str(claim)[1:]}.",
                _together(says),
                f"Of {rows.height} comparisons (arms, sets and languages): {counts}; margin "
                f"{rows['m'][0]}. Each is in the table Claims."
                + lost
                + ("" if rows["siblings"].all() else " Not all are proven to be siblings."),
            )
        )
    return found


_SAID: tuple[Verdict, ...] = ("confirmed", "undecided", "not confirmed")


def _together(says: list[Verdict]) -> Verdict:
    """The rule of `polylore.report.verdicts`: confirmed in all, or in none and refuted in one."""
    if set(says) == {"confirmed"}:
        return "confirmed"
    return "undecided" if "confirmed" in says or set(says) == {"undecided"} else "not confirmed"
