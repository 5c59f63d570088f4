"""The numbers of a comparison: recall side by side, differences, and relation by relation."""

from collections.abc import Sequence

import altair as alt
import polars as pl

from polylore.report import Block, Chart, Page, Prose, TableView, interval, shapes
from polylore.report.axes import share, upper
from polylore.studies.compare.view import ALL, TIPS, WAYS, View, conditions
from polylore.studies.trace.context import percent, with_names


def side_page(view: View, remarks: Sequence[str]) -> Page:
    """Recall of every model by language, per way of answering."""
    blocks: list[Block] = []
    if remarks:
        head = "The runs differ in more than the model; only questions they share are compared:"
        blocks.append(Prose((head, *remarks), "caution"))
    blocks += [_recall_chart(view, matcher) for matcher in view.matchers]
    lead = "What each model recalls in each language, and what guessing would."
    return Page("recall", "Side by side", lead, tuple(blocks))


def _recall_chart(view: View, matcher: str) -> Chart:
    rows = view.recall.filter((pl.col("matcher") == matcher) & (pl.col("relation") == "all"))
    frame = with_names(rows.sort(view.place("lang"), view.series())).select(
        "lang", "language", "model", "n", "acc", "lo", "hi", "baseline", "baseline_name",
    )  # fmt: skip
    spec = shapes.dots(
        share("acc", "share right", upper(frame, "acc", "hi", "baseline")),
        "language",
        view.names,
        TIPS,
        series="model",
        series_order=view.models,
        reference="baseline",
    )
    pooled = frame.filter(pl.col("lang") == ALL)
    parts = [f"{r['model']} {percent(r['acc'])}" for r in pooled.iter_rows(named=True)]
    return Chart(
        f"recall-{matcher.replace('_', '-')}",
        WAYS[matcher],
        "Dot: share of facts answered right; line: its 95 % interval; grey tick: the best "
        f"knowledge-free baseline of that model on the same facts. {conditions(frame)}",
        f"Dot plot of recall by language and model; all languages: {', '.join(parts)}.",
        spec,
        frame.with_columns(interval("acc")),
        {"language": "Language", "model": "Model", "n": "n", "acc_ci": "Share right",
         "baseline": "Baseline", "baseline_name": "Which"},
        {"acc_ci": "interval", "baseline": "share"},
        "half",
    )  # fmt: skip


def differences_page(view: View) -> Page:
    """How far the first model is ahead, with paired intervals."""
    blocks: list[Block] = [_difference_chart(view, matcher) for matcher in view.matchers]
    rows = view.difference.filter(pl.col("matcher").is_in(view.matchers)).sort(
        pl.col("relation") != "all", view.place("lang") != len(view.languages), view.place("lang")
    )
    frame = rows.with_columns(_way(), interval("difference"))
    blocks.append(
        TableView(
            "difference-table",
            "All differences",
            "First model minus the other, on the questions both answered. Alone: the share that "
            "only one of the two has right. " + conditions(rows),
            frame,
            {"lang": "Language", "relation": "Relation", "way": "How", "model": "Against",
             "n": "n", "acc_reference": view.models[0], "acc": "Other",
             "difference_ci": "Difference", "only_reference": "First alone",
             "only_model": "Other alone"},
            {"lang": "lang", "acc_reference": "share", "acc": "share",
             "difference_ci": "interval", "only_reference": "share", "only_model": "share"},
        )
    )  # fmt: skip
    lead = f"How far {view.models[0]} is ahead, question by question."
    return Page("differences", "Differences", lead, tuple(blocks))


