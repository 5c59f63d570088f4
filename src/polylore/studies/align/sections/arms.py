"""What was trained, what it cost, and which arms may be compared."""

import polars as pl

from polylore.report import Block, Page, Prose, TableView
from polylore.studies.align.context import AlignContext


def arms_page(context: AlignContext) -> Page | None:
    """None in a run that trained nothing."""
    arms = context.table("align_arms")
    if arms is None:
        return None
    blocks: list[Block] = []
    siblings = context.table("align_siblings")
    capped = arms.filter(pl.col("stopped") == "cap")["run_id"].to_list()
    cautions = []
    if capped:
        cautions.append(f"The gate never passed in {', '.join(capped)}; kept, and marked.")
    if siblings is not None and not siblings["siblings"].all():
        apart = siblings.filter(~pl.col("siblings"))
        named = [f"{arm} and {minus}" for arm, minus in apart.select("arm", "minus").iter_rows()]
        cautions.append(
            f"No siblings, because more than the declared factor differs: {'; '.join(named)}."
        )
    short = arms.filter(pl.col("left_out") > 0)
    if short.height:
        named = [f"{run_id} ({n})" for run_id, n in short.select("run_id", "left_out").iter_rows()]
        cautions.append(
            "Rows were not trained on, because what they teach lies beyond the end of a row: "
            f"{', '.join(named)}; a longer train.context has room for them."
        )
    if cautions:
        blocks.append(Prose(tuple(cautions), tone="caution"))
    blocks.append(
        TableView(
            "align-arms",
            "Trainings",
            "Every arm and stage, by training seed. Stopped: at its end, when its gate passed, or "
            "at the cap without passing.",
            arms.drop("start_hash", "data_hash"),
            {"arm": "Arm", "seed": "Seed", "kind": "Kind", "start": "Goes on from",
             "source": "Source", "target": "Target", "method": "Weights", "updates": "Updates",
             "input_tokens": "Tokens read", "loss_tokens": "Tokens learned",
             "left_out": "Rows left out", "trainable": "Weights trained", "stopped": "Stopped",
             "seconds": "Seconds"},
            {"source": "lang", "target": "lang"},
        )
    )  # fmt: skip
    if siblings is not None:
        blocks.append(
            TableView(
                "align-siblings",
                "Siblings",
                "What differs between the manifests of two arms beside the declared factor, and by "
                "how much their budgets differ at most. Injections end at their gate, so their "
                "budgets may differ.",
                siblings.with_columns(pl.col("differs", "beyond").list.join("; ")),
                {"arm": "Arm", "minus": "Against", "factor": "Factor", "siblings": "Siblings",
                 "budget": "Budget differs by", "beyond": "Not declared"},
                {"budget": "share"},
            )
        )  # fmt: skip
    budgets = context.table("align_budgets")
    if budgets is not None:
        blocks.append(
            TableView(
                "align-budgets",
                "Budgets by language",
                "Documents and tokens that were read; injected: rows about invented facts.",
                budgets,
                {"run_id": "Training", "lang": "Language", "documents": "Documents",
                 "input_tokens": "Tokens read", "loss_tokens": "Tokens learned",
                 "injected": "Injected"},
                {"lang": "lang"},
            )
        )  # fmt: skip
    loss = context.table("align_loss")
    if loss is not None:
        wide = loss.with_columns(perplexity=pl.col("loss").exp())
        blocks.append(
            TableView(
                "align-loss",
                "Text that no model was told",
                "Perplexity per token, by language: what an arm costs beside facts.",
                wide,
                {"arm": "Arm", "seed": "Seed", "step": "Step", "lang": "Language",
                 "tokens": "Tokens", "perplexity": "Perplexity"},
                {"lang": "lang"},
            )
        )  # fmt: skip
    lead = "Arms go on from one start; of two that are compared, one factor differs."
    return Page("arms", "Arms", lead, tuple(blocks))
