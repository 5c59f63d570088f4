"""Does the score predict transfer, and in which cell of the grid?"""

import altair as alt
import numpy as np
import polars as pl

from polylore.metrics.unification import correlation
from polylore.report import Block, Chart, Page, TableView, interval, shapes
from polylore.report.axes import rows, share
from polylore.report.numbers import number_axis
from polylore.report.squares import marked, squares
from polylore.studies.unify.context import PANELS, PLACES, UnifyContext

_FEWEST = 3
_HUES = 6
"""Families that can be told apart by colour."""


def link_page(context: UnifyContext) -> Page | None:
    """None without scores."""
    grid = context.grid()
    if not grid.height:
        return None
    blocks: list[Block] = []
    blocks += [b for b in (_scatter(context), _spearman(context, grid)) if b is not None]
    blocks.append(_grid(context, grid))
    blocks += [b for b in (_table(context),) if b is not None]
    lead = (
        "Unification against transfer over runs. Pooling families that share different tokens can "
        "make or hide a correlation, so each is read within families as well."
    )
    return Page("link", "Unification against transfer", lead, tuple(blocks))


def _scatter(context: UnifyContext) -> Chart | None:
    runs = context.trusted.drop_nulls(["acc_x", "u_norm"])
    if runs.height < _FEWEST or runs["u_norm"].n_unique() < 2:
        return None
    frame = runs.select("condition", "family", "seed", "acc_x", "u_norm", "u_step0", "label",
                        "chance", fit=_isotonic(runs)).sort("u_norm")  # fmt: skip
    families = frame["family"].unique(maintain_order=True).sort().to_list()
    hue = {}
    if 1 < len(families) <= _HUES:
        scale = alt.Scale(domain=families)
        hue = {"color": alt.Color("family:N", scale=scale, legend=alt.Legend(title=None))}
    x, y = number_axis(frame, "u_norm", "U_norm at the end"), share("acc_x", "acc_X", axis=alt.Y)
    chart = alt.Chart(rows())
    points = chart.mark_point(size=44, opacity=0.8).encode(
        x=x, y=y, **hue,
        tooltip=[alt.Tooltip("condition:N"), alt.Tooltip("family:N"), alt.Tooltip("seed:Q"),
                 alt.Tooltip("u_norm:Q", title="U_norm", format=".2f"),
                 alt.Tooltip("u_step0:Q", title="at step 0", format=".2f"),
                 alt.Tooltip("acc_x:Q", title="acc_X", format=".1%")],
    )  # fmt: skip
    line = chart.mark_line(style="reference").encode(x=x, y=alt.Y("fit:Q"))
    chance = chart.mark_line(style="reference", opacity=0.5).encode(x=x, y=alt.Y("chance:Q"))
    layers = [line, *([chance] if frame["chance"].n_unique() == 1 else []), points]
    return Chart(
        "unify-scatter",
        "Score against transfer, run by run",
        "Each dot is one run at its end; rising dashes: isotonic fit on all of them; flat dashes: "
        f"chance. {_rank_words(context)} Underfit runs are left out. "
        + context.said(of=frame["condition"].unique(maintain_order=True).to_list(), trusted=True),
        "Scatter plot of accuracy on held-out cells against the unification score, by family.",
        shapes.single(layers, height=300),
        frame,
        {"condition": "Condition", "family": "Family", "seed": "Seed", "u_norm": "U_norm",
         "u_step0": "At step 0", "acc_x": "acc_X", "label": "Label"},
        {"acc_x": "share"},
        "half",
    )  # fmt: skip


def _isotonic(runs: pl.DataFrame) -> pl.Series:
    """Isotonic fit of acc_x on u_norm; runs of equal score share their mean."""
    from scipy.optimize import isotonic_regression

    x, y = runs["u_norm"].to_numpy(), runs["acc_x"].to_numpy()
    inverse = np.unique(x, return_inverse=True)[1]
    n = np.bincount(inverse).astype(np.float64)
    fitted = isotonic_regression(np.bincount(inverse, y) / n, weights=n).x
    return pl.Series("fit", fitted[inverse])


