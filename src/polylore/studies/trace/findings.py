"""The summary: plain sentences computed from the tables, each judged by `report.verdicts`."""

from collections.abc import Callable

import polars as pl

from polylore.report import Case, Finding, judge, tally
from polylore.report.languages import ALL as ALL_LANGUAGES
from polylore.report.languages import name as language_name
from polylore.studies.patch.findings import headline_findings
from polylore.studies.trace.concepts import opened
from polylore.studies.trace.context import (
    UNREAD,
    Context,
    percent,
    quantity,
    with_interval,
    with_names,
)
from polylore.studies.trace.pathway_findings import MAKERS
from polylore.studies.trace.sections.consistency import against_pivot, named
from polylore.studies.trace.sections.overview import headline_rows
from polylore.studies.trace.sections.referee import referee_findings
from polylore.studies.trace.similarity_findings import similarity_finding


def findings(context: Context) -> tuple[Finding, ...]:
    """Every finding that the run's tables support, most important first."""
    makers: tuple[Callable[[Context], Finding | None], ...] = (
        recall_finding,
        baseline_finding,
        exposure_finding,
        unread_finding,
        *MAKERS,
        consistency_finding,
        acquisition_finding,
        similarity_finding,
        matcher_finding,
    )
    made = tuple(f for make in makers if (f := make(context)) is not None)
    patched = opened(context)
    concepts = () if patched is None else headline_findings(patched)
    return made + referee_findings(context) + concepts


def _end(context: Context, name: str) -> pl.DataFrame | None:
    table = context.table(name)
    if table is None or context.final is None:
        return None
    rows = context.at_end(table)
    return rows if rows.height else None


def _count(n: int, word: str) -> str:
    return f"{n} {word}{'' if n == 1 else 's'}"


def recall_finding(context: Context) -> Finding | None:
    """How much is recalled at the end, from the best language to the worst."""
    end = _end(context, "recall")
    if end is None:
        return None
    rows = headline_rows(context, end).filter(pl.col("stratum") == context.strata[0])
    rows = rows.drop_nulls("acc").sort("acc", descending=True)
    if not rows.height:
        return None
    best, worst = rows.row(0, named=True), rows.row(-1, named=True)
    which = "facts it read there" if context.strata[0] == "taught" else "facts"
    number = with_interval(best["acc"], best["lo"], best["hi"])
    text = f"At the end ({context.final_words}) the model recalls {number} of the {which} in "
    text += best["language"]
    if rows.height > 1:
        text += f", its best language, and {with_interval(worst['acc'], worst['lo'], worst['hi'])}"
        text += f" in {worst['language']}, its weakest of {rows.height}"
    detail = (
        f"Recall by matcher {context.matcher}, {best['n']:,} facts in {best['language']}"
        + (f", {worst['n']:,} in {worst['language']}" if rows.height > 1 else "")
        + "; 95 % intervals in brackets. Best and weakest were picked after looking, so their "
        "distance is somewhat too large."
    )
    return Finding(f"{text}.", None, detail)


def baseline_finding(context: Context) -> Finding | None:
    """Is recall above every knowledge-free baseline?"""
    end = _end(context, "recall")
    if end is None:
        return None
    rows = headline_rows(context, end).filter(pl.col("stratum") == context.strata[0])
    rows = rows.drop_nulls(["acc", "acc_guess_corrected"])
    if not rows.height:
        return None
    cases = _corrected(rows)
    supported = sum(case.side == "for" for case in cases)
    text = (
        f"Recall is above the best knowledge-free baseline in {supported} of "
        f"{_count(len(cases), 'language')}."
    )
    detail = (
        f"Claim: guess-corrected recall is above 0 in every language. {tally(cases)} "
        "The interval contains the uncertainty of the baseline."
    )
    return Finding(text, judge(cases), detail)


def _corrected(rows: pl.DataFrame) -> list[Case]:
    return [
        Case(r["language"], r["gc_lo"], r["gc_hi"], 0.0) for r in rows.iter_rows(named=True)
    ]  # fmt: skip


