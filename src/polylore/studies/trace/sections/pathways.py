"""Pathways: how did what is recalled get there, by reading or from another language?"""

from collections.abc import Callable

import altair as alt
import polars as pl

from polylore.report import Block, Chart, Page, Prose, interval, shapes
from polylore.report.axes import share, upper
from polylore.report.languages import name as language_name
from polylore.studies.trace.context import Context, with_names
from polylore.studies.trace.sections.pathway_checks import CHECKS

PARTS = {
    "e_freq": "read often enough",
    "shared": "spelled like the pivot, or in the question",
    "e_transfer": "brought along by the pivot",
    "e_floor": "guessing alone",
}
"""What right answers are made of, in the order of their colours."""

LOWEST = -0.5
"""Where the picture of rates over training is cut."""

CURVES = {"t": "exposure in the language", "t_second": "and exposure in the pivot"}
"""The two curves a rate is held against."""


def pathways_page(context: Context) -> Page | None:
    """None without a table of rates."""
    if context.table("transfer_rate") is None:
        return None
    makers: tuple[Callable[[Context], Block | None], ...] = (
        _rates,
        _relations,
        _composition,
        _over_training,
        *CHECKS,
    )
    blocks: list[Block] = [b for make in makers if (b := make(context)) is not None]
    lead = (
        "A right answer may come from reading, from a string that two languages share, from a "
        "guess, or from another language that knows the fact. What reading explains is measured "
        f"where {pivot_name(context)} cannot have helped; what is right beyond that, where it "
        "can have, is the transfer rate."
    )
    return Page("pathways", "Pathways", lead, (_reading(context), *blocks))


def pivot_name(context: Context) -> str:
    """The pivot in words."""
    return language_name(context.pivot)


def _reading(context: Context) -> Prose:
    pivot = pivot_name(context)
    words: tuple[str, ...] = (
        f"The label of a single answer is no evidence: where nothing transfers, many rarely read "
        f"facts are still right, and {pivot} knows most of them. Only a rate whose interval lies "
        "above zero is, and only if it stays there when exposure in the pivot is allowed to "
        "explain the answers too, since counts in a language may miss some of its reading.",
    )
    if context.exposure_kind == "none":
        words += (
            "This run has no counts of what was read, so frequency and transfer cannot be told "
            "apart: rates are shown, and none of them is supported.",
        )
    return Prose(words, "caution")


def languages(context: Context, *, pooled: bool = True) -> list[str]:
    """Names of the languages that can receive, in order, all together last."""
    pivot = pivot_name(context)
    return [n for n in context.names if n != pivot and (pooled or n != language_name("all"))]


def _rates(context: Context) -> Chart | None:
    table = context.table("transfer_rate")
    rows = context.at_end(table).filter(pl.col("relation") == "all") if table is not None else None
    if rows is None or not rows.drop_nulls("t").height:
        return None
    parts = [
        with_names(rows)
        .select(
            "language", "n", "right", "expected", rate=name, lo=f"{name}_lo", hi=f"{name}_hi",
            series=pl.lit(words),
        )
        for name, words in CURVES.items()
    ]  # fmt: skip
    frame = pl.concat(parts).drop_nulls("rate")
    spec = shapes.dots(
        alt.X("rate:Q", title="transfer rate", axis=alt.Axis(format=".0%", tickCount=5)),
        "language",
        [n for n in languages(context) if n in set(frame["language"])],
        {"language": ("language", ""), "series": ("held against", ""), "rate": ("rate", ".1%"),
         "lo": ("from", ".1%"), "hi": ("to", ".1%"), "n": ("facts the pivot knows", ","),
         "right": ("right", ","), "expected": ("expected", ".1f")},
        series="series",
        series_order=[w for w in CURVES.values() if w in set(frame["series"])],
        rule=0.0,
    )  # fmt: skip
    return Chart(
        "transfer-rate",
        "How often does the pivot's knowledge bring a fact along?",
        "Of the facts that the pivot knows, that share no string, and that reading would have left "
        "wrong: the share that is right nevertheless. Held against what reading in the language "
        "explains, and against what reading in the pivot explains besides. Dashed line: none; "
        "below it, less is right than reading explains. "
        + context.conditions(frame["n"], matcher=matcher(context)),
        "Dot plot of the transfer rate by language with intervals and a line at zero, under two "
        "curves.",
        spec,
        frame.with_columns(interval("rate")),
        {"language": "Language", "series": "Held against", "n": "n", "right": "Right",
         "expected": "Expected by reading", "rate_ci": "Transfer rate"},
        {"rate_ci": "interval"},
        "half",
    )  # fmt: skip


