"""All runs, and those that are missing."""

import polars as pl

from polylore.report import Block, Page, Prose, TableView
from polylore.studies.unify.context import UnifyContext
from polylore.studies.unify.knobs import KNOBS


def runs_page(context: UnifyContext) -> Page:
    """Always there."""
    blocks: list[Block] = []
    if context.missing.height:
        blocks.append(_missing(context))
    blocks.append(_runs(context))
    tried = context.table("unify_tuning")
    if tried is not None:
        blocks.append(_tuning(tried))
    return Page("runs", "Runs", "Every run with its status and what was set.", tuple(blocks))


def _missing(context: UnifyContext) -> TableView:
    return TableView(
        "unify-missing",
        "Missing runs",
        f"{context.missing.height} runs of the sweep are not in these numbers. The command that "
        "began the sweep goes on with them and with nothing else.",
        context.missing,
        {"condition": "Condition", "seed": "Seed", "why": "Why"},
    )


def _runs(context: UnifyContext) -> TableView:
    ends = context.tables["unify_course"].sort("step").group_by("run_hash").last()
    frame = context.runs.join(
        ends.select("run_hash", "acc_x", "acc_train", "label"), on="run_hash", how="left",
        maintain_order="left",
    ).with_columns(
        in_means=pl.when("used").then(pl.lit("yes")).otherwise(pl.lit("no")),
        leak=pl.when("leaky").then(pl.lit("leaky")),
    )  # fmt: skip
    varied = {k: KNOBS[k].capitalize() if len(KNOBS[k]) > 3 else KNOBS[k] for k in context.varied}
    return TableView(
        "unify-runs",
        "All runs",
        "Done: the network recalls what it was told. Underfit: it recalls less than 95 % of it at "
        "the end, so it says little about transfer. Leaky: held-out prompts were in training; "
        "such runs show a trap and are left out of claims and correlations.",
        frame,
        {"condition": "Condition", "seed": "Seed", "family": "Family", "status": "Status",
         "leak": "Leak", "in_means": "In means", "acc_x": "acc_X", "acc_train": "Training cells",
         "label": "Label", **varied, "i_design": "I design, bits", "i_uni": "I cue, bits",
         "params": "Parameters", "vocab": "Vocabulary", "steps": "Steps", "wall_s": "Seconds",
         "device": "Device", "error": "Error"},
        {"acc_x": "share", "acc_train": "share"},
    )  # fmt: skip


def _tuning(tried: pl.DataFrame) -> TableView:
    return TableView(
        "unify-tuning",
        "Learning rates tried",
        "Each rate trained one run of each condition, on a world of a seed of its own. Chosen is "
        "the one that recalls most of its training cells at the end, then that of the least loss "
        "on them; transfer took no part.",
        tried.with_columns(chosen=pl.when("chosen").then(pl.lit("chosen"))),
        {"condition": "Condition", "lr": "Learning rate", "status": "Status",
         "acc_train": "Training cells", "loss_train": "Loss on them", "chosen": "Chosen"},
        {"acc_train": "share"},
    )  # fmt: skip


def notes(context: UnifyContext) -> Prose | None:
    """What a reader must know before any number; None if nothing."""
    said = []
    status = context.runs["status"]
    if context.missing.height:
        said.append(f"This sweep is unfinished: {context.missing.height} runs are missing; they "
                    "are listed under Runs.")  # fmt: skip
    if not (status == "done").any():
        said.append("No run recalls what it was told, so nothing here can be read as transfer or "
                    "its absence: train longer, or choose another learning rate.")  # fmt: skip
    elif (status != "done").any():
        bad = int((status != "done").sum())
        said.append(f"{bad} of {len(status)} runs did not learn what they were told (underfit or "
                    "diverged); they are marked, and left out of means where a condition has other "
                    "runs.")  # fmt: skip
    if context.runs["leaky"].any():
        leaky = int(context.runs["leaky"].sum())
        said.append(f"{leaky} runs are leaky: prompts that are asked were in training. They show a "
                    "trap and support no claim.")  # fmt: skip
    if context.ends["acc_x"].null_count() == context.ends.height:
        said.append("Nothing is held out in any run, so transfer is not defined; scores are of "
                    "parallel facts.")  # fmt: skip
    if context.conditions["seeds"].max() == 1:
        said.append("One seed per condition: no spread over runs is known, so what a change "
                    "does is not judged.")  # fmt: skip
    return Prose(tuple(said), "caution") if said else None
