"""Can a fact learned in one language be retrieved in another?"""

import altair as alt
import polars as pl

from polylore.report import Block, Chart, Page, TableView, interval, shapes
from polylore.studies.align.context import AlignContext, slug
from polylore.studies.align.sections.hops import hop_chart, learning_chart

_HOPS = {"p_h1": "name", "p_h2": "fact", "p_h3": "answer", "p_all": "all three"}


def conductivity_page(context: AlignContext) -> Page | None:
    """None in a run that measured no conductivity."""
    found = context.table("align_conductivity")
    if found is None:
        return None
    rows = found.filter((pl.col("subset") == "valid") & (pl.col("scoring") == "default"))
    blocks: list[Block] = [
        _matrix(str(arm), str(design), own)
        for (arm, design), own in rows.group_by(["arm", "design"], maintain_order=True)
    ]
    last = rows.filter(pl.col("step") == pl.col("step").max().over("run_id"))
    blocks += [c for c in (hop_chart(last), learning_chart(context)) if c is not None]
    blocks += [_table(found), *_gates(context)]
    lead = (
        "Of the facts known in the language they were taught in: which are known in the other, "
        "beyond what the model's own answers would hit by chance?"
    )
    return Page("conductivity", "Conductivity", lead, tuple(blocks))


def _gates(context: AlignContext) -> list[Block]:
    gates = context.table("align_gates")
    if gates is None:
        return []
    return [
        TableView(
            "align-gates",
            "What was learned",
            "Share right of every component with its Wilson interval, and whether that passes the "
            "gate. Only what a run trained counts for its own gate; the published gate also asks "
            "for translations into the target, which the published rows do not teach.",
            gates.with_columns(
                pl.col("passed", "trained").replace_strict({True: "yes", False: "no"}, default=None)
            ),
            {"arm": "Arm", "seed": "Seed", "step": "Step", "source": "Source", "target": "Target",
             "component": "Component", "n": "Probes", "value": "Right", "lo": "from",
             "hi": "to", "threshold": "Gate",
             "passed": "Passed", "trained": "Trained"},
            {"source": "lang", "target": "lang", "value": "share", "lo": "share", "hi": "share"},
        )
    ]  # fmt: skip


def _matrix(arm: str, design: str, rows: pl.DataFrame) -> Chart:
    last = rows.filter(pl.col("step") == pl.col("step").max().over("run_id"))
    seeds = last["seed"].n_unique()
    # Seeds have intervals of their own in the table; the picture shows their mean.
    frame = last.group_by("source", "target", maintain_order=True).agg(
        pl.col("cd").mean(),
        pl.col("cd_lo").min(),
        pl.col("cd_hi").max(),
        pl.col("acc_s").mean(),
        pl.col("acc_t").mean(),
        pl.col("n").max(),
        pl.col("known").min(),
        pl.col("note").is_not_null().any().alias("few"),
        pl.col("gate_pass").all(),
    )
    frame = frame.with_columns(
        mark=pl.when(pl.col("gate_pass").fill_null(False))
        .then(pl.col("cd").round(2).cast(pl.String).fill_null("–"))
        .otherwise(pl.lit("gate")),
        shown=pl.when("gate_pass").then("cd"),
    )
    ceilings = frame.group_by("source", maintain_order=True).agg(pl.col("acc_s").mean())
    corners = ceilings.with_columns(
        target=pl.col("source"), mark=pl.format("({})", pl.col("acc_s").round(2))
    )
    drawn = pl.concat([frame, corners], how="diagonal")
    order = sorted({*frame["source"], *frame["target"]})
    few = [
        f"{source}>{target} on {known}"
        for source, target, known in frame.filter("few")
        .select("source", "target", "known")
        .iter_rows()
    ]
    spec = shapes.heat_map(
        alt.X("target:N", sort=order, title="target", axis=alt.Axis(labelAngle=0)),
        alt.Y("source:N", sort=order, title="source"),
        "shown",
        "conductivity",
        {"source": ("source", ""), "target": ("target", ""), "cd": ("conductivity", ".2f"),
         "cd_lo": ("from", ".2f"), "cd_hi": ("to", ".2f"), "acc_s": ("right in source", ".0%"),
         "acc_t": ("right in target", ".0%")},
        form=".1f",
        row=26,
        rows_count=frame["source"].n_unique(),
        mark="mark",
    )  # fmt: skip
    return Chart(
        f"align-conductivity-{slug(arm)}-{slug(design)}",
        f"{arm}: from source to target",
        "0: what the model's own answers hit by chance; 1: all that is known in the source. "
        "`gate`: what was taught was not learned, so the cell says nothing; in brackets: right in "
        f"the source itself, the ceiling. Design {design}; "
        + (f"mean of {seeds} seeds, widest interval. " if seeds > 1 else "one seed. ")
        + f"n = {frame['n'].max()}."
        + (f" Few items: {', '.join(few)} facts known in the source." if few else ""),
        "Heat map of conductivity, source by target language.",
        spec,
        drawn.with_columns(interval("cd", "cd_lo", "cd_hi")),
        {"source": "Source", "target": "Target", "cd_ci": "Conductivity", "acc_s": "in source",
         "acc_t": "in target", "n": "n", "known": "rests on", "gate_pass": "Gate passed"},
        {"source": "lang", "target": "lang", "cd_ci": "interval", "acc_s": "share",
         "acc_t": "share"},
        "half",
    )  # fmt: skip


def _table(found: pl.DataFrame) -> TableView:
    return TableView(
        "align-hops",
        "Every form, and where the way breaks",
        "Three hops: the name into the source language, the fact there, the answer back. "
        "Predicted: what would be right in the target if hops were joined.",
        found,
        {"arm": "Arm", "seed": "Seed", "step": "Step", "source": "Source", "target": "Target",
         "subset": "Facts", "scoring": "Scoring", "n": "n", "acc_s": "in source",
         "acc_t": "in target", "xrr_a": "acc", "xrr_b": "ratio (published)", "xrr_c": "corrected",
         "xrr_d": "given source", "cd": "Conductivity", "cd_lo": "from", "cd_hi": "to",
         "known": "rests on", "note": "Note", **_HOPS, "predicted": "Predicted", "gap": "Gap",
         "gate_pass": "Gate",
         "gate_paper": "Published gate"},
        {"source": "lang", "target": "lang"},
    )  # fmt: skip
