"""The report of `unify link`, put together from the table LINK."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from polylore.metrics.unification import EACH, KNOWN
from polylore.report import (
    Block,
    Case,
    Definitions,
    Finding,
    Page,
    Prose,
    Report,
    TableView,
    judge,
    tally,
)
from polylore.report.languages import ALL
from polylore.studies.unify.linking.context import ONE_MODEL, LinkContext, with_directions
from polylore.studies.unify.linking.figures import against_accuracy, controls, forest, layer_map

_ITEM = "Facts whose states are closer in two languages are more often right in the second."
_GIVEN = "They are so beyond what accuracy, frequency, script, spelling and length say of the fact."
_PAIR = "Pairs of languages that are more unified carry more facts over."
_ALIKE = (
    "At {:,} of {:,} places of a direction raw U is below −1. There all questions of a relation "
    "end nearly alike in one language, so U divides by nearly nothing, and so does that of a fresh "
    "copy: neither it nor its corrected form can be compared. Scores with each language's mean "
    "subtracted, and states at the end of the subject, suffer less."
)


def build_report(
    table: pl.DataFrame,
    checkpoints: pl.DataFrame,
    *,
    about: Mapping[str, Any],
    states: Mapping[str, Any],
    failed: Mapping[str, str],
    provenance: Mapping[str, str],
) -> Report:
    """The report of a scored run.

    Args:
        table: table LINK.
        checkpoints: table CHECKPOINTS.
        about: the part `analysis` of the manifest.
        states: settings of the states.
        failed: checkpoints that could not be read, and why.
        provenance: where the numbers come from.
    """
    context = LinkContext(table, checkpoints, about, states, failed)
    title = str(checkpoints["model"][0])
    return Report(
        title=f"Shared representations and shared knowledge in {title}",
        subtitle="Does a model that represents a fact alike in two languages also know it in both?",
        glance=_glance(context),
        findings=_findings(context),
        pages=(_scores(context), _answers(context), _nulls(context), _method(context)),
        provenance=dict(provenance),
    )


def _glance(context: LinkContext) -> tuple[tuple[str, str], ...]:
    rows = context.items()
    languages = {*rows["lang_a"], *rows["lang_b"]}
    return (
        (str(len(languages)), "languages"),
        (f"{rows['n'].max() or 0:,}", "facts in a pair at most"),
        (str(context.course.height), "checkpoints"),
        (f"{rows['n_known'].max() or 0:,}", "known facts in a direction at most"),
    )


def _findings(context: LinkContext) -> tuple[Finding, ...]:
    rows = context.reported().filter(pl.col("control") == "none", pl.col("lang_a") != ALL)
    found = [
        _claim(_ITEM, rows.drop_nulls("auc"), ("lo", "hi"), 0.5, "AUC above 0.5", context),
        _claim(_GIVEN, rows.drop_nulls("coef"), ("coef_lo", "coef_hi"), 0.0,
               "coefficient above 0", context),
        _pairs(context),
        _exchanged(context),
    ]  # fmt: skip
    if context.failed:
        name, why = next(iter(context.failed.items()))
        found.append(Finding(f"{len(context.failed)} checkpoints could not be read and are not in "
                             "these numbers.", None, f"{name}: {why}"))  # fmt: skip
    found += [_judged(context, *one) for one in context.about["agreement"].items()]
    return tuple(one for one in found if one is not None)


def _claim(
    text: str,
    rows: pl.DataFrame,
    ends: tuple[str, str],
    bar: float,
    rule: str,
    context: LinkContext,
) -> Finding:
    cases = [Case(r["direction"], r[ends[0]], r[ends[1]], bar) for r in rows.iter_rows(named=True)]
    if not cases:
        return Finding(text, "undecided", f"No direction can be judged: {_why_not(context)}")
    detail = (
        f"{rule} with its whole interval, by direction; last checkpoint; place: "
        f"{context.place_words}. "
        f"{tally(cases)} {ONE_MODEL}"
    )
    return Finding(text, judge(cases), detail)


def _why_not(context: LinkContext) -> str:
    """What the directions of the last checkpoint lack, in numbers."""
    rows = context.items().filter(ckpt_id=context.final)
    most = rows["n_known"].max() or 0
    return (
        f"{KNOWN} facts known in the first language and {EACH} of each outcome are needed in each "
        f"half of the facts; at the last checkpoint the largest direction has {most} known facts "
        "in both halves together."
    )


def _pairs(context: LinkContext) -> Finding:
    layer, position, _ = context.place
    name = "u_corrected" if context.items()["u_corrected"].drop_nulls().len() else "u_raw"
    rows = context.main.filter(
        level="pair", score=name, layer=layer, position=position, ckpt_id=context.final
    )
    if not rows.height:
        return Finding(_PAIR, "undecided", "No pair of languages has a score there.")
    row = rows.row(0, named=True)
    if row["spearman"] is None:
        return Finding(_PAIR, "undecided", f"Not computed: {row['reason']}.")
    case = Case("all pairs", row["lo"], row["hi"], 0.0)
    ends = "" if row["lo"] is None else f" [{row['lo']:.2f}, {row['hi']:.2f}]"
    detail = (
        f"Spearman of U with P(right in b | right in a) over {row['n']} pairs of languages at the "
        f"last checkpoint: {row['spearman']:.2f}{ends}; place: {context.place_words}. {ONE_MODEL}"
    )
    return Finding(_PAIR, judge([case]), detail)


def _exchanged(context: LinkContext) -> Finding | None:
    rows = context.items(selected_on="other_half").filter(
        pl.col("control") == "permuted_accuracy"
    ).drop_nulls("lo")  # fmt: skip
    if not rows.height:
        return None
    off = rows.filter((pl.col("lo") > 0.5) | (pl.col("hi") < 0.5))
    return Finding(
        f"With exchanged outcomes the AUC of {rows.height - off.height} of {rows.height} "
        "directions is 0.5 within its interval, as it must be.",
        None,
        "Outcomes are exchanged among known facts of a relation; where relations differ both in "
        "score and in accuracy, the interval may leave 0.5, and so much of an AUC is theirs.",
    )


def _judged(context: LinkContext, name: str, found: Mapping[str, Any]) -> Finding:
    value = "undefined" if found["kappa"] is None else f"{found['kappa']:.2f}"
    other = {"hand": "people", "matcher": "the matcher"}[name]
    return Finding(
        f"The judge {context.about['matcher']} agrees with {other}: Cohen's κ = {value}.",
        None,
        f"{found['n']} answers, the same verdict in {100 * found['agreement']:.1f} % of them, "
        f"{100 * found['chance']:.1f} % by chance.",
    )


def _scores(context: LinkContext) -> Page:
    positions = context.main["position"].unique(maintain_order=True).sort().to_list()
    maps = [layer_map(context, position) for position in positions]
    blocks: list[Block] = [chart for chart in maps if chart is not None]
    alike = context.items().filter(pl.col("u_raw") < -1)["layer"].len()
    if alike:
        blocks.insert(0, Prose((_ALIKE.format(alike, context.items().height),), "caution"))
    if not blocks:
        blocks = [Prose(("No facts differ between the languages, so there is no score.",))]
    lead = "Where in the model, and since when, are translations of a fact closer than other facts?"
    return Page("scores", "Unification", lead, tuple(blocks))


def _answers(context: LinkContext) -> Page:
    blocks: list[Block] = [Prose((ONE_MODEL,), "caution")]
    charts = (against_accuracy(context), controls(context), forest(context))
    blocks += [chart for chart in charts if chart is not None]
    blocks += [_reported_table(context), _levels_table(context)]
    lead = "Do closer states go with right answers: for single facts, for pairs, over training?"
    return Page("accuracy", "Accuracy", lead, tuple(blocks))


def _reported_table(context: LinkContext) -> TableView:
    kept = (pl.col("selected_on") == "other_half") & pl.col("reason").is_null()
    frame = with_directions(context.labelled(context.table.filter(kept)))
    return TableView(
        "link-items",
        "Single facts at the chosen place",
        "All checkpoints, controls, strata and ways of centring, on the half of the facts that did "
        "not choose the place; directions with too few facts are on the next page. "
        "The overlaps “neighbours” and “units”, where they were asked for, are confounded by "
        "how frequent words are in either language.",
        frame,
        {"label": context.axis_title.capitalize(), "direction": "Direction", "score": "Score",
         "stratum": "Stratum", "control": "Control", "layer": "Hidden state",
         "position": "Position", "n_known": "Known", "acc_known": "Right, of known",
         "auc": "AUC", "lo": "from", "hi": "to", "coef": "Coefficient",
         "delta_auc": "Gain in AUC"},
        {"acc_known": "share"},
    )  # fmt: skip


def _levels_table(context: LinkContext) -> TableView:
    layer, position, _ = context.place
    here = context.main.filter(
        pl.col("level") != "item", pl.col("layer") == layer, pl.col("position") == position
    )
    labels = dict(context.course.select("ckpt_id", "label").iter_rows())
    frame = with_directions(here).with_columns(
        label=pl.col("ckpt_id").replace(labels), what=pl.col("level")
    )
    return TableView(
        "link-levels",
        "Pairs of languages, and the course of training",
        "Pair: rank correlation over directions of U with accuracy among known facts. Time: of the "
        "changes between checkpoints (differences), and of U with the next change of accuracy "
        f"given accuracy (lead). Place: {context.place_words}.",
        frame,
        {"what": "Level", "label": context.axis_title.capitalize(), "direction": "Direction",
         "score": "Score", "n": "n", "spearman": "Spearman", "lo": "from", "hi": "to",
         "reason": "Why not"},
    )  # fmt: skip


def _nulls(context: LinkContext) -> Page:
    """What could not be computed, and why: as good an answer as any."""
    rows = context.table.filter(pl.col("reason").is_not_null())
    frame = (
        rows.group_by("level", "selected_on", "control", "score", "reason")
        .agg(rows=pl.len(), n_known=pl.col("n_known").max())
        .sort("level", "selected_on", "control", "score", "reason")
    )
    total = context.table.height
    view = TableView(
        "link-nulls",
        "Numbers that are missing",
        f"Of {total:,} rows {rows.height:,} have no statistic. Known: most facts known in the "
        "first language among these rows.",
        frame,
        {"level": "Level", "selected_on": "Facts", "control": "Control", "score": "Score",
         "reason": "Why not", "rows": "Rows", "n_known": "Known, at most"},
    )  # fmt: skip
    lead = "What these answers are too few for."
    return Page("nulls", "What cannot be said", lead, (view,))


def _method(context: LinkContext) -> Page:
    states = context.states
    items = (
        ("States", "Questions without demonstrations and without answers, template "
         f"{states['variant']}, {'with' if states['bos'] else 'without'} begin-of-text token. "
         "Answers may have been asked for with demonstrations."),
        ("U", "(par − within)/(1 − within): par is the mean cosine of a fact's two states, within "
         "that of different facts of the same relation with other objects in one language."),
        ("Corrected U", "U minus that of a freshly initialised copy (shared tokens) and minus that "
         "of pairs shuffled within their relation."),
        ("Score of a fact", "par of the fact minus its mean cosine with other facts of its "
         "relation in the other language."),
        ("Direction a → b", "Facts that are right in a, asked in b."),
        ("Chosen place", "The hidden state and position with the largest mean AUC on half of the "
         "facts; everything with an interval is of the other half."),
        ("Adjusted fit", "Logistic, on source accuracy of the relation, log10(1 + exposure) where "
         "known, equality of scripts, similarity of the subject's spelling, tokens per word and "
         "prompt length; columns that are constant or unknown are left out, and named."),
        ("Identical facts", "Same subject string and same tokens in both languages: a stratum of "
         "their own, in no headline."),
        ("Limits", "A correlation in one model, whose direction nothing here can show. The body of "
         "the published study is unknown to us: no number here claims to match one of it."),
    )  # fmt: skip
    return Page("method", "Method", "How the numbers were made.", (Definitions("Words", items),))
