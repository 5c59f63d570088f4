"""Recall at the last checkpoint: by language and relation, matcher, wording and stratum."""

import altair as alt
import polars as pl

from polylore.report import Block, Chart, Page, TableView, interval, shapes
from polylore.report.axes import share, upper
from polylore.studies.trace.context import MATCHERS, SERIES, Context, percent, with_names
from polylore.studies.trace.sections.overview import headline_rows

_TIPS = {
    "language": ("language", ""),
    "series": ("facts", ""),
    "acc": ("recall", ".1%"),
    "lo": ("from", ".1%"),
    "hi": ("to", ".1%"),
    "baseline": ("baseline", ".1%"),
    "n": ("facts", ","),
}


def recall_page(context: Context) -> Page | None:
    """None without a table of recall."""
    recall = context.table("recall")
    if recall is None or context.final is None:
        return None
    end = context.at_end(recall)
    blocks: list[Block] = [_languages(context, end), _relations(context, end)]
    blocks += [b for b in (_matchers(context, end), _wordings(context, end)) if b is not None]
    blocks += [_table(context, end), _strata(context, end)]
    lead = f"What the last checkpoint ({context.final_words}) recalls, and what guessing would."
    return Page("recall", "At the end", lead, tuple(blocks))


def _languages(context: Context, end: pl.DataFrame) -> Chart:
    frame = headline_rows(context, end).select(
        "lang", "language", "series", "n", "acc", "lo", "hi", "baseline", "baseline_name",
        "acc_guess_corrected", "gc_lo", "gc_hi",
    )  # fmt: skip
    spec = shapes.dots(
        share("acc", "recall", upper(frame, "acc", "hi", "baseline")),
        "language",
        context.names,
        _TIPS,
        series="series",
        series_order=[SERIES[s] for s in context.strata],
        reference="baseline",
    )
    parts = [
        f"{r['language']} {percent(r['acc'])} ({r['series']})"
        for r in frame.filter(pl.col("series") == SERIES[context.strata[0]]).iter_rows(named=True)
    ]
    return Chart(
        "recall-final",
        "Recall by language",
        "Dot: share of facts answered right; line: its 95 % interval; grey tick: the best "
        "knowledge-free baseline on the same facts. " + context.conditions(frame["n"]),
        "Dot plot of recall by language at the last checkpoint: " + ", ".join(parts) + ".",
        spec,
        frame.with_columns(interval("acc"), interval("acc_guess_corrected", "gc_lo", "gc_hi")),
        {"language": "Language", "series": "Facts", "n": "n", "acc_ci": "Recall",
         "baseline": "Baseline", "baseline_name": "Which",
         "acc_guess_corrected_ci": "Guess-corrected"},
        {"acc_ci": "interval", "baseline": "share", "acc_guess_corrected_ci": "interval"},
        "half",
    )  # fmt: skip


def _relations(context: Context, end: pl.DataFrame) -> Chart:
    rows = context.headline(end).filter(
        (pl.col("relation") != "all") & (pl.col("stratum") == context.strata[0])
    )
    frame = with_names(rows.drop_nulls("acc")).select(
        "lang", "language", "relation", "n", "acc", "lo", "hi", "baseline", "acc_guess_corrected"
    )
    order = (
        frame.group_by("relation", maintain_order=True)
        .agg(pl.col("acc").mean())
        .sort("acc", "relation", descending=[True, False])["relation"]
        .to_list()
    )
    frame = frame.with_columns(relation_words=pl.col("relation").str.replace_all("_", " "))
    spec = shapes.heat_map(
        alt.X("relation_words:N", sort=[r.replace("_", " ") for r in order], title=None,
              axis=alt.Axis(labelAngle=-40, labelLimit=130, orient="bottom")),
        alt.Y("language:N", sort=context.names, title=None),
        "acc",
        f"recall, {SERIES[context.strata[0]]}",
        {"language": ("language", ""), "relation": ("relation", ""), "acc": ("recall", ".1%"),
         "lo": ("from", ".1%"), "hi": ("to", ".1%"), "baseline": ("baseline", ".1%"),
         "n": ("facts", ",")},
        domain=(0, upper(frame, "acc")),
        rows_count=max(1, frame["language"].n_unique()),
        row=22,
    )  # fmt: skip
    return Chart(
        "recall-relations",
        "Recall by language and relation",
        "Relations from best to worst on average. " + context.conditions(frame["n"]),
        f"Heat map of recall at the last checkpoint, {len(context.languages)} languages by "
        f"{len(order)} relations.",
        spec,
        frame.with_columns(interval("acc")),
        {"language": "Language", "relation": "Relation", "n": "n", "acc_ci": "Recall",
         "baseline": "Baseline", "acc_guess_corrected": "Guess-corrected"},
        {"acc_ci": "interval", "baseline": "share", "acc_guess_corrected": "share"},
        "half",
    )  # fmt: skip