def matcher(context: Context) -> str:
    """The matcher that pathways were followed for."""
    table = context.table("transfer_rate")
    return context.matcher if table is None else str(table["matcher"][0])


def _composition(context: Context) -> Chart | None:
    frame = _stacked(context)
    if frame is None:
        return None
    top = upper(frame, "end")
    tips = {
        "language": ("language", ""), "series": ("part", ""), "step": ("step", ","),
        "tokens": ("tokens", ","), "part": ("share of all facts", ".1%"),
        "labelled": ("labelled transfer", ".1%"), "n": ("facts", ","),
    }  # fmt: skip
    several = frame["ckpt_id"].n_unique() > 1
    x, y = context.axis.encode("x", None), share("start", None, top, axis=alt.Y)
    if several:
        layers = shapes.areas(x, y, "end", "series", list(PARTS.values()), tips, outline="labelled")
        spec = shapes.panels(layers, "language", languages(context, pooled=False))
    else:
        spec = shapes.spans(
            share("start", "share of all facts", top), "end", "language",
            languages(context, pooled=False), "series", list(PARTS.values()), tips,
        )  # fmt: skip
    return Chart(
        "composition",
        "What right answers are made of",
        "Share of all facts that are right, by where the answer came from: expected numbers, not "
        "labels. Dashed line: share of facts labelled “transfer candidate”, which counts every "
        "rarely read right answer that the pivot knows too. "
        + context.conditions(frame["n"], matcher=matcher(context)),
        "Stacked areas over training, one panel per language: right answers by reading, shared "
        "strings, transfer and guessing.",
        spec,
        frame.drop("ckpt_id"),
        {"language": "Language", "step": "Step", "tokens": "Tokens", "series": "Part", "n": "n",
         "part": "Share of all facts", "labelled": "Labelled transfer"},
        {"part": "share", "labelled": "share", "tokens": "tokens"},
        "panels" if several else "half",
    )  # fmt: skip


def _stacked(context: Context) -> pl.DataFrame | None:
    """Parts of the right answers as shares of all facts, stacked."""
    table = context.table("composition")
    if table is None:
        return None
    rows = context.on_axis(table) if context.trajectory else context.at_end(table)
    rows = rows.filter(
        (pl.col("relation") == "all") & ~pl.col("lang").is_in([context.pivot, "all"])
    )
    keys = ["ckpt_id", "lang"]
    apart = rows.filter(pl.col("stratum") == "apart").select(
        *keys, "e_freq", "e_transfer", "e_floor", _apart="right"
    )
    whole = rows.filter(pl.col("stratum") == "all").drop("e_freq", "e_transfer", "e_floor")
    joined = whole.join(apart, on=keys, how="left", maintain_order="left").with_columns(
        shared=(pl.col("right") - pl.col("_apart").fill_null(0)).cast(pl.Float64)
    )
    if not joined.drop_nulls("e_freq").height:
        return None
    if "x" not in joined.columns:
        joined = joined.with_columns(x=pl.lit(0.0))
    parts = [
        joined.select(
            "ckpt_id", "lang", "x", "step", "tokens", "n",
            labelled=pl.col("n_transfer") / pl.col("n"),
            part=pl.col(name) / pl.col("n"),
            series=pl.lit(words),
            _order=pl.lit(order),
        )
        for order, (name, words) in enumerate(PARTS.items())
    ]  # fmt: skip
    stacked = (
        pl.concat(parts)
        .with_columns(pl.col("part").fill_null(0.0))
        .sort("lang", "x", "_order")
        .with_columns(end=pl.col("part").cum_sum().over("ckpt_id", "lang"))
        .with_columns(start=pl.col("end") - pl.col("part"))
    )
    return with_names(stacked.drop("_order")).drop("lang")


