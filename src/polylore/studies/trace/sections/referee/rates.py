"""Transfer rates: estimated from answers and counts, and true."""

import altair as alt
import polars as pl

from polylore.report import Block, Chart, interval, shapes
from polylore.studies.trace.context import Context, with_interval, with_names
from polylore.studies.trace.sections.referee.rows import BEST, conditions

TRUE, ESTIMATED = "true: told in the pivot alone, against told nowhere", "estimated"


def rate_rows(context: Context) -> pl.DataFrame | None:
    """True and estimated rates at the last checkpoint, run by run."""
    table = context.table("true_rates")
    if table is None or context.final is None:
        return None
    rows = table.filter(
        (pl.col("ckpt_id") == context.final)
        & (pl.col("info_level") == BEST)
        & pl.col("seed").is_not_null()
    ).drop_nulls(["true_rate", "t"])
    return with_names(rows) if rows.height else None


def rate_blocks(context: Context) -> list[Block]:
    """The figure of rates, if there are any."""
    rows = rate_rows(context)
    if rows is None:
        return []
    several = rows["seed"].n_unique() > 1
    place = pl.format("{}, run {}", "language", "seed") if several else pl.col("language")
    rows = rows.with_columns(place=place)
    common = ["matcher", "n_pivot_only", "n_none", "acc_pivot_only", "acc_none", "place"]
    sides = {TRUE: "true_rate", ESTIMATED: "t"}
    frame = pl.concat(
        [
            rows.select(
                *common,
                series=pl.lit(words),
                rate=name,
                lo=f"{name}_lo",
                hi=f"{name}_hi",
                n=pl.col("n_pivot_only") + pl.col("n_none"),
            )
            for words, name in sides.items()
        ]
    )
    form = ".1%"
    spec = shapes.dots(
        alt.X("rate:Q", title="transfer rate", axis=alt.Axis(format=".0%", tickCount=5)),
        "place",
        frame["place"].unique(maintain_order=True).to_list(),
        {"place": ("language", ""), "series": ("rate", ""), "rate": ("rate", form),
         "lo": ("from", form), "hi": ("to", form), "acc_pivot_only": ("told in the pivot", form),
         "acc_none": ("told nowhere", form)},
        series="series",
        series_order=list(sides),
        rule=0.0,
    )  # fmt: skip
    words = [
        f"{r['place']} {r['series'].split(':')[0]} {with_interval(r['rate'], r['lo'], r['hi'])}"
        for r in frame.iter_rows(named=True)
    ]
    return [
        Chart(
            "referee-rates",
            "Transfer rate: estimated and true",
            "Share of the facts known in the pivot that become known in the language without being "
            "told there. The estimate saw answers and counts only. Facts whose answer is spelled "
            f"otherwise than in the pivot. {conditions(context, frame)}",
            "Dot plot of estimated and true transfer rates: " + "; ".join(words) + ".",
            spec,
            frame.with_columns(interval("rate")),
            {"place": "Language", "series": "Rate", "rate_ci": "Transfer rate",
             "n_pivot_only": "Told in the pivot alone", "acc_pivot_only": "Right",
             "n_none": "Told nowhere", "acc_none": "Right by guessing"},
            {"rate_ci": "interval", "acc_pivot_only": "share", "acc_none": "share"},
            "half",
        )
    ]  # fmt: skip
