"""What changes from one model to another, and what the intervals say about it."""

import polars as pl

from polylore.report import Block, Page, Prose, TableView
from polylore.studies.align.context import AlignContext
from polylore.studies.align.sections.slopes import slope_charts

FEW_SEEDS = (
    " Where training seeds differ much, intervals over few of them are too narrow: with 3 seeds "
    "they cover 74 % instead of 95 % (simulated)."
)


def claims_page(context: AlignContext) -> Page | None:
    """None without comparisons."""
    claims = context.table("align_claims")
    effects = context.table("align_effects")
    if effects is None:
        return None
    blocks: list[Block] = []
    if claims is not None and not claims["siblings"].all():
        blocks.append(
            Prose(
                (
                    "These models were not shown to be siblings: data, size and compute may "
                    "differ, too, so a difference is not the effect of one recipe.",
                ),
                tone="caution",
            )
        )
    blocks += slope_charts(context)
    if claims is not None:
        blocks.append(
            TableView(
                "align-claims",
                "Claims",
                "Confirmed: the whole 95 % interval is beyond the margin m on the claimed side; "
                "contradicted: on the other; equivalent: within; open: anything else, with the "
                "reason where it is not judged. p after Holm over all claims of one margin; "
                "confirmed claims with p above 0.05 are noted."
                + (FEW_SEEDS if context.table("align_arms") is not None else ""),
                claims,
                {"claim": "Claim", "arm": "Model", "minus": "Against", "level": "Level",
                 "group": "Languages", "m": "m", "delta": "Difference", "lo": "from", "hi": "to",
                 "verdict": "Verdict", "p_holm": "p", "note": "Note", "lost": "Draws lost",
                 "reason": "Reason"},
            )
        )  # fmt: skip
    blocks.append(
        TableView(
            "align-effects",
            "Differences",
            "Paired: the same draws of items serve both models and all languages. Flagged: cells "
            "behind a number that the first page speaks against.",
            effects.with_columns(pl.col("langs", "flagged").list.join("; ")),
            {"arm": "Model", "minus": "Against", "level": "Level", "metric": "Metric",
             "group": "Languages", "langs": "which", "delta": "Difference", "lo": "from",
             "hi": "to", "n_seeds": "Seeds", "flagged": "Flagged"},
        )
    )  # fmt: skip
    return Page("claims", "Comparisons", "Does one model do better, and where?", tuple(blocks))