def headline_rows(context: UnifyContext) -> pl.DataFrame:
    """Correlations of the headline score, pooled and within each family."""
    table = context.table("unify_correlation")
    if table is None:
        return pl.DataFrame()
    return table.filter(score="u_norm", layer="last", position="answer", selected_on="none").filter(
        pl.col("reading") != "without"
    )


def _rank_words(context: UnifyContext) -> str:
    rows = headline_rows(context)
    pooled = rows.filter(reading="pooled").drop_nulls("spearman") if rows.height else rows
    if not pooled.height:
        return ""
    row = pooled.row(0, named=True)
    held = f" [{_two(row['lo'])}, {_two(row['hi'])}]" if row["lo"] is not None else ""
    error = row["isotonic_mae"]
    more = "" if error is None else (
        f"; an isotonic fit on half of the conditions misses acc_X of the other half by {error:.2f}"
    )  # fmt: skip
    return f"Spearman {_two(row['spearman'])}{held} over {row['n']} runs{more}."


def _two(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _spearman(context: UnifyContext, grid: pl.DataFrame) -> Chart | None:
    runs = context.ends.select("run_hash", "acc_x")
    rows = grid.join(runs, on="run_hash", maintain_order="left")
    deep = rows["layers"].n_unique() > 1
    rows = rows.with_columns(layer=_depth() if deep else pl.col("layer").cast(pl.String))
    rows = rows.drop_nulls("layer").select(
        "run_hash", "condition", "family", "status", "leaky", "acc_x", "layer",
        score=pl.lit("u_norm"), position="place", value="u_norm",
    )  # fmt: skip
    # The points are enough here: intervals of the main cells stand in the table below.
    found = correlation(rows, given=(), draws=0).filter(
        (pl.col("reading") != "without") & (pl.col("selected_on") == "none")
    )
    if not found["spearman"].drop_nulls().len():
        return None
    words = pl.when(reading="pooled").then(pl.lit("all families")).otherwise("family")
    frame = found.with_columns(panel=words, words=pl.col("spearman").map_elements(
        _two, return_dtype=pl.String))  # fmt: skip
    frame = marked(frame, "spearman", (0, 1))
    levels = ["first", "mid", "last"] if deep else sorted(frame["layer"].unique(), key=int)
    places = [p for p in PLACES if p in set(frame["position"])]
    panels = frame["panel"].unique(maintain_order=True).to_list()[: PANELS + 1]
    if len(panels) == 2:  # a single family is the pool
        panels = panels[:1]
    parts = squares(
        {"shorthand": "position:N", "sort": places, "title": None, "axis": alt.Axis(labelAngle=0)},
        {"shorthand": "layer:N", "sort": levels[::-1], "title": "hidden state"},
        "spearman", "Spearman of U_norm and acc_X",
        {"panel": ("runs of", ""), "layer": ("hidden state", ""), "position": ("position", ""),
         "spearman": ("Spearman", ".2f"), "n": ("runs", "d"), "n_conditions": ("conditions", "d"),
         "reason": ("why not", "")},
        form="~g", lines=("words",),
    )  # fmt: skip
    return Chart(
        "unify-spearman",
        "Where the score predicts transfer",
        "Rank correlation over runs at their ends in every cell of the grid, of all families and "
        "within each; negative ones are coloured as 0. Hatched: none, because prompts are "
        "token-identical there, score or acc_X are constant, or there are fewer than three runs. "
        "A cell chosen by looking at this picture would flatter itself. "
        + context.said(layer="all hidden states", position="all positions", trusted=True),
        "Heat maps of the rank correlation of score and transfer, hidden state by position.",
        shapes.panels(parts, "panel", panels, height=max(54, 24 * len(levels))),
        frame.filter(pl.col("panel").is_in(panels)),
        {"panel": "Runs of", "layer": "Hidden state", "position": "Position",
         "spearman": "Spearman", "n": "Runs", "n_conditions": "Conditions", "reason": "Why not"},
        {},
        "panels",
    )  # fmt: skip


def _depth() -> pl.Expr:
    """Networks of different depth are compared at first, middle and last hidden state."""
    middle = (pl.col("layers") + 1) // 2
    return (
        pl.when(pl.col("layer") == 0).then(pl.lit("first"))
        .when(pl.col("layer") == pl.col("layers")).then(pl.lit("last"))
        .when(pl.col("layer") == middle).then(pl.lit("mid"))
    )  # fmt: skip


def _grid(context: UnifyContext, grid: pl.DataFrame) -> Chart:
    few = context.few(PANELS)
    frame = (
        grid.filter(pl.col("condition").is_in(few))
        .group_by("condition", "layer", "place", maintain_order=True)
        .agg(pl.col("u_norm", "u_step0", "u_fresh", "u_null", "u_diff", "u_pair", "c").mean(),
             seeds=pl.len())
        .with_columns(words=pl.col("u_norm").map_elements(_two, return_dtype=pl.String))
    )  # fmt: skip
    frame = marked(frame, "u_norm", (0, 1))
    levels = frame["layer"].unique().sort(descending=True).to_list()
    places = [p for p in PLACES if p in set(frame["place"])]
    parts = squares(
        {"shorthand": "place:N", "sort": places, "title": None, "axis": alt.Axis(labelAngle=0)},
        {"shorthand": "layer:O", "sort": levels, "title": "hidden state"},
        "u_norm", "U_norm",
        {"condition": ("condition", ""), "layer": ("hidden state", "d"), "place": ("position", ""),
         "u_norm": ("U_norm", ".2f"), "u_step0": ("at step 0", ".2f"),
         "u_fresh": ("fresh copies", ".2f"), "u_null": ("shuffled pairs", ".2f"),
         "seeds": ("seeds", "d")},
        form="~g", lines=("words",),
    )  # fmt: skip
    return Chart(
        "unify-grid",
        "The whole grid of scores",
        "U_norm of facts at the end, mean over seeds; below 0 coloured as 0. Hatched: prompts are "
        "token-identical up to there, so the score says nothing; free: there is no such token. "
        "Hidden state 0: embeddings; the last: after the final norm. "
        + context.said(of=few, layer="all hidden states", position="all positions"),
        "Heat maps of the unification score, hidden state by position, one panel per condition.",
        shapes.panels(parts, "condition", few, height=max(54, 24 * len(levels))),
        frame,
        {"condition": "Condition", "layer": "Hidden state", "place": "Position",
         "u_norm": "U_norm", "u_step0": "Step 0", "u_fresh": "Fresh", "u_null": "Shuffled",
         "u_diff": "U_diff", "u_pair": "U_pair", "c": "C", "seeds": "Seeds"},
        {},
        "panels",
    )  # fmt: skip


def _table(context: UnifyContext) -> TableView | None:
    table = context.table("unify_correlation")
    if table is None:
        return None
    short = {"score is constant": "constant score", "acc_x is constant": "constant acc_X"}
    known = table.filter(pl.col("n") > 0).with_columns(
        pl.col("reason").replace(short).str.replace("^fewer than.*", "too few runs")
    )
    frame = known.with_columns(interval("spearman"),
                               interval("partial", "partial_lo", "partial_hi"))  # fmt: skip
    return TableView(
        "unify-correlation",
        "All correlations",
        "Spearman with acc_X over runs at their ends, with 95 % intervals over conditions: of all "
        "families, within each, and without each. Partial: given what is named. Chosen half: the "
        "cell was picked on these conditions; other half: it is reported on those. Leaky and "
        "underfit runs are left out, and so are cells that no run has.",
        frame,
        {"score": "Score", "layer": "Hidden state", "position": "Position", "reading": "Reading",
         "family": "Family", "selected_on": "Chosen on", "n": "Runs", "n_conditions": "Conditions",
         "n_leaky": "Leaky left out", "spearman_ci": "Spearman", "reason": "Why none",
         "pearson": "Pearson",
         "partial_ci": "Partial", "given": "Given", "isotonic_mae": "Isotonic error"},
        {"spearman_ci": "interval.number", "partial_ci": "interval.number"},
    )  # fmt: skip
