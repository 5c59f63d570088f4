"""Acquisition: since when is a fact known, and which language came first?"""

import altair as alt
import polars as pl

from polylore.report import Block, Chart, Page, Prose, TableView, interval, shapes
from polylore.report.axes import LogAxis, share, upper
from polylore.studies.trace.context import Context, with_names

ORDER = {
    "pivot_first": "pivot first",
    "tie": "cannot be told apart",
    "language_first": "language first",
}


def acquisition_page(context: Context) -> Page | None:
    """None without trajectories."""
    makers = (_survival, _order, _lags, _events)
    blocks: list[Block] = [b for make in makers if (b := make(context)) is not None]
    if not blocks:
        return None
    if context.table("lag") is not None:
        blocks.insert(1 if isinstance(blocks[0], Chart) else 0, _warning())
    k = context.analyse.sustained
    lead = (
        f"A fact counts as acquired at the first of {k} right answers in a row; it became known "
        "somewhere between that checkpoint and the one before."
    )
    return Page("acquisition", "Acquisition", lead, tuple(blocks))


def _warning() -> Prose:
    return Prose(
        (
            "The pivot coming first is expected without any transfer: it is usually read more "
            "often, and what is read more often is known earlier. The order below is therefore no "
            "evidence of transfer until it is held against the order that exposure alone predicts, "
            "which the page on pathways does.",
        ),
        "caution",
    )


def _survival(context: Context) -> Chart | None:
    table = context.table("survival")
    if table is None:
        return None
    rows = with_names(context.headline(table))
    column = "tokens" if rows["tokens"].null_count() == 0 else "step"
    if not rows.height or rows[column].n_unique() < 2:
        return None
    axis = LogAxis.over(rows[column].to_list())
    pivot = rows.filter(pl.col("lang") == context.pivot)
    frame = (
        rows.join(pivot.select("step", pivot="share_acquired"), on="step", how="left")
        .with_columns(x=axis.place(column))
        .sort("language", column)
        .select("language", "x", "step", "tokens", "at_risk", "events", "share_acquired", "lo",
                "hi", "pivot")
    )  # fmt: skip
    layers = shapes.lines(
        axis.encode("x", None),
        share("share_acquired", None, upper(frame, "hi", "share_acquired", "pivot"),
              axis=alt.Y),
        {"language": ("language", ""), "step": ("step", ","), "tokens": ("tokens", ","),
         "share_acquired": ("acquired", ".1%"), "lo": ("from", ".1%"), "hi": ("to", ".1%"),
         "pivot": ("pivot", ".1%"), "at_risk": ("not yet before", ",")},
        band=("lo", "hi"),
        reference="pivot" if pivot.height else None,
        step=True,
    )  # fmt: skip
    facts = rows.group_by("lang").agg(pl.col("at_risk").max())["at_risk"]
    return Chart(
        "acquired",
        "Share of facts acquired",
        f"Over training {'tokens' if column == 'tokens' else 'steps'} (log scale). Kaplan–Meier "
        "estimate over all facts, those never acquired included, with its 95 % band; "
        "dashed: the pivot. " + context.conditions(facts),
        "Small multiples of the share of facts acquired over training, one per language, with the "
        "pivot's curve for comparison.",
        shapes.panels(layers, "language", context.names),
        frame.with_columns(interval("share_acquired")),
        {"language": "Language", "step": "Step", "tokens": "Tokens", "at_risk": "Not yet before",
         "events": "Acquired here", "share_acquired_ci": "Acquired", "pivot": "Pivot"},
        {"share_acquired_ci": "interval", "pivot": "share", "tokens": "tokens"},
        "panels",
    )  # fmt: skip


def lag_rows(context: Context) -> pl.DataFrame | None:
    """Lags by the headline matcher in the first wording; None if there are none."""
    table = context.table("lag")
    if table is None:
        return None
    rows = context.headline(table).filter(
        (pl.col("variant") == pl.col("variant").min()) & (pl.col("lang") != context.pivot)
    )
    return with_names(rows) if rows.height else None


