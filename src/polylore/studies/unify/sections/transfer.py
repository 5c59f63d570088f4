"""What each condition came to: transfer, unification, losses, each beside its baselines."""

import polars as pl

from polylore.report import Block, Chart, Page, Prose, TableView, interval, shapes
from polylore.report.axes import share, upper
from polylore.report.numbers import in_lines, number_axis, wrapped
from polylore.studies.unify.context import SHOWN, UnifyContext

_TIPS = {
    "condition": ("condition", ""),
    "series": ("", ""),
    "value": ("mean", ".3f"),
    "lo": ("from", ".3f"),
    "hi": ("to", ".3f"),
    "seeds": ("seeds", "d"),
}
HELD_OUT, TRAINED, NEVER = "held-out cells X", "training cells", "never-seen entities"
TRAINED_U, STEP0, FRESH, SHUFFLED = "trained", "step 0", "fresh initialisations", "shuffled pairs"


def transfer_page(context: UnifyContext) -> Page:
    """Always there."""
    blocks: list[Block] = []
    few = context.shown
    if len(few) < context.conditions.height:
        blocks.append(
            Prose((f"Of {context.conditions.height} conditions the charts of this part show "
                   f"{SHOWN} that span the accuracy on held-out cells; the table has all.",))
        )  # fmt: skip
    blocks.append(_accuracies(context))
    blocks += [b for b in (_scores(context), _losses(context)) if b is not None]
    blocks.append(_table(context))
    if context.again.drop_nulls().height:
        blocks.append(_again(context))
    lead = (
        "Is a fact that was told in one language only recalled in the other, and are its "
        "representations in both alike? Every number stands beside what no knowledge would give."
    )
    return Page("transfer", "Transfer and unification", lead, tuple(blocks))


def stacked(context: UnifyContext, columns: dict[str, str]) -> pl.DataFrame:
    """Numbers of the conditions shown, one row per condition and series, nulls left out."""
    own = context.conditions.filter(pl.col("condition").is_in(context.shown))
    parts = [
        own.select(
            "condition", "seeds", "marks", "chance", series=pl.lit(words), value=column,
            lo=f"{column}_lo" if f"{column}_lo" in own.columns else pl.lit(None, pl.Float64),
            hi=f"{column}_hi" if f"{column}_hi" in own.columns else pl.lit(None, pl.Float64),
        )
        for column, words in columns.items()
    ]  # fmt: skip
    order = {words: k for k, words in enumerate(columns.values())}
    place = {name: k for k, name in enumerate(context.shown)}
    rank = pl.col("series").replace_strict(order, return_dtype=pl.Int32)
    by = pl.col("condition").replace_strict(place, return_dtype=pl.Int32)
    frame = pl.concat(parts).drop_nulls("value").sort(by, rank)
    return frame.with_columns(label=pl.Series(wrapped(frame["condition"]), dtype=pl.String))


def _accuracies(context: UnifyContext) -> Chart:
    frame = stacked(context, {"acc_x": HELD_OUT, "acc_train": TRAINED, "acc_never": NEVER})
    there = [s for s in (HELD_OUT, TRAINED, NEVER) if s in set(frame["series"])]
    spec = shapes.dots(
        share("value", "share right", upper(frame, "value", "hi")),
        "label", wrapped(context.shown), _TIPS | {"chance": ("chance", ".3f")} | context.note,
        series="series", series_order=there, reference="chance",
    )  # fmt: skip
    absent = (
        "" if HELD_OUT in there else "There are no held-out cells, so transfer is not defined. "
    )
    return Chart(
        "unify-accuracy",
        "Recall at the end",
        f"{absent}Arg max over the whole vocabulary; grey tick: chance, one over the number of "
        "values. A model that keeps its languages apart may lie below it: it answers from the "
        "wrong language's values. Line: 95 % interval, of acc_X over seeds and their "
        "entities. " + context.said(of=context.shown, score=False),
        "Dot plot of the share of cells answered right by condition.",
        in_lines(spec, wrapped(context.shown)),
        frame.with_columns(interval("value")),
        {"condition": "Condition", "series": "Cells", "seeds": "Seeds", "value_ci": "Share right",
         "chance": "Chance", "marks": "Note"},
        {"value_ci": "interval", "chance": "share"},
        "half",
    )  # fmt: skip