def exposure_finding(context: Context) -> Finding | None:
    """Does recall rise with exposure?"""
    end = _end(context, "freq_corr")
    if end is None:
        return None
    rows = with_names(context.headline(end).filter(pl.col("subset") == "all")).drop_nulls("auc")
    pooled = rows.filter(pl.col("lang") == ALL_LANGUAGES)
    rows = rows.filter(pl.col("lang") != ALL_LANGUAGES)
    if not rows.height:
        return None
    cases = [
        Case(r["language"], r["auc_lo"], r["auc_hi"], 0.5) for r in rows.iter_rows(named=True)
    ]  # fmt: skip
    supported = sum(case.side == "for" for case in cases)
    low, high = rows["auc"].min(), rows["auc"].max()
    spread = f"AUC {low:.2f}" if len(cases) == 1 else f"AUC {low:.2f} to {high:.2f}"
    text = (
        f"Facts that were read more often are recalled more often in {supported} of "
        f"{_count(len(cases), 'language')} ({spread}; 0.5 would mean no relation)."
    )
    detail = (
        "Claim: in every language the AUC of exposure for right against wrong facts is above 0.5. "
        f"{tally(cases)} Exposure: {context.exposure_kind}; all facts, never-read ones included."
    )
    for r in pooled.drop_nulls(["auc_lo", "auc_hi"]).iter_rows(named=True):
        detail += f" All languages pooled: {r['auc']:.2f} [{r['auc_lo']:.2f}, {r['auc_hi']:.2f}]."
    return Finding(text, judge(cases), detail)


def unread_finding(context: Context) -> Finding | None:
    """Are facts never read in a language recalled there above their baseline?"""
    end = _end(context, "recall")
    if end is None or "held_out" not in context.strata:
        return None
    rows = headline_rows(context, end).filter(
        (pl.col("stratum") == "held_out") & (pl.col("lang") != context.pivot)
    )
    rows = rows.drop_nulls(["acc", "acc_guess_corrected"])
    if not rows.height:
        return None
    cases = _corrected(rows)
    supported = sum(case.side == "for" for case in cases)
    acc, floor = rows["acc"].mean(), rows["baseline"].mean()
    text = (
        f"Facts never read in a language are recalled there in {_share(acc)} of cases on average, "
        f"against {_share(floor)} by guessing; this is above the baseline in {supported} of "
        f"{_count(len(cases), 'language')}."
    )
    most = rows.sort("acc_guess_corrected", descending=True).row(0, named=True)
    detail = (
        f"Claim: guess-corrected recall of facts {UNREAD} is above 0 in every language but the "
        f"pivot. {tally(cases)} Highest: {most['language']}, "
        f"{with_interval(most['acc'], most['lo'], most['hi'])} "
        f"against {percent(most['baseline'])}. "
        "Above the baseline means that something other than reading in that language led there; "
        "it does not yet say from which language it came, and identical spelling is one way."
    )
    return Finding(text, judge(cases), detail)


def _share(value: object) -> str:
    return percent(value if isinstance(value, float) else None)


def consistency_finding(context: Context) -> Finding | None:
    """Do languages share facts with the pivot beyond independence?"""
    end = _end(context, "consistency")
    if end is None:
        return None
    rows = named(context.headline(end).filter(pl.col("relation") == "all"))
    rows = against_pivot(context, rows.filter(pl.col("lang_a") != pl.col("lang_b")))
    rows = rows.drop_nulls("j_norm")
    if not rows.height:
        return None
    cases = [
        Case(r["language"], r["j_norm_lo"], r["j_norm_hi"], 0.0) for r in rows.iter_rows(named=True)
    ]
    supported = sum(case.side == "for" for case in cases)
    pivot = language_name(context.pivot)
    text = (
        f"What a language knows overlaps with what {pivot} knows beyond chance in {supported} of "
        f"{_count(len(cases), 'language')} (mean Jaccard {rows['jaccard'].mean():.2f}, "
        f"independence {rows['j0'].mean():.2f}, at most {rows['jmax'].mean():.2f})."
    )
    detail = (
        "Claim: the normalised overlap (Jaccard − independence)/(maximum − independence) is above "
        f"0 in every language. {tally(cases)} Facts that are easy or often read in all languages "
        "make an overlap without any exchange between languages."
    )
    return Finding(text, judge(cases), detail)