def _over_training(context: Context) -> Chart | None:
    table = context.table("transfer_rate")
    if table is None or not context.trajectory:
        return None
    rows = context.on_axis(table).filter(pl.col("relation") == "all").drop_nulls("t")
    if rows["ckpt_id"].n_unique() < 2:
        return None
    frame = with_names(rows).select(
        "language", "x", "step", "tokens", "n", "t", "t_lo", "t_hi",
        # Early intervals may be wider than everything else; the table has them whole.
        shown=pl.col("t").clip(LOWEST, 1),
        low=pl.col("t_lo").clip(LOWEST, 1),
        high=pl.col("t_hi").clip(LOWEST, 1),
        none=pl.lit(0.0),
    )  # fmt: skip
    y = alt.Y(
        "shown:Q",
        title=None,
        scale=alt.Scale(domain=[LOWEST, 1.05], nice=False),
        axis=alt.Axis(format=".0%", values=[LOWEST, 0, 0.5, 1]),
    )
    layers = shapes.lines(
        context.axis.encode("x", None),
        y,
        {"language": ("language", ""), "step": ("step", ","), "tokens": ("tokens", ","),
         "t": ("rate", ".1%"), "t_lo": ("from", ".1%"), "t_hi": ("to", ".1%"),
         "n": ("facts the pivot knows", ",")},
        band=("low", "high"),
        reference="none",
    )  # fmt: skip
    return Chart(
        "transfer-over-training",
        "The transfer rate over training",
        f"Over {context.axis_title} (log scale), with its 95 % band, cut at −50 %; dashed: none. A "
        "checkpoint with too few answers has no rate. "
        + context.conditions(frame["n"], matcher=matcher(context)),
        "Small multiples of the transfer rate over training, one per language, with a line at "
        "zero.",
        shapes.panels(layers, "language", languages(context)),
        frame.with_columns(interval("t", "t_lo", "t_hi")),
        {"language": "Language", "step": "Step", "tokens": "Tokens", "n": "n",
         "t_ci": "Transfer rate"},
        {"t_ci": "interval", "tokens": "tokens"},
        "panels",
    )  # fmt: skip


def _relations(context: Context) -> Chart | None:
    table = context.table("transfer_rate")
    if table is None:
        return None
    rows = context.at_end(table).filter(pl.col("relation") != "all").drop_nulls("t")
    if rows["relation"].n_unique() < 2:
        return None
    frame = with_names(rows).select(
        "language", "relation", "n", "t", "t_lo", "t_hi",
        relation_words=pl.col("relation").str.replace_all("_", " "),
        mark=pl.when(pl.col("claimed").fill_null(False)).then(pl.lit("✓")).otherwise(pl.lit("")),
    )  # fmt: skip
    order = frame.group_by("relation_words").agg(pl.col("t").mean()).sort("t", descending=True)
    names = [n for n in languages(context) if n in set(frame["language"])]
    spec = shapes.heat_map(
        alt.X("relation_words:N", sort=order["relation_words"].to_list(), title=None,
              axis=alt.Axis(labelAngle=-40, labelLimit=130, orient="bottom")),
        alt.Y("language:N", sort=names, title=None),
        "t",
        "transfer rate",
        {"language": ("language", ""), "relation": ("relation", ""), "t": ("rate", ".1%"),
         "t_lo": ("from", ".1%"), "t_hi": ("to", ".1%"), "n": ("facts the pivot knows", ",")},
        domain=(0, upper(frame, "t")),
        rows_count=len(names),
        row=22,
        mark="mark",
    )  # fmt: skip
    return Chart(
        "transfer-relations",
        "In which relations?",
        "Transfer rate by relation, where the pivot knows at least 30 facts of it that share no "
        "string. ✓: above zero under both curves; all other cells may be noise, and of twenty ✓ "
        "one is expected by chance. " + context.conditions(frame["n"], matcher=matcher(context)),
        "Heat map of the transfer rate by language and relation.",
        spec,
        frame.with_columns(interval("t", "t_lo", "t_hi")),
        {"language": "Language", "relation": "Relation", "n": "n", "t_ci": "Transfer rate",
         "mark": "Supported"},
        {"t_ci": "interval"},
        "half",
    )  # fmt: skip