def _scores(context: UnifyContext) -> Chart | None:
    frame = stacked(
        context, {"u_norm": TRAINED_U, "u_step0": STEP0, "u_fresh": FRESH, "u_null": SHUFFLED}
    )
    if not frame.height:
        return None
    there = [s for s in (TRAINED_U, STEP0, FRESH, SHUFFLED) if s in set(frame["series"])]
    spec = shapes.dots(
        number_axis(frame, "value", "U_norm", "lo", "hi"), "label",
        wrapped(context.shown), _TIPS | context.note,
        series="series", series_order=there, rule=0,
    )  # fmt: skip
    return Chart(
        "unify-score",
        "Unification at the end",
        "U_norm = (par − within)/(1 − within): 1 if a fact's states in two languages coincide, 0 "
        "if they are no more alike than different facts in one language. Untrained networks score "
        "high where tokens are shared, so step 0 and fresh copies stand beside it; its level is "
        "not comparable between worlds. " + context.said(of=context.shown),
        "Dot plot of the unification score by condition, with three baselines.",
        in_lines(spec, wrapped(context.shown)),
        frame.with_columns(interval("value")),
        {"condition": "Condition", "series": "Network", "seeds": "Seeds", "value_ci": "U_norm",
         "marks": "Note"},
        {"value_ci": "interval.number"},
        "half",
    )  # fmt: skip


def _losses(context: UnifyContext) -> Chart | None:
    words = {"loss_x": "loss on held-out cells", "loss_uniform": "no knowledge, H(V|r)",
             "loss_language": "knowing only the language, H(V|r, language)"}  # fmt: skip
    frame = stacked(context, words)
    if not frame.filter(pl.col("series") == words["loss_x"]).height:
        return None
    spec = shapes.dots(
        number_axis(frame, "value", "nats", "lo", "hi", zero=True), "label",
        wrapped(context.shown), _TIPS | context.note, series="series",
        series_order=list(words.values()),
    )  # fmt: skip
    return Chart(
        "unify-loss",
        "Loss on held-out cells",
        "Above both baselines the model does not merely know nothing: it is sure of wrong answers. "
        + context.said(of=context.shown, score=False),
        "Dot plot of the loss on held-out cells by condition, with two no-knowledge baselines.",
        in_lines(spec, wrapped(context.shown)),
        frame.with_columns(interval("value")),
        {"condition": "Condition", "series": "Loss", "seeds": "Seeds", "value_ci": "Nats",
         "marks": "Note"},
        {"value_ci": "interval.number"},
        "half",
    )  # fmt: skip


def _again(context: UnifyContext) -> TableView:
    """How far a score depends on which items were drawn."""
    apart = (pl.col("again") - pl.col("u_norm")).abs()
    rows = context.again.drop_nulls()
    frame = rows.group_by("condition", maintain_order=True).agg(
        pl.len().alias("runs"), pl.col("u_norm").mean(), pl.col("again").mean(),
        most=apart.max(),
    )  # fmt: skip
    apart_all = frame["most"].max()
    return TableView(
        "unify-second-sample",
        "Other items",
        "U_norm at the end of the same runs, of the sample of facts that all other numbers are of "
        f"and of a second one, drawn anew. Over {rows.height} runs they differ by at most "
        f"{apart_all:.3f}.",
        frame,
        {"condition": "Condition", "runs": "Runs", "u_norm": "First sample",
         "again": "Second sample", "most": "Largest difference in a run"},
    )  # fmt: skip


_COLUMNS = {
    "condition": "Condition", "family": "Family", "marks": "Note", "seeds": "Seeds",
    "label": "Label", "acc_x_ci": "acc_X", "chance": "Chance", "acc_train_ci": "Training cells",
    "loss_x_ci": "Loss on X", "loss_uniform": "H(V|r)", "loss_language": "H(V|r, language)",
    "u_norm_ci": "U_norm last", "u_mid_ci": "U_norm middle", "u_step0": "Step 0",
    "u_fresh": "Fresh", "u_null": "Shuffled", "u_excess_ci": "Excess over step 0",
    "u_diff_ci": "U_diff", "u_pair_ci": "U_pair", "c_ci": "Checkerboard C",
    "u_centred_ci": "U_norm, languages centred", "ret1_ci": "Retrieval",
}  # fmt: skip


def _table(context: UnifyContext) -> TableView:
    intervals = [n.removesuffix("_ci") for n in _COLUMNS if n.endswith("_ci")]
    frame = context.conditions.with_columns(
        interval(n, f"{n}_lo", f"{n}_hi").alias(f"{n}_ci")
        if context.conditions[n].null_count() < context.conditions.height
        else pl.lit(None, pl.Float64).alias(f"{n}_ci")
        for n in intervals
    )
    return TableView(
        "unify-conditions",
        "All conditions",
        "Means over seeds with 95 % intervals over seeds; those of acc_X, of U_norm of the last "
        "hidden state and of U_diff draw the entities of each seed as well. Unified: acc_X at "
        "least .9 of recall where the facts were told; separated: at most twice chance. Leaky: "
        "held-out prompts were in training. Underfit runs (training cells below 95 %) count only "
        "where a condition has no other. U_norm, last and middle hidden state. " + context.said(),
        frame,
        _COLUMNS,
        {n: "interval.number" for n in _COLUMNS if n.endswith("_ci")}
        | {"acc_x_ci": "interval", "acc_train_ci": "interval"}
        | {"chance": "share"}
        | dict.fromkeys(
            ("u_step0", "u_fresh", "u_null", "loss_uniform", "loss_language"), "number"
        ),
    )