def _order(context: Context) -> Chart | None:
    rows = lag_rows(context)
    if rows is None:
        return None
    frame = (
        rows.group_by("language", "order", maintain_order=True)
        .len("facts")
        .with_columns(
            share=pl.col("facts") / pl.col("facts").sum().over("language"),
            series=pl.col("order").replace_strict(ORDER, return_dtype=pl.String),
        )
        .sort("language", pl.col("order").replace_strict(list(ORDER), [0, 1, 2]))
        .with_columns(end=pl.col("share").cum_sum().over("language"))
        .with_columns(start=pl.col("end") - pl.col("share"))
    )
    totals = frame.group_by("language").agg(pl.col("facts").sum())["facts"]
    spec = shapes.spans(
        share("start", "share of facts that both acquired"),
        "end",
        "language",
        [n for n in context.names if n in set(frame["language"])],
        "series",
        [ORDER["pivot_first"], ORDER["language_first"]],
        {"language": ("language", ""), "series": ("order", ""), "facts": ("facts", ","),
         "share": ("share", ".1%")},
    )  # fmt: skip
    return Chart(
        "acquisition-order",
        "Who came first?",
        "Facts that both the pivot and the language acquired; grey: their intervals overlap, so "
        "the order cannot be told. " + context.conditions(totals),
        "Stacked bars: share of facts that the pivot acquired first, at the same time, or later "
        "than each language.",
        spec,
        frame,
        {"language": "Language", "series": "Order", "facts": "Facts", "share": "Share"},
        {"share": "share"},
        "half",
    )


def _lags(context: Context) -> TableView | None:
    rows = lag_rows(context)
    if rows is None:
        return None
    lag = pl.col("lag_log10")
    frame = rows.group_by("lang", maintain_order=True).agg(
        n=pl.len(),
        median=lag.median(),
        low=lag.quantile(0.25),
        high=lag.quantile(0.75),
        steps=pl.col("lag_steps").median(),
        pivot_first=(pl.col("order") == "pivot_first").mean(),
        language_first=(pl.col("order") == "language_first").mean(),
    )
    return TableView(
        "lag-table",
        "Lag behind the pivot",
        "Over facts that both acquired; positive means later than the pivot. The middle half of "
        "the lags lies in the brackets; it is a spread, not an interval of the median. "
        + context.conditions(frame["n"]),
        frame.with_columns(interval("median", "low", "high")),
        {"lang": "Language", "n": "n", "median_ci": "Median lag, log10 tokens",
         "steps": "Median lag, steps", "pivot_first": "Pivot first",
         "language_first": "Language first"},
        {"lang": "lang", "median_ci": "interval.number", "steps": "number",
         "pivot_first": "share", "language_first": "share"},
        ("median", True),
    )  # fmt: skip


def _events(context: Context) -> TableView | None:
    table = context.table("acquisition")
    if table is None:
        return None
    rows = context.headline(table)
    rows = rows.filter(pl.col("variant") == rows["variant"].min())
    if not rows.height:
        return None
    seen = pl.col("censoring") != "right"

    def happened(event: str) -> pl.Expr:
        return (seen & (pl.col("event") == event)).sum() / (pl.col("event") == event).sum()

    sustained = pl.col("event") == "sustained"
    frame = rows.group_by("lang", maintain_order=True).agg(
        n=pl.col("fact_id").n_unique(),
        first=happened("first"),
        sustained=happened("sustained"),
        final_run=happened("final_run"),
        forget=happened("forget"),
        left=(sustained & (pl.col("censoring") == "left")).sum(),
        flips=pl.col("flips").filter(sustained).mean(),
    )
    return TableView(
        "acquisition-table",
        "What became of the facts",
        "Ever right is biased by lucky guesses; acquired asks for several right answers in a row; "
        "kept to the end is an unbroken run up to the last checkpoint; lost again is a wrong "
        "answer after the first right one. " + context.conditions(frame["n"]),
        frame,
        {"lang": "Language", "n": "n", "first": "Ever right", "sustained": "Acquired",
         "final_run": "Kept to the end", "forget": "Lost again",
         "left": "Known at the first checkpoint", "flips": "Changes per fact"},
        {"lang": "lang", "first": "share", "sustained": "share", "final_run": "share",
         "forget": "share"},
        ("sustained", True),
    )  # fmt: skip