def _difference_chart(view: View, matcher: str) -> Chart:
    rows = view.difference.filter((pl.col("matcher") == matcher) & (pl.col("relation") == "all"))
    frame = with_names(rows.sort(view.place("lang"), view.series())).select(
        "lang", "language", "model", "n", "difference", "lo", "hi"
    )
    spec = shapes.dots(
        alt.X("difference:Q", title=f"{view.models[0]} ahead by",
              axis=alt.Axis(format="+.0%", tickCount=5)),
        "language",
        view.names,
        {"language": ("language", ""), "model": ("against", ""),
         "difference": ("difference", "+.1%"), "lo": ("from", "+.1%"), "hi": ("to", "+.1%"),
         "n": ("facts", ",")},
        series="model",
        series_order=view.models[1:],
        rule=0.0,
    )  # fmt: skip
    return Chart(
        f"difference-{matcher.replace('_', '-')}",
        WAYS[matcher],
        f"Right of the line: {view.models[0]} recalls more. Paired: both means are taken over the "
        f"same drawn facts, so what is hard for both cancels. {conditions(frame)}",
        f"Dot plot of the difference in recall between {view.models[0]} and the other models.",
        spec,
        frame.with_columns(interval("difference")),
        {"language": "Language", "model": "Against", "n": "n", "difference_ci": "Difference"},
        {"difference_ci": "interval"},
        "half",
    )


def relations_page(view: View) -> Page | None:
    """Language by relation, one heat map per model and matcher; None with a single relation."""
    rows = view.recall.filter((pl.col("relation") != "all") & (pl.col("lang") != ALL))
    if rows["relation"].n_unique() < 2:
        return None
    blocks: list[Block] = [
        _relation_chart(view, rows, matcher, model)
        for matcher in view.matchers
        for model in view.models
    ]
    frame = rows.filter(pl.col("matcher").is_in(view.matchers)).sort(
        view.place("lang"), "relation", "matcher", view.series(), maintain_order=True
    )
    blocks.append(
        TableView(
            "recall-table",
            "Recall by language and relation",
            "Guess-corrected: (recall − baseline)/(1 − baseline). " + conditions(frame),
            frame.with_columns(_way(), interval("acc"), interval("gc", "gc_lo", "gc_hi")),
            {"lang": "Language", "relation": "Relation", "way": "How", "model": "Model",
             "n": "n", "acc_ci": "Right", "baseline": "Baseline", "baseline_name": "Which",
             "gc_ci": "Guess-corrected"},
            {"lang": "lang", "acc_ci": "interval", "baseline": "share", "gc_ci": "interval"},
        )
    )  # fmt: skip
    lead = "Where each model's knowledge lies: a pale cell may be the wording's fault, too."
    return Page("relations", "By relation", lead, tuple(blocks))


def _relation_chart(view: View, rows: pl.DataFrame, matcher: str, model: str) -> Chart:
    own = rows.filter((pl.col("matcher") == matcher) & (pl.col("model") == model))
    frame = with_names(own.drop_nulls("acc").sort(view.place("lang"))).with_columns(
        relation_words=pl.col("relation").str.replace_all("_", " ")
    )
    spec = shapes.heat_map(
        alt.X("relation_words:N", sort=sorted(set(frame["relation_words"])), title=None,
              axis=alt.Axis(labelAngle=0, labelLimit=130, orient="bottom")),
        alt.Y("language:N", sort=view.names, title=None),
        "acc",
        "share right",
        {**TIPS, "relation": ("relation", "")},
        rows_count=max(1, frame["language"].n_unique()),
        row=22,
    )  # fmt: skip
    return Chart(
        f"relations-{matcher.replace('_', '-')}-{view.models.index(model) + 1}",
        f"{model}: {WAYS[matcher].lower()}",
        conditions(frame),
        f"Heat map of recall of {model} by language and relation.",
        spec,
        frame.with_columns(interval("acc")),
        {"language": "Language", "relation": "Relation", "n": "n", "acc_ci": "Share right",
         "baseline": "Baseline"},
        {"acc_ci": "interval", "baseline": "share"},
        "half",
    )  # fmt: skip


def _way() -> pl.Expr:
    return pl.col("matcher").replace_strict(WAYS, return_dtype=pl.String).alias("way")