def acquisition_finding(context: Context) -> Finding | None:
    """Which language learns earliest, which latest?"""
    table = context.table("survival")
    if table is None:
        return None
    rows = context.headline(table).sort("step")
    halves = {
        lang: _half(group)
        for (lang,), group in rows.group_by("lang", maintain_order=True)
    }  # fmt: skip
    reached = {lang: half for lang, half in halves.items() if half[0] is not None}
    never = len(halves) - len(reached)
    if len(reached) < 2:
        return None
    order = sorted(reached, key=lambda lang: (reached[lang][0] or 0, lang))
    first, last = order[0], order[-1]
    unit = context.axis_column
    early, late = reached[first], reached[last]
    apart = early[2] is not None and late[1] is not None and early[2] < late[1]
    text = f"Half of all facts are acquired by {quantity(early[0])} {_unit(unit)} in "
    if early[0] == late[0]:
        text += f"{', '.join(sorted(language_name(lang) for lang in reached))} alike"
    else:
        text += (
            f"{language_name(first)}, the earliest language, and by {quantity(late[0])} in "
            f"{language_name(last)}, the latest of {len(reached)}"
        )
    text += f"; {_count(never, 'language')} never came that far." if never else "."
    detail = (
        "Claim: the earliest language is earlier than the latest; confirmed only if the intervals "
        "of their medians do not overlap. Medians with intervals where the 95 % band of the "
        f"Kaplan–Meier curve crosses one half: {language_name(first)} {_span(early)}, "
        f"{language_name(last)} {_span(late)} {_unit(unit)}. The two were picked after looking."
    )
    return Finding(text, "confirmed" if apart else "undecided", detail)


Half = tuple[float | None, float | None, float | None]


def _half(group: pl.DataFrame) -> Half:
    """First place where a curve, its upper and its lower band reach one half."""
    column = "tokens" if group["tokens"].null_count() == 0 else "step"
    found: list[float | None] = []
    for name in ("share_acquired", "hi", "lo"):
        places = group.filter(pl.col(name) >= 0.5)[column]
        found.append(float(places[0]) if len(places) else None)
    return found[0], found[1], found[2]


def _span(half: Half) -> str:
    end = "later than the last checkpoint" if half[2] is None else quantity(half[2])
    return f"{quantity(half[0])} [{quantity(half[1])}, {end}]"


def _unit(column: str) -> str:
    return "tokens" if column == "tokens" else "steps"


def matcher_finding(context: Context) -> Finding | None:
    """How much does the published matcher add?"""
    end = _end(context, "recall")
    if end is None:
        return None
    rows = end.filter((pl.col("relation") == "all") & (pl.col("stratum") == "all"))
    wide = rows.filter(pl.col("matcher") == "paper").join(
        rows.filter(pl.col("matcher") == "default").select("lang", strict="acc"), on="lang"
    )
    wide = with_names(wide.drop_nulls(["acc", "strict"])).with_columns(
        credit=pl.col("acc") - pl.col("strict")
    )
    if not wide.height:
        return None
    most = wide.sort("credit", descending=True).row(0, named=True)
    mean = wide["credit"].mean()
    text = (
        "The published matcher changes recall by "
        f"{100 * (mean if isinstance(mean, float) else 0):+.1f} points on average against the "
        f"bounded one, at most by {100 * most['credit']:+.1f} ({most['language']})."
    ).replace("-", "−")
    detail = (
        "Prefix credit: accuracy under the published matcher minus accuracy under the default one, "
        "same answers, at the last checkpoint. It is credit for beginnings of words, not knowledge."
    )
    return Finding(text, None, detail)
