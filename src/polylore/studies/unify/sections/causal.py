"""Is there shared retrieval, or only likeness: edits that carry over, and patches."""

import altair as alt
import polars as pl

from polylore.metrics.unification import mean_over_seeds
from polylore.report import Block, Chart, Page, TableView, interval, shapes
from polylore.report.axes import share, upper
from polylore.report.numbers import in_lines, wrapped
from polylore.report.squares import marked, squares
from polylore.studies.unify.context import PANELS, UnifyContext

SETS = {"x": "facts told in one language", "parallel": "facts told in both"}
_ARMS = {"hit_rand": "unrelated", "hit_cross": "other lang.", "hit_same": "same value"}


def causal_page(context: UnifyContext) -> Page | None:
    """None without causal checks."""
    causal = context.table("unify_causal")
    if causal is None:
        return None
    who = context.runs.filter("used").select("run_hash", "condition", "seed")
    rows = causal.join(who, on="run_hash", maintain_order="left")
    blocks: list[Block] = []
    blocks += [b for b in (_edits(context), *_patches(context, rows)) if b is not None]
    blocks.append(_table(rows))
    lead = (
        "Alike is not shared. A new value is taught in one language and asked for in the other; "
        "states of one language are put into prompts of the other."
    )
    return Page("causal", "Causal checks", lead, tuple(blocks))


def edit_transfer(context: UnifyContext, group: str = "x") -> pl.DataFrame:
    """Edit transfer by condition: mean over seeds; of a single run its interval over facts."""
    causal = context.table("unify_causal")
    schema = {"condition": pl.String, "et": pl.Float64, "lo": pl.Float64, "hi": pl.Float64,
              "seeds": pl.Int64}  # fmt: skip
    if causal is None:
        return pl.DataFrame(schema=schema)
    who = context.runs.filter("used").select("run_hash", "condition")
    own = causal.filter(check="edit", set=group).join(who, on="run_hash").drop_nulls("et")
    rows = []
    for (condition,), part in own.group_by(["condition"], maintain_order=True):
        e = mean_over_seeds(part["et"].to_list())
        alone = part.height == 1
        lo, hi = (part["lo"][0], part["hi"][0]) if alone else (e.lo, e.hi)
        rows.append((condition, e.value, lo, hi, part.height))
    return pl.DataFrame(rows, schema=schema, orient="row")


def _edits(context: UnifyContext) -> Chart | None:
    parts = [
        edit_transfer(context, group).with_columns(series=pl.lit(words))
        for group, words in SETS.items()
    ]
    frame = pl.concat(parts).filter(pl.col("condition").is_in(context.shown))
    if not frame.height:
        return None
    about = context.conditions.select("condition", "chance", "acc_x", "marks")
    frame = frame.join(about, on="condition", maintain_order="left")
    frame = frame.with_columns(label=pl.Series(wrapped(frame["condition"]), dtype=pl.String))
    there = set(frame["condition"])
    order = wrapped([c for c in context.shown if c in there])
    spec = shapes.dots(
        share("et", "edits that carry over", upper(frame, "et", "hi")),
        "label",
        order,
        {"condition": ("condition", ""), "series": ("", ""), "et": ("carry over", ".1%"),
         "lo": ("from", ".1%"), "hi": ("to", ".1%"), "acc_x": ("acc_X", ".1%"),
         "chance": ("chance", ".1%"), "seeds": ("seeds", "d")} | context.note,
        series="series", series_order=[w for w in SETS.values() if w in set(frame["series"])],
        reference="chance",
    )  # fmt: skip
    return Chart(
        "unify-edits",
        "Edits that carry over",
        "Of the edits that took in the language they were taught in, those that the other language "
        "answers as well; grey tick: chance. That a fact is known in both languages does not make "
        "it one fact. Line: 95 % over seeds (of a single run: over its facts). "
        + context.said(of=context.shown, score=False),
        "Dot plot of the share of edits that carry to the other language, by condition.",
        in_lines(spec, order),
        frame.with_columns(interval("et")),
        {"condition": "Condition", "series": "Facts", "seeds": "Seeds", "et_ci": "Carry over",
         "acc_x": "acc_X", "chance": "Chance", "marks": "Note"},
        {"et_ci": "interval", "acc_x": "share", "chance": "share"},
        "half",
    )  # fmt: skip


