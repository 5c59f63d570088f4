"""What the tables about pathways let one say, judged by `report.verdicts`."""

import polars as pl

from polylore.report import Case, Finding, judge, tally
from polylore.report.languages import ALL as ALL_LANGUAGES
from polylore.report.languages import name as language_name
from polylore.studies.trace.context import Context, quantity, with_interval, with_names


def _end(context: Context, name: str) -> pl.DataFrame | None:
    table = context.table(name)
    if table is None or context.final is None:
        return None
    rows = context.at_end(table)
    return rows if rows.height else None


def transfer_finding(context: Context) -> Finding | None:
    """Does the pivot's knowledge bring facts along that reading does not explain?"""
    end = _end(context, "transfer_rate")
    if end is None or context.exposure_kind == "none":
        return None
    rows = with_names(end.filter(pl.col("relation") == "all")).drop_nulls("t")
    pooled = rows.filter(pl.col("lang") == ALL_LANGUAGES)
    single = rows.filter(pl.col("lang") != ALL_LANGUAGES)
    if not single.height or not pooled.height:
        return None
    cases = [
        Case(r["language"], _both(r["t_lo"], r["t_second_lo"]), _both(r["t_hi"], r["t_second_hi"]),
             0.0)
        for r in single.iter_rows(named=True)
    ]  # fmt: skip
    supported = sum(case.side == "for" for case in cases)
    row = pooled.row(0, named=True)
    pivot = language_name(context.pivot)
    text = (
        f"Of the facts that {pivot} knows and that reading in a language leaves unexplained, "
        f"{with_interval(row['t'], row['t_lo'], row['t_hi'])} are right there nevertheless (all "
        f"languages together); transfer from {pivot} is supported in {supported} of {len(cases)} "
        f"language{'' if len(cases) == 1 else 's'}."
    )
    detail = (
        "Claim: in every language the transfer rate is above 0, both against what reading in the "
        f"language explains and when reading in {pivot} may explain answers too. {tally(cases)} "
        f"Against the second curve: "
        f"{with_interval(row['t_second'], row['t_second_lo'], row['t_second_hi'])}. "
        + _expected(context)
    )
    return Finding(text, judge(cases), detail)


def _both(first: float | None, second: float | None) -> float | None:
    """The end of the interval that is less favourable to the claim."""
    return None if first is None or second is None else min(first, second)


def _expected(context: Context) -> str:
    end = _end(context, "composition")
    if end is None:
        return ""
    rows = end.filter(
        (pl.col("relation") == "all")
        & (pl.col("lang") == ALL_LANGUAGES)
        & (pl.col("stratum") == "apart")
    ).drop_nulls(["e_transfer", "e_transfer_lo"])
    if not rows.height:
        return ""
    row = rows.row(0, named=True)
    return (
        f"Expected number of answers that came by transfer: {row['e_transfer']:.0f} "
        f"[{row['e_transfer_lo']:.0f}, {row['e_transfer_hi']:.0f}] of {row['right']:,} right ones "
        f"that share no string; {row['n_transfer']:,} are labelled transfer candidates."
    )


def ladder_finding(context: Context) -> Finding | None:
    """Does it help to know what the donor knows?"""
    end = _end(context, "ladder")
    if end is None:
        return None
    rows = end.filter((pl.col("lang") == ALL_LANGUAGES) & (pl.col("model") == "M5"))
    rows = rows.drop_nulls(["auc", "delta_auc_lo"])
    if not rows.height:
        return None
    row = rows.row(0, named=True)
    case = Case("all languages", row["delta_auc_lo"], row["delta_auc_hi"], 0.0)
    pivot = language_name(context.pivot)
    text = (
        f"Knowing what {pivot} knows changes how well right answers to unseen facts are predicted "
        f"by {row['delta_auc']:+.3f} [{row['delta_auc_lo']:+.3f}, {row['delta_auc_hi']:+.3f}] in "
        f"AUC, to {row['auc']:.3f}."
    ).replace("-", "−")
    detail = (
        f"Claim: exposure in {pivot} and whether it is right add to exposure, language, relation, "
        "shared strings and guess strength. Cross-validated by fact, all languages but "
        f"{pivot} together, {row['n']:,} answers. {tally([case])}"
    )
    return Finding(text, judge([case]), detail)


def lag_finding(context: Context) -> Finding | None:
    """Do languages follow the pivot sooner than exposure alone would have it?"""
    table = context.table("lag_expected")
    if table is None:
        return None
    rows = with_names(table).drop_nulls(["difference", "difference_lo"])
    if not rows.height:
        return None
    # The claim is about the negative difference: sooner than expected.
    cases = [
        Case(r["language"], -r["difference_hi"], -r["difference_lo"], 0.0)
        for r in rows.iter_rows(named=True)
    ]
    sooner = sum(case.side == "for" for case in cases)
    pivot = language_name(context.pivot)
    observed, simulated = rows["observed"].mean(), rows["simulated"].mean()
    text = (
        f"Languages come to know a fact {_steps(observed)} after {pivot} on average, where "
        f"exposure alone would give {_steps(simulated)}; {sooner} of {len(cases)} "
        "follow sooner than that."
    )
    detail = (
        "Claim: in every language the mean lag is smaller than in simulated worlds in which a fact "
        f"is known as soon as exposure makes it likely. {tally(cases)} Only facts that both "
        "acquired count."
    )
    return Finding(text, judge(cases), detail)


def _steps(value: object) -> str:
    return f"{quantity(value if isinstance(value, float) else None)} steps".replace("-", "−")


MAKERS = (transfer_finding, ladder_finding, lag_finding)
