"""What was put into the stream, what it cost the background, and what each says already."""

import altair as alt
import polars as pl

from polylore.report import Block, Chart, Prose, TableView, shapes
from polylore.studies.inject.context import InjectContext, plural


def dose(context: InjectContext) -> Chart | None:
    """Rows with a passage, step by step."""
    table = context.table("inject_dose")
    if table is None or not (table["injected_rows"] > 0).any():
        return None
    names = table["run_id"].unique(maintain_order=True).to_list()[:8]
    frame = table.filter(pl.col("run_id").is_in(names)).sort("run_id", "step")
    top = max(float(frame["loss_share"].max()), float(frame["row_share"].max()))  # type: ignore[arg-type]
    drawn = [
        alt.Chart(alt.NamedData(name="rows"))
        .mark_bar(width=1.5)
        .encode(
            x=alt.X("step:Q", title="step", axis=alt.Axis(tickCount=4)),
            y=alt.Y("loss_share:Q", title="share of the loss", axis=alt.Axis(format=".1~%"),
                    scale=alt.Scale(domain=[0, top * 1.05], nice=False)),
            tooltip=[alt.Tooltip("step:Q"), alt.Tooltip("injected_rows:Q", title="rows"),
                     alt.Tooltip("injected_tokens:Q", title="tokens"),
                     alt.Tooltip("loss_share:Q", title="share of the loss", format=".2%"),
                     alt.Tooltip("row_share:Q", title="share of rows", format=".2%")],
        )
    ]  # fmt: skip
    total = int(table.filter(run_id=names[0])["injected_tokens"].sum())
    return Chart(
        "inject-dose",
        "Dose per step",
        "Share of a step's loss weight that falls on injected tokens; the pop-up has rows and "
        f"tokens. {total:,} tokens are injected in {names[0]}. One seed of each condition.",
        "Bars of the share of the loss that is injected, step by step.",
        shapes.panels(drawn, "run_id", names, height=110),
        frame,
        {"run_id": "Run", "step": "Step", "injected_rows": "Rows", "injected_tokens": "Tokens",
         "displaced_tokens": "Displaced", "row_share": "Share of rows",
         "loss_share": "Share of the loss"},
        {"row_share": "share", "loss_share": "share"},
        "panels",
    )  # fmt: skip


def losses(context: InjectContext) -> TableView | None:
    """What injection costs the background: runs that inject beside those that do not."""
    table = context.table("_losses")
    if table is None:
        return None
    return TableView(
        "inject-losses",
        "Loss of the background, held out",
        "Text of the background that no run reads, in nats per token, at the first and the last "
        "reading. What passages cost is the rise beyond that of the run on the background alone, "
        "from the same checkpoint to the same state; empty without such a run.",
        table,
        {
            "run_id": "Run",
            "role": "Role",
            "lang": "Language",
            "start": "Start",
            "end": "End",
            "rise": "Rise",
            "beyond": "Beyond background alone",
        },
        dict.fromkeys(("start", "end", "rise", "beyond"), "number") | {"lang": "lang"},
    )


def contamination(context: InjectContext) -> Block | None:
    """What the background says already."""
    table = context.tables.get("inject_contamination")
    if table is None:
        return None
    if not table.height:
        return Prose(("The background stream holds no subject's name and no eight tokens of a "
                      "passage.",))  # fmt: skip
    return TableView(
        "inject-contamination",
        f"{table.height} {plural(table.height, 'trace')} of items in the background",
        "What the background stream already says of the items: their gains may be too small.",
        table,
        {"item_id": "Item", "kind": "Kind", "text": "Found", "place": "Where"},
    )


def lint(context: InjectContext) -> TableView | None:
    """What makes probes easier or harder than they look."""
    table = context.tables.get("inject_lint")
    if table is None or not table.height:
        return None
    return TableView(
        "inject-lint",
        "What the linter finds in the items",
        "What makes a probe easier or harder than it looks, with the arms of the first run.",
        table.with_columns(pl.col("examples").list.join("; ")),
        {"severity": "Severity", "rule": "Rule", "lang": "Language", "count": "Places",
         "message": "What it means", "examples": "For example"},
        {"lang": "lang"},
    )  # fmt: skip