def _patches(context: UnifyContext, rows: pl.DataFrame) -> list[Chart]:
    few = context.few(PANELS)
    own = rows.filter(pl.col("check") == "patch", pl.col("condition").is_in(few))
    charts = []
    for position in ("name", "answer"):
        here = own.filter(position=position)
        if here.height:
            charts.append(_patch_grid(context, here, position, few))
    return charts


def _patch_grid(context: UnifyContext, here: pl.DataFrame, position: str, few: list[str]) -> Chart:
    means = here.group_by("condition", "layer", maintain_order=True).agg(
        pl.col(*_ARMS, "cu").mean(), n=pl.col("n").sum(),
        reason=pl.col("reason").drop_nulls().first().str.extract(r"^([^:]+)"),
        informative=pl.col("cu").count(), seeds=pl.len(),
    )  # fmt: skip
    frame = means.unpivot(
        on=list(_ARMS), index=["condition", "layer", "cu", "n", "informative", "seeds", "reason"],
        variable_name="arm", value_name="hit",
    ).with_columns(
        arm=pl.col("arm").replace_strict(_ARMS, return_dtype=pl.String),
        words=pl.col("hit").map_elements(lambda v: f"{v:.2f}", return_dtype=pl.String),
    )  # fmt: skip
    frame = marked(frame, "hit", (0, 1))
    layers = frame["layer"].unique().sort(descending=True).to_list()
    there = [c for c in few if c in set(frame["condition"])]
    parts = squares(
        {"shorthand": "arm:N", "sort": list(_ARMS.values()), "title": None,
         "axis": alt.Axis(labelAngle=0)},
        {"shorthand": "layer:O", "sort": layers, "title": "hidden state"},
        "hit", "answers the patched fact's value",
        {"condition": ("condition", ""), "layer": ("hidden state", "d"), "arm": ("state of", ""),
         "hit": ("answers it", ".1%"), "cu": ("CU", ".2f"),
         "informative": ("seeds with a CU", "d"), "seeds": ("of", "d"), "n": ("patches", "d")},
        lines=("words",),
    )  # fmt: skip
    say = (
        "The answer position already carries the value, so states of another language work there "
        "in unified and in separated worlds alike: a shared output space, not shared retrieval."
        if position == "answer"
        else "Small networks read the name in the first layer, so from there on even the state of "
        "the same value may change nothing; then the cell says nothing about sharing."
    )
    return Chart(
        f"unify-patch-{position}",
        f"Patches at the {position}",
        "Share of prompts that answer the value of the fact whose state was put in: a fact of the "
        "language with the same value (what a patch can do), the fact itself in the other "
        "language, an unrelated fact. Hidden state 0 is a token swap and no evidence. Hatched: no "
        f"such fact exists. {say} Mean over seeds. "
        + context.said(of=there, score=False),
        f"Heat maps of answers after patching the {position}, hidden state by kind of patch.",
        shapes.panels(parts, "condition", there, height=max(54, 24 * len(layers))),
        frame,
        {"condition": "Condition", "layer": "Hidden state", "arm": "State of", "hit": "Answers it",
         "cu": "CU", "informative": "Seeds with a CU", "seeds": "Seeds", "n": "Patches",
         "reason": "Why no CU"},
        {"hit": "share"},
        "panels",
    )  # fmt: skip


_SHARES = ("hit_cross", "hit_rand", "hit_same", "hit_src", "source_new", "old_kept", "retention")


def _table(rows: pl.DataFrame) -> TableView:
    frame = rows.with_columns(
        pl.col("set").replace(SETS),
        pl.col("reason").str.extract(r"^([^:]+)"),
        score=pl.coalesce("et", "cu"),
    ).with_columns(interval("score"))
    return TableView(
        "unify-causal-table",
        "All causal checks",
        "One row per run, check, hidden state and position. Score: ET, the share of edits that "
        "carry over, or CU = (cross − unrelated)/(same − unrelated), which is uninformative where "
        "same − unrelated is below .5. Intervals are over facts.",
        frame,
        {"condition": "Condition", "seed": "Seed", "check": "Check", "set": "Facts",
         "layer": "Hidden state", "position": "Position", "n": "n", "score_ci": "ET or CU",
         "reason": "Why none", "hit_cross": "Cross", "hit_rand": "Unrelated", "hit_same": "Same",
         "hit_src": "Source token", "source_new": "Edit took", "old_kept": "Old kept",
         "retention": "Retention"},
        {"score_ci": "interval.number"} | dict.fromkeys(_SHARES, "share"),
    )  # fmt: skip
