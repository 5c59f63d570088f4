"""What transfer depends on: along one knob, over two, and change by change."""

import altair as alt
import polars as pl

from polylore.report import Block, Chart, Page, interval, shapes
from polylore.report.axes import rows, share
from polylore.report.squares import marked, squares
from polylore.studies.unify.context import LABELS, UnifyContext
from polylore.studies.unify.knobs import KNOBS, by_reading, knob_value, named
from polylore.studies.unify.sections.effects import effect_blocks

_ALONG = ("p", "lam", "share_names", "decay")
"""Knobs whose course is drawn, at most two of them."""
_AXES = ("p", "lam", "cue", "share_names", "decay")
_MOST_PANELS = 12
_FEWEST = 3
"""Values of a knob that make a course."""


def causes_page(context: UnifyContext) -> Page | None:
    """None where nothing varies but the seed."""
    blocks: list[Block] = []
    for knob in _ALONG:
        chart = _along(context, knob)
        if chart is not None and len(blocks) < 2:
            blocks.append(chart)
    blocks += _diagrams(context)
    blocks += effect_blocks(context)
    if not blocks:
        return None
    lead = (
        "Parallel data, how strongly facts belong to a language, and how easily that language is "
        "read: each is a knob of the world. What is compared differs in nothing else."
    )
    return Page("causes", "What transfer depends on", lead, tuple(blocks))


def _along(context: UnifyContext, knob: str) -> Chart | None:
    if knob not in context.varied:
        return None
    rest = [k for k in context.varied if k != knob]
    series = _series_of(context, rest)
    others = [k for k in rest if k != series]
    own = context.conditions.drop_nulls(["acc_x", knob])
    own = own.with_columns(panel=named(own, others), line=named(own, [series] if series else []))
    many = pl.col(knob).n_unique().over("panel", "line")
    own = own.filter(many >= _FEWEST).sort(knob, maintain_order=True)
    panels = own["panel"].unique(maintain_order=True).to_list()
    if not own.height or len(panels) > _MOST_PANELS:
        return None
    order = own["line"].unique(maintain_order=True).to_list()
    layers = shapes.lines(
        alt.X(f"{knob}:Q", title=KNOBS[knob], axis=alt.Axis(tickCount=5, format="~g")),
        share("acc_x", "acc_X", axis=alt.Y),
        {"panel": ("", ""), "line": ("", ""), knob: (KNOBS[knob], "~g"),
         "acc_x": ("acc_X", ".1%"), "acc_x_lo": ("from", ".1%"), "acc_x_hi": ("to", ".1%"),
         "seeds": ("seeds", "d")},
        series="line" if len(order) > 1 else None, order=order if len(order) > 1 else (),
        band=("acc_x_lo", "acc_x_hi"),
    )  # fmt: skip
    layers.insert(0, _chance(knob))
    several = len(panels) > 1
    spec = shapes.panels(layers, "panel", panels, height=150) if several else shapes.single(layers)
    return Chart(
        f"unify-along-{knob.replace('_', '-')}",
        f"Accuracy on held-out cells by {KNOBS[knob]}",
        "Band: 95 % over seeds; dashed: chance. With exposure steps the whole training is held "
        "constant, with fact the presentations of a fact, so that there an effect of p cannot be "
        "more exposure. " + context.said(of=own["condition"].to_list(), score=False),
        f"Lines of the accuracy on held-out cells by {KNOBS[knob]}.",
        spec,
        own.select("condition", "panel", "line", knob, "acc_x", "acc_x_lo", "acc_x_hi", "chance",
                   "seeds", "marks", interval("acc_x", "acc_x_lo", "acc_x_hi")),
        {"condition": "Condition", knob: KNOBS[knob], "acc_x_ci": "acc_X", "chance": "Chance",
         "seeds": "Seeds", "marks": "Note"},
        {"acc_x_ci": "interval", "chance": "share"},
        "panels" if several else "half",
    )  # fmt: skip


def _chance(knob: str) -> alt.Chart:
    dashed: alt.Chart = alt.Chart(rows()).mark_line(style="reference")
    return dashed.encode(x=alt.X(f"{knob}:Q"), y=alt.Y("chance:Q"))


def _series_of(context: UnifyContext, rest: list[str]) -> str | None:
    """Knob drawn as lines of a panel: the exposure, or the one of fewest values."""
    if "exposure" in rest:
        return "exposure"
    counts = {k: context.conditions[k].n_unique() for k in rest}
    few = [k for k in rest if counts[k] <= 6]
    return min(few, key=lambda k: counts[k]) if few else None