def _matchers(context: Context, end: pl.DataFrame) -> Chart | None:
    # The answers to content-free prompts are a baseline, not a way to be right.
    rows = end.filter(
        (pl.col("relation") == "all")
        & (pl.col("stratum") == "all")
        & pl.col("matcher").is_in(["default", "paper", "candidates"])
    )
    order = [m for m in MATCHERS if m in set(rows["matcher"])]
    if len(order) < 2:
        return None
    words = {m: f"{m}: {MATCHERS[m]}" for m in order}
    frame = with_names(rows).select(
        "language", "n", "acc", "lo", "hi", "baseline",
        series=pl.col("matcher").replace_strict(words, return_dtype=pl.String),
    )  # fmt: skip
    spec = shapes.dots(
        share("acc", "share right", upper(frame, "acc", "hi", "baseline")),
        "language",
        context.names,
        {**_TIPS, "series": ("matcher", "")},
        series="series",
        series_order=list(words.values()),
        reference="baseline",
    )
    return Chart(
        "matchers",
        "The same answers, graded differently",
        "The published matcher also credits prefixes (“E” for “Europe”); ranking candidates asks "
        "for less than saying the answer. Grey ticks: each matcher's own baseline. "
        + context.conditions(frame["n"], matcher=", ".join(order)),
        "Dot plot of the share right by language under each matcher.",
        spec,
        frame.with_columns(interval("acc")),
        {"language": "Language", "series": "Matcher", "n": "n", "acc_ci": "Share right",
         "baseline": "Baseline"},
        {"acc_ci": "interval", "baseline": "share"},
        "half",
    )  # fmt: skip


def _wordings(context: Context, end: pl.DataFrame) -> Chart | None:
    rows = context.headline(end).filter(
        (pl.col("relation") == "all") & pl.col("stratum").str.starts_with("wording:")
    )
    variants = sorted(int(v) for v in set(rows["stratum"].str.strip_prefix("wording:")))
    if len(variants) < 2:
        return None
    words = {f"wording:{v}": wording_words(context, v) for v in variants}
    frame = with_names(rows).select(
        "language", "n", "acc", "lo", "hi",
        series=pl.col("stratum").replace_strict(words, return_dtype=pl.String),
    )  # fmt: skip
    spec = shapes.dots(
        share("acc", "recall", upper(frame, "acc", "hi")),
        "language",
        context.names,
        {k: v for k, v in _TIPS.items() if k != "baseline"} | {"series": ("asked with", "")},
        series="series",
        series_order=list(words.values()),
    )
    return Chart(
        "wordings",
        "One question, several wordings",
        "Knowledge should survive a wording that was never read in training. "
        + context.conditions(frame["n"]),
        "Dot plot of recall by language, one dot per wording of the question.",
        spec,
        frame.with_columns(interval("acc")),
        {"language": "Language", "series": "Wording", "n": "n", "acc_ci": "Recall"},
        {"acc_ci": "interval"},
        "half",
    )


def wording_words(context: Context, variant: int) -> str:
    """A prompt variant in words: number, and seen or unseen where that is known."""
    seen = context.analyse.seen_variants
    if seen is None:
        return f"wording {variant}"
    return f"wording {variant} ({'seen' if variant in seen else 'unseen'})"


def _full(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(
        interval("acc"), interval("acc_guess_corrected", "gc_lo", "gc_hi")
    )  # fmt: skip


_COLUMNS = {
    "n": "n",
    "acc_ci": "Recall",
    "baseline": "Baseline",
    "baseline_name": "Which",
    "acc_guess_corrected_ci": "Guess-corrected",
}
_FORMATS = {
    "lang": "lang",
    "acc_ci": "interval",
    "baseline": "share",
    "acc_guess_corrected_ci": "interval",
}


def _table(context: Context, end: pl.DataFrame) -> TableView:
    rows = end.filter(pl.col("stratum").is_in(context.strata))
    # The headline first: all relations, its matcher, languages as everywhere.
    frame = rows.with_columns(
        facts=pl.col("stratum").replace_strict(SERIES, return_dtype=pl.String)
    ).sort(
        pl.col("relation") != "all",
        pl.col("matcher") != context.matcher,
        "matcher",
        pl.col("stratum") != context.strata[0],
        "relation",
        context.place("lang"),
    )
    return TableView(
        "recall-table",
        "All numbers of this part",
        "Guess-corrected: (recall − baseline)/(1 − baseline); 0 is guessing, 100 % is knowing all. "
        + context.conditions(frame["n"], matcher="as given"),
        _full(frame),
        {"lang": "Language", "relation": "Relation", "facts": "Facts", "matcher": "Matcher"}
        | _COLUMNS,
        _FORMATS,
        None,
    )


def _strata(context: Context, end: pl.DataFrame) -> TableView:
    rows = context.headline(end).filter(
        (pl.col("relation") == "all") & ~pl.col("stratum").is_in(context.strata)
    )
    return TableView(
        "recall-strata",
        "Groups of facts",
        "Groups that explain recall without knowledge or beside it: an answer spelled as in the "
        "pivot language (same_object, same_pair), contained in the subject, read more or less "
        "often. " + context.conditions(rows["n"]),
        _full(rows),
        {"lang": "Language", "stratum": "Group"} | _COLUMNS,
        _FORMATS,
        ("stratum", False),
    )
