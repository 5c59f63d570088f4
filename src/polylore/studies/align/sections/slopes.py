"""From one model to another: a line per group of languages."""

from typing import Any

import altair as alt
import polars as pl

from polylore.facts.choices.known import LEVELS
from polylore.report import Chart, interval, shapes
from polylore.report.axes import rows
from polylore.report.numbers import number_axis
from polylore.studies.align.context import AlignContext, slug

GROUPS = {
    "pivot": "pivot",
    "target": "target",
    "others_in": "others in the mix",
    "others_out": "others out of the mix",
}
"""Groups of languages in plain words."""


def slope_charts(context: AlignContext) -> list[Chart]:
    """Both ends of every difference, with the interval of the change.

    One chart per comparison with a panel per level, or the other way round where that is fewer.
    """
    effects = context.table("align_effects")
    if effects is None:
        return []
    found = [
        row | ends
        for row in effects.filter(pl.col("group").is_in(list(GROUPS))).iter_rows(named=True)
        if (ends := _ends(context, row)) is not None
    ]
    if not found:
        return []
    wide = pl.DataFrame(found).with_columns(
        words=pl.col("group").replace_strict(GROUPS, return_dtype=pl.String()),
        pair=pl.format("{} → {}", "minus", "arm"),
        from_lo=pl.col("start") + pl.col("lo"),
        to_hi=pl.col("start") + pl.col("hi"),
    )
    by, panel = ("pair", "level") if _more(wide, "level", "pair") else ("level", "pair")
    if panel == "pair" and wide["minus"].n_unique() == 1:
        panel = "arm"
    return [
        _chart(str(title), panel, rows_)
        for (title,), rows_ in wide.group_by([by], maintain_order=True)
    ]


def _more(frame: pl.DataFrame, a: str, b: str) -> bool:
    return frame[a].n_unique() >= frame[b].n_unique()


def _chart(title: str, panel: str, wide: pl.DataFrame) -> Chart:
    keys = [panel, "minus", "metric", "words", "langs_text", "delta", "lo", "hi"]
    frame = pl.concat(
        [
            wide.select(*keys, side=pl.lit("before"), value="start", low="start", high="start"),
            wide.select(*keys, side=pl.lit("after"), value="end", low="from_lo", high="to_hi"),
        ]
    )
    order = [words for words in GROUPS.values() if words in set(frame["words"])]
    colour = alt.Color(
        "words:N", scale=alt.Scale(domain=order), legend=alt.Legend(title=None, symbolOpacity=1)
    )
    x = alt.X("side:N", sort=["before", "after"], title=None,
              axis=alt.Axis(labelAngle=0), scale=alt.Scale(padding=0.25))  # fmt: skip
    relative = set(frame["metric"]) == {"ra"}
    label = "relative accuracy" if relative else "accuracy, corrected for chance"
    y = number_axis(frame, "value", label, "low", "high", axis=alt.Y)
    tips = [
        alt.Tooltip(f"{panel}:N", title=""), alt.Tooltip("words:N", title="languages"),
        alt.Tooltip("langs_text:N", title="which"),
        alt.Tooltip("value:Q", title="here", format=".3f"),
        alt.Tooltip("delta:Q", title="change", format="+.3f"),
        alt.Tooltip("lo:Q", title="from", format="+.3f"),
        alt.Tooltip("hi:Q", title="to", format="+.3f"),
    ]  # fmt: skip
    chart = alt.Chart(rows())
    layers = [
        chart.mark_line().encode(x=x, y=y, color=colour),
        chart.mark_rule(strokeWidth=2, opacity=0.55).encode(
            x=x, y=alt.Y("low:Q"), y2="high", color=colour
        ),
        chart.mark_point(size=40, opacity=1).encode(x=x, y=y, color=colour, tooltip=tips),
    ]
    panels = frame[panel].unique(maintain_order=True).to_list()
    said = f"From {wide['minus'][0]}. " if panel == "arm" else ""
    return Chart(
        f"align-slopes-{slug(title)}",
        f"Before and after: {title}",
        f"{said}Mean over the languages of a group; the line at the end is the 95 % interval of "
        "the change (paired: the same items on both sides). "
        + ("RA, unclipped." if relative else "0 is guessing, 1 all right."),
        "Slope charts of accuracy before and after, one line per group of languages.",
        shapes.panels(layers, panel, panels, height=150),
        frame.with_columns(interval("delta")),
        {panel: "What", "words": "Languages", "langs_text": "which", "side": "Side",
         "value": "Value", "delta_ci": "Change"},
        {"delta_ci": "interval"},
        "panels",
    )  # fmt: skip


def _ends(context: AlignContext, row: dict[str, Any]) -> dict[str, Any] | None:
    """Mean of both models over the sets and languages of an effect."""
    level = str(row["level"])
    cells = context.tables["align_cells"].filter(
        context.headline
        & pl.col("dataset").is_in(LEVELS.get(level, (level,)))
        & pl.col("lang").is_in(row["langs"])
    )
    metric = str(row["metric"])
    means = [
        context.last(cells.filter(pl.col("model") == row[side]))[metric].mean()
        for side in ("minus", "arm")
    ]
    if None in means:
        return None
    return {"start": means[0], "end": means[1], "langs_text": ", ".join(row["langs"])}
