"""What a sweep says, in sentences with verdicts: only claims that its own arms can test."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from polylore.metrics.unification import effects
from polylore.report import Finding
from polylore.report.verdicts import Case, judge, tally
from polylore.studies.unify.context import UnifyContext
from polylore.studies.unify.knobs import KNOBS, named, twins
from polylore.studies.unify.sections.causal import edit_transfer
from polylore.studies.unify.sections.link import headline_rows

BAR = 0.05
"""Difference in acc_X that counts: a claim of more must exceed it, a claim of none stay below."""
CARRIES, STAYS = 0.5, 0.2
"""Edits carry over if more than this do, and do not if fewer than that do (section 9.7)."""
Pick = Callable[[pl.DataFrame], Iterator[tuple[str, str]]]


@dataclass(frozen=True)
class Claim:
    """A sentence about what one change does to acc_X."""

    text: str
    knobs: tuple[str, ...]
    """Knobs that the two conditions of a case may differ in."""
    pick: Pick
    """(arm, baseline) conditions of a group that differs in these knobs alone."""
    sign: int = 1
    """1: acc_X rises by more than BAR; -1: it falls; 0: it changes by less."""


def findings(context: UnifyContext) -> tuple[Finding, ...]:
    """One finding per claim that the sweep can judge, then what it measured."""
    found: list[Finding] = []
    if context.trusted.height:
        outcomes = context.trusted.select(
            "condition", "seed", outcome=pl.lit("acc_x"), value="acc_x"
        )
        own = context.conditions.filter(
            pl.col("condition").is_in(context.trusted["condition"].unique().implode())
        )
        for claim in _claims(own):
            found += _judged(context, claim, own, outcomes)
        found += [f for f in (_correlated(context), _edited(context)) if f is not None]
    found += [f for f in (_dip(context), _order(context), *_declared(context)) if f is not None]
    return tuple(found)


def _claims(own: pl.DataFrame) -> list[Claim]:
    claims = []
    for tokens in own["preset"].unique(maintain_order=True).to_list():
        words = str(tokens).replace("_", " ")
        claims.append(
            Claim(f"With tokens {words}, parallel data bring transfer.", ("p",), _parallel(tokens))
        )
    return [
        *claims,
        Claim("Tying values to a language lowers transfer where a tag names it.", ("lam",), _skew,
              -1),
        Claim("Hiding the language restores transfer that the skew took away.", ("cue",), _hidden),
        Claim("Volume alone does nothing: repeating facts in one language brings no transfer.",
              ("exposure", "delta", "steps"), _volume, 0),
        Claim("An alphabet that can be transliterated brings transfer, a scrambled one does not.",
              ("name_map", "preset", "share_names"), _alphabet),
        Claim("Shared sub-words bring transfer once all of them are shared.", ("share_names",),
              _subwords),
    ]  # fmt: skip


def _parallel(tokens: str | None) -> Pick:
    """Most parallel data against none, where there is something to gain."""

    def pick(group: pl.DataFrame) -> Iterator[tuple[str, str]]:
        own = group.filter(pl.col("preset").eq_missing(pl.lit(tokens)) & (pl.col("p") < 1)).sort(
            "p"
        )
        if own.height > 1 and own["p"][0] == 0 and own["label"][0] != "unified":
            yield own["condition"][-1], own["condition"][0]

    return pick


def _skew(group: pl.DataFrame) -> Iterator[tuple[str, str]]:
    """Most skew against none, without parallel data."""
    own = group.filter((pl.col("cue_kind") == "tag") & (pl.col("p") == 0)).sort("lam")
    if own.height > 1 and own["lam"][0] == 0:
        yield own["condition"][-1], own["condition"][0]


def _hidden(group: pl.DataFrame) -> Iterator[tuple[str, str]]:
    """Every other cue against the plain tag, under full skew and without parallel data."""
    own = group.filter((pl.col("lam") == 1) & (pl.col("p") == 0))
    tag = own.filter(cue_kind="tag")["condition"].to_list()
    for condition in own.filter(pl.col("cue_kind").is_in(["drop", "syn", "xor"]))["condition"]:
        if tag:
            yield condition, tag[0]


def _volume(group: pl.DataFrame) -> Iterator[tuple[str, str]]:
    own = group.filter(pl.col("p") == 0)
    base = own.filter(exposure="steps").sort("steps")["condition"].to_list()
    for condition in own.filter(exposure="dup")["condition"]:
        if base:
            yield condition, base[0]


def _alphabet(group: pl.DataFrame) -> Iterator[tuple[str, str]]:
    by = dict(group.filter(share_names=0).select("preset", "condition").iter_rows())
    if {"transliterated", "scrambled"} <= set(by):
        yield by["transliterated"], by["scrambled"]


def _subwords(group: pl.DataFrame) -> Iterator[tuple[str, str]]:
    own = group.filter(pl.col("name_len") > 1).sort("share_names")
    if own.height > 1 and own["share_names"][0] == 0 and own["share_names"][-1] == 1:
        yield own["condition"][-1], own["condition"][0]


def _judged(
    context: UnifyContext, claim: Claim, own: pl.DataFrame, outcomes: pl.DataFrame
) -> Iterator[Finding]:
    pairs = [pair for group in twins(own, claim.knobs) for pair in claim.pick(group)]
    if not pairs:
        return
    schema = {"arm": pl.String, "baseline": pl.String}
    frame = pl.DataFrame(pairs, schema=schema, orient="row").with_columns(family=pl.lit("all"))
    rows = effects(outcomes, frame.select("family", "arm", "baseline"))
    cases = [_case(claim.sign, _name(context, own, row), row) for row in rows.iter_rows(named=True)]
    parts = [_numbers(_name(context, own, row), row) for row in rows.iter_rows(named=True)]
    rule = {1: f"rises by more than {BAR:.0%}", -1: f"falls by more than {BAR:.0%}",
            0: f"changes by less than {BAR:.0%}"}[claim.sign]  # fmt: skip
    detail = (
        f"Case by case: acc_X {rule}, by the 95 % interval over seeds. {tally(cases)} "
        + "; ".join(parts[:12])
        + ("; …" if len(parts) > 12 else "")
        + "."
    )
    yield Finding(claim.text, judge(cases), detail)


def _case(sign: int, name: str, row: dict[str, Any]) -> Case:
    lo, hi = row["lo"], row["hi"]
    if lo is None or hi is None:
        return Case(name, None, None, BAR)
    if sign == 0:
        largest = max(abs(lo), abs(hi))
        nearest = 0.0 if lo <= 0 <= hi else min(abs(lo), abs(hi))
        return Case(name, -largest, -nearest, -BAR)
    return Case(name, lo, hi, BAR) if sign > 0 else Case(name, -hi, -lo, BAR)


def _name(context: UnifyContext, own: pl.DataFrame, row: dict[str, Any]) -> str:
    """An arm by the knobs that the sweep varies, against what differs in its baseline."""
    arm, base = (own.filter(condition=row[k]) for k in ("arm", "baseline"))
    differs = [k for k in KNOBS if arm[k].to_list() != base[k].to_list()]
    shown = [k for k in context.varied if k not in differs]
    here, there = named(arm, differs)[0], named(base, differs)[0]
    where = named(arm, shown)[0]
    return f"{here} against {there}" + (f" ({where})" if where else "")


def _numbers(name: str, row: dict[str, Any]) -> str:
    if row["effect"] is None:
        return f"{name}: {row['reason']}"
    held = "" if row["lo"] is None else f" [{row['lo']:+.2f}, {row['hi']:+.2f}]"
    words = (
        f"{name}: {row['value_baseline']:.2f} to {row['value_arm']:.2f}, {row['effect']:+.2f}{held}"
    )
    return words.replace("-", "−") if row["effect"] < 0 or held else words


def _correlated(context: UnifyContext) -> Finding | None:
    rows = headline_rows(context)
    if not rows.height:
        return None
    families = rows.filter(reading="family")
    several = families.filter(pl.col("n_conditions") >= 3)
    used = pl.concat(
        [rows.filter(reading="pooled"), several if families.height > 1 else several[:0]]
    )
    used = used.filter(pl.col("n_conditions") >= 3)
    if not used.height:
        return None
    cases = [
        Case("all families" if r["reading"] == "pooled" else r["family"], r["lo"], r["hi"], 0.0)
        for r in used.iter_rows(named=True)
    ]
    said = [
        f"{case.name}: " + (f"{r['spearman']:.2f} [{_two(r['lo'])}, {_two(r['hi'])}], {r['n']} runs"
                            if r["spearman"] is not None else str(r["reason"]))
        for case, r in zip(cases, used.iter_rows(named=True), strict=True)
    ]  # fmt: skip
    return Finding(
        "Runs whose representations are more alike transfer more.",
        judge(cases),
        "Spearman of U_norm (answer position, last hidden state, fixed beforehand) and acc_X over "
        f"runs above 0, pooled and within families of three or more conditions. {tally(cases)} "
        f"{'; '.join(said)}. Alignment is not transfer: see the causal checks.",
    )


def _two(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _edited(context: UnifyContext) -> Finding | None:
    edits = edit_transfer(context)
    if not edits.height:
        return None
    trusted = context.trusted["condition"].unique().implode()
    rows = edits.join(context.conditions.select("condition", "label"), on="condition").filter(
        pl.col("condition").is_in(trusted) & pl.col("label").is_in(["unified", "separated"])
    )
    if rows["label"].n_unique() < 2:
        return None
    # A single run's interval is over its facts and says nothing about other seeds.
    several = pl.col("seeds") > 1
    rows = rows.with_columns(pl.when(several).then(name).alias(name) for name in ("lo", "hi"))
    cases = [
        Case(r["condition"], r["lo"], r["hi"], CARRIES)
        if r["label"] == "unified"
        else Case(r["condition"], None if r["hi"] is None else -r["hi"],
                  None if r["lo"] is None else -r["lo"], -STAYS)
        for r in rows.iter_rows(named=True)
    ]  # fmt: skip
    said = [f"{r['condition']} ({r['label']}): {r['et']:.2f}" for r in rows.iter_rows(named=True)]
    return Finding(
        "A value taught in one language carries over where the two are unified, and only there.",
        judge(cases),
        f"Share of edits that carry over above {CARRIES:g} in unified conditions and below "
        f"{STAYS:g} in separated ones. {tally(cases)} {'; '.join(said[:12])}.",
    )


def _dip(context: UnifyContext) -> Finding | None:
    """Languages part before facts are learned: how deep, and what comes of it."""
    phases = context.table("unify_phases")
    if phases is None:
        return None
    who = context.runs.filter("used").select("run_hash", "condition")
    rows = phases.filter(mark="dip").drop_nulls("depth").join(who, on="run_hash")
    if not rows.height or context.subject()["step"].n_unique() < 4:
        return None
    means = rows.group_by("condition", maintain_order=True).agg(pl.col("at", "depth").mean())
    acc = dict(context.conditions.select("condition", "acc_x").iter_rows())
    said = [
        f"{r['condition']}: {r['depth']:.2f} down by step {r['at']:.0f}"
        + (
            ""
            if acc.get(r["condition"]) is None
            else f", acc_X {acc[r['condition']]:.0%} at the end"
        )
        for r in means.iter_rows(named=True)
    ]
    fell = int((rows["depth"] > 0).sum())
    return Finding(
        f"Before facts are recalled, names move apart by language first in {fell} of "
        f"{rows.height} runs.",
        None,
        "Dip of U_diff (last name token, last hidden state) below its earlier maximum, before half "
        f"of the training cells are recalled; means over seeds. {'; '.join(said[:12])}.",
    )


def _order(context: UnifyContext) -> Finding | None:
    lags = context.lags
    if lags is None:
        return None
    rows = lags.filter(first="t_know", second="t_transfer").drop_nulls("lag")
    if not rows.height:
        return None
    said = [
        f"{r['condition']}: {r['lag']:+.0f} steps"
        + ("" if r["lo"] is None else f" [{r['lo']:+.0f}, {r['hi']:+.0f}]")
        + f", {r['n_seeds']} of {r['n_seeds'] + r['n_censored']} seeds"
        for r in rows.iter_rows(named=True)
    ]
    later = int((rows["lag"] > 0).sum())
    return Finding(
        f"Transfer reaches one half later than recall does in {later} of {rows.height} conditions "
        "that reach both.",
        None,
        f"Mean lag over seeds. {'; '.join(said[:12])}.",
    )


def _declared(context: UnifyContext) -> Sequence[Finding]:
    """Changes against declared baselines for which no direction is claimed."""
    effects_ = context.table("unify_effects")
    if effects_ is None:
        return ()
    rows = effects_.filter(outcome="acc_x").drop_nulls("effect")
    if not rows.height:
        return ()
    said = [
        _numbers(f"{r['arm']} against {r['baseline']}{_unfit(r)}", r)
        for r in rows.iter_rows(named=True)
    ]
    best = rows.sort(pl.col("effect").abs(), descending=True).row(0, named=True)
    word = "raises" if best["effect"] > 0 else "lowers"
    return (
        Finding(
            f"The change that does most: “{best['arm']}” {word} acc_X from "
            f"{best['value_baseline']:.0%} to {best['value_arm']:.0%} against "
            f"“{best['baseline']}”.",
            None,
            f"Of {rows.height} declared changes, paired over seeds: {'; '.join(said[:12])}.",
        ),
    )


def _unfit(row: dict[str, Any]) -> str:
    if not row["n_unfit"]:
        return ""
    return f" ({row['n_unfit']} of {row['n_seeds']} seeds did not learn what they were told)"