def _diagrams(context: UnifyContext) -> list[Chart]:
    axes = [k for k in _AXES if k in context.varied]
    pairs = [(a, b) for n, a in enumerate(axes) for b in axes[n + 1 :]]
    # Neighbours first: p by skew, then skew by cue.
    pairs.sort(key=lambda pair: axes.index(pair[1]) - axes.index(pair[0]))
    charts = (_diagram(context, *pair) for pair in pairs)
    return [chart for chart in charts if chart is not None][:2]


def _diagram(context: UnifyContext, across: str, down: str) -> Chart | None:
    """A square per condition; None unless enough of them share all other knobs."""
    rest = [k for k in context.varied if k not in (across, down)]
    own = context.conditions
    own = own.with_columns(panel=named(own, rest))
    wide = (pl.col(across).n_unique() >= 2) & (pl.col(down).n_unique() >= 2) & (pl.len() >= 4)
    own = own.filter(wide.over("panel"))
    panels = own["panel"].unique(maintain_order=True).to_list()
    if not own.height or len(panels) > _MOST_PANELS:
        return None
    values = {k: _values(own, k) for k in (across, down)}
    whole = (
        pl.DataFrame({"panel": panels})
        .join(values[across].rename({"key": across, "words": "x"}), how="cross")
        .join(values[down].rename({"key": down, "words": "y"}), how="cross")
    )
    frame = whole.join(own, on=["panel", across, down], how="left", maintain_order="left")
    frame = marked(frame, "acc_x", (0, 1)).with_columns(
        glyph=pl.col("label").replace_strict(LABELS, default="", return_dtype=pl.String),
        u=pl.col("u_norm").map_elements(_short, return_dtype=pl.String),
        state=pl.when("empty").then(pl.lit("not tested")).otherwise("label"),
    )
    orders = values[across]["words"].to_list(), values[down]["words"].to_list()
    layers = squares(
        {"shorthand": "x:N", "sort": orders[0], "title": KNOBS[across],
         "axis": alt.Axis(labelAngle=0 if across != "cue" else -40)},
        {"shorthand": "y:N", "sort": orders[1][::-1], "title": KNOBS[down]},
        "acc_x", "acc_X",
        {"condition": ("condition", ""), "acc_x": ("acc_X", ".1%"), "acc_x_lo": ("from", ".1%"),
         "acc_x_hi": ("to", ".1%"), "u_norm": ("U_norm", ".2f"), "state": ("label", ""),
         "seeds": ("seeds", "d"), "marks": ("note", "")},
        lines=("glyph", "u"),
    )  # fmt: skip
    untested = int(frame["empty"].sum())
    return Chart(
        f"unify-phase-{across}-{down}".replace("_", "-"),
        f"Phase diagram: {KNOBS[across]} by {KNOBS[down]}",
        "Colour: accuracy on held-out cells; ● unified, ◐ partial, ○ separated; number: U_norm. "
        f"Hatched: not tested, or without held-out cells ({untested}). "
        + context.said(of=own["condition"].to_list()),
        f"Grid of squares of accuracy on held-out cells, {KNOBS[across]} by {KNOBS[down]}, "
        f"{len(panels)} panels.",
        shapes.panels(layers, "panel", panels, height=max(60, 32 * len(orders[1]))),
        frame.with_columns(interval("acc_x", "acc_x_lo", "acc_x_hi"),
                           interval("u_norm", "u_norm_lo", "u_norm_hi")),
        {"panel": "Other knobs", "x": KNOBS[across], "y": KNOBS[down], "acc_x_ci": "acc_X",
         "u_norm_ci": "U_norm", "state": "Label", "seeds": "Seeds", "marks": "Note"},
        {"acc_x_ci": "interval", "u_norm_ci": "interval.number"},
        "panels",
    )  # fmt: skip


def _values(own: pl.DataFrame, knob: str) -> pl.DataFrame:
    """The knob's values in order, with words short enough for an axis."""
    if knob == "cue":
        keys = by_reading(own)
        return pl.DataFrame({"key": keys, "words": [knob_value(knob, k) for k in keys]})
    numbers = own[knob].drop_nulls().unique().sort()
    return pl.DataFrame({"key": numbers, "words": [f"{n:g}" for n in numbers]})


def _short(value: float) -> str:
    return f"{value:.2f}".replace("0.", ".", 1).replace("-", "−")
