"""The claims, case by case."""

import polars as pl

from polylore.report import Page, TableView, interval
from polylore.studies.inject.context import InjectContext, in_words


def claims_page(context: InjectContext) -> Page | None:
    """None without claims."""
    table = context.table("inject_claims")
    if table is None:
        return None
    signs = pl.col("signs_by_seed").list.eval(
        pl.element().replace_strict({1: "+", -1: "−", 0: "·"}, return_dtype=pl.String)
    )
    frame = table.with_columns(
        interval("estimate"),
        signs=signs.list.join(" "),
        why=in_words(),
        case=pl.col("case").fill_null("–"),
    )
    view = TableView(
        "inject-claims-table",
        "Claims and cases",
        "Numbers 1 to 10: what the paper says, as directions; C: controls; T: transfer, ours. An "
        "estimate above 0 is for the claim. Shown: the 95 % interval over the items of all seeds "
        "lies above 0 and every seed has that sign; contradicted: it lies below; undetermined: "
        "all else, with the reason. No number is the paper's or meant to match one.",
        frame,
        {"claim_id": "Claim", "verdict": "Verdict", "statement": "Statement", "case": "Case",
         "estimate_ci": "Estimate", "signs": "By seed", "measure": "Measure", "why": "Reason",
         "n_items": "Items"},
        {"estimate_ci": "interval.number"},
    )  # fmt: skip
    lead = "Every directional claim of the paper, and ours, held against this run."
    return Page("claims", "Claims", lead, (view,))
