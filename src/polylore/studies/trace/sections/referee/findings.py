"""The referee's verdicts in plain sentences."""

import polars as pl

from polylore.report import Case, Finding, judge, tally
from polylore.report.languages import name as language_name
from polylore.studies.trace.context import Context, percent, with_interval
from polylore.studies.trace.sections.referee.rates import rate_rows
from polylore.studies.trace.sections.referee.rows import (
    BEST,
    FREQUENCY,
    TRANSFER,
    judged,
    pivot_name,
    runs,
)


def referee_findings(context: Context) -> tuple[Finding, ...]:
    """Every finding that the referee's tables support."""
    makers = (_effect, _label, _rate, _cause)
    return tuple(f for make in makers if (f := make(context)) is not None)


def _effect(context: Context) -> Finding | None:
    """Do the pivot's documents cause right answers in other languages?"""
    rows = judged(context, "counterfactual")
    if rows is None:
        return None
    own = rows.filter(
        (pl.col("arm") == "both") & pl.col("method").is_null() & (pl.col("stratum") == "all")
    )
    whole = own.filter(pl.col("lang") == "all").drop_nulls("effect")
    if not whole.height:
        return None
    r, pivot = whole.row(0, named=True), pivot_name(context)
    cases = [
        Case(language_name(x["lang"]), x["effect_lo"], x["effect_hi"], 0.0)
        for x in own.filter(pl.col("lang") != "all").iter_rows(named=True)
    ]
    text = (
        f"Without the {pivot} documents about a fact, its recall in other languages falls by "
        f"{_points(r['effect'], r['effect_lo'], r['effect_hi'])} more than that of facts left "
        "alone"
    )
    if judge(cases) == "confirmed":
        text += f": these answers hung on {pivot}, shown by experiment"
    detail = (
        f"Claim: the effect is above 0 in every language. {tally(cases)} {runs(context)} training "
        f"runs with and without the documents, {r['n_cells']:,} treated cells."
    )
    return Finding(f"{text}.", judge(cases), detail)


def _points(value: float, low: float | None, high: float | None) -> str:
    between = "" if low is None or high is None else f" [{100 * low:.1f}, {100 * high:.1f}]"
    return f"{100 * value:.1f} points{between}".replace("-", "−")


def _label(context: Context) -> Finding | None:
    """Is the label transfer more often true than not?"""
    rows = judged(context, "truth_scores")
    if rows is None:
        return None
    own = rows.filter((pl.col("label") == TRANSFER) & (pl.col("info_level") == BEST))
    mine = own.filter(pl.col("method") == "pathways")
    whole = mine.filter(pl.col("lang") == "all").drop_nulls("precision")
    if not whole.height:
        return None
    r = whole.row(0, named=True)
    text = (
        "Answers labelled as transfer truly came by transfer in "
        f"{with_interval(r['precision'], r['precision_lo'], r['precision_hi'])} of cases, and "
        f"{with_interval(r['recall'], r['recall_lo'], r['recall_hi'])} of true transfers were found"
    )
    paper = own.filter((pl.col("method") == "paper") & (pl.col("lang") == "all"))
    for p in paper.drop_nulls("precision").iter_rows(named=True):
        text += (
            f"; the published frequency threshold, told the same, comes to "
            f"{with_interval(p['precision'], p['precision_lo'], p['precision_hi'])} and "
            f"{with_interval(p['recall'], p['recall_lo'], p['recall_hi'])}"
        )
    cases = [
        Case(language_name(x["lang"]), x["precision_lo"], x["precision_hi"], 0.5)
        for x in mine.filter(~pl.col("lang").is_in(["all", "macro"])).iter_rows(named=True)
    ]
    auc = "" if r["auc"] is None else f" AUC of the evidence among right answers {r['auc']:.2f}"
    detail = (
        "Claim: in every language more than half of the cells labelled transfer-candidate came by "
        f"transfer. {tally(cases)} Truth by design: never told in the language, told in the pivot, "
        f"spelled otherwise; {r['n_truth']:,} cells, {r['n_label']:,} labelled.{auc}."
    )
    return Finding(f"{text}.", judge(cases), detail)


def _rate(context: Context) -> Finding | None:
    """Does the estimated transfer rate agree with the true one?"""
    rows = rate_rows(context)
    if rows is None:
        return None
    single = rows.filter(pl.col("lang") != "all")
    cases = [
        _agreement(f"{x['language']}, run {x['seed']}", x) for x in single.iter_rows(named=True)
    ]
    inside = sum(case.side == "for" for case in cases)
    whole = rows.filter(pl.col("lang") == "all")
    text = (
        f"The transfer rate estimated from answers and counts holds the true one in its interval "
        f"in {inside} of {len(cases)} cases"
    )
    if whole.height:
        text += (
            f" (on average {percent(_mean(whole, 't'))} estimated, "
            f"{percent(_mean(whole, 'true_rate'))} true)"
        )
    detail = (
        "Claim: the 95 % interval of the estimate holds the true rate, in every language and run; "
        "against: their intervals do not even meet. True rate: (right among facts told in the "
        f"pivot alone − right among facts told nowhere)/(1 − the latter). {tally(cases)}"
    )
    return Finding(f"{text}.", judge(cases), detail)


def _mean(frame: pl.DataFrame, column: str) -> float | None:
    value = frame[column].mean()
    return value if isinstance(value, float) else None


def _agreement(name: str, row: dict[str, float | bool | None]) -> Case:
    """For: the truth lies in the estimate's interval. Against: the two intervals lie apart."""
    if row["covered"]:
        return Case(name, 1.0, 1.0, 0.0)
    ends = [row[c] for c in ("t_lo", "t_hi", "true_rate_lo", "true_rate_hi")]
    if any(end is None for end in ends):
        return Case(name, None, None, 0.0)
    low, high, true_low, true_high = (float(end or 0) for end in ends)
    apart = high < true_low or true_high < low
    return Case(name, -1.0, -1.0, 0.0) if apart else Case(name, None, None, 0.0)


def _cause(context: Context) -> Finding | None:
    """Do labels follow causes: does transfer hang on the pivot, and frequency not?"""
    rows = judged(context, "counterfactual")
    if rows is None:
        return None
    own = rows.filter(
        (pl.col("arm") == "both") & (pl.col("method") == "pathways") & (pl.col("lang") == "all")
    ).filter(pl.col("info_level") == BEST)
    found = {x["label"]: x for x in own.iter_rows(named=True)}
    both = [found.get(label) for label in (TRANSFER, FREQUENCY)]
    moved, known = both
    if moved is None or known is None:
        return None
    if moved["causal_precision"] is None or known["causal_precision"] is None:
        return None
    shown = [
        with_interval(x["causal_precision"], x["causal_precision_lo"], x["causal_precision_hi"])
        for x in (moved, known)
    ]
    pivot = pivot_name(context)
    text = (
        f"Of the answers labelled as transfer, at least {shown[0]} were right because of the "
        f"{pivot} documents; of those labelled as known by frequency, {shown[1]}."
    )
    case = Case(
        "all languages",
        moved["causal_precision_lo"],
        moved["causal_precision_hi"],
        known["causal_precision_hi"] if known["causal_precision_hi"] is not None else 1.0,
    )
    detail = (
        "Claim: the label transfer hangs on the pivot more than the label known-by-frequency; "
        "confirmed if its whole interval lies above the other's. Causal precision is the share of "
        "a label's cells that are lost without the documents, beyond chance losses. It is a lower "
        "bound: a fact may come from a third language, and chance may restore an answer."
    )
    return Finding(text, judge([case]), detail)
