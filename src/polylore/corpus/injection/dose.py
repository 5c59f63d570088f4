"""How much of every step is injected, and how much every arm gives."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from polylore.corpus.injection.format import Tokens
from polylore.errors import DataError
from polylore.tables.inject import DOSE

TOLERANCE = 0.10
MAX_ROW_SHARE, MAX_LOSS_SHARE = 0.10, 0.05
"""Largest dose of a step, unless a larger one is allowed."""


@dataclass(frozen=True)
class StepDose:
    """What a plan puts into a step, whatever rows it is put into."""

    rows: int
    """Rows that carry a passage."""
    tokens: int
    """Tokens placed, boundaries included; as many of the background give way, because a row keeps
    its length and its padding."""
    predicted: int
    """Those of them that are predicted: all but one that opens a row."""
    weight: float
    """Sum of their weights in the loss."""

    def share(self, labelled: int) -> float:
        """Their share of the loss weight of a step with so many labelled tokens."""
        return self.weight / (labelled - self.predicted + self.weight)


def labelled_tokens(real_B: Tokens) -> int:
    """Labelled tokens of rows, from those without padding: models predict all but the first."""
    return int(np.maximum(real_B - 1, 0).sum())


def dose_table(
    doses: Mapping[int, StepDose], batch: int, labelled: Callable[[int], int]
) -> pl.DataFrame:
    """Contract `tables.inject.DOSE`.

    Args:
        doses: what is put into each step.
        batch: rows of a step.
        labelled: labelled tokens of a step.
    """
    return DOSE.build(
        [
            {
                "step": step,
                "injected_rows": dose.rows,
                "injected_tokens": dose.tokens,
                "displaced_tokens": dose.tokens,
                "row_share": dose.rows / batch,
                "loss_share": dose.share(labelled(step)),
            }
            for step, dose in doses.items()
        ]
    )


def check_dose(dose: pl.DataFrame, *, at_least: bool = False) -> None:
    """Refuse steps of which too much is injected (specification of `inject`, section 4.1).

    Args:
        dose: contract `tables.inject.DOSE`.
        at_least: whether shares of the loss weight may turn out larger.

    Raises:
        DataError: more than 10 % of the rows of a step, or 5 % of its loss weight.
    """
    for column, most, what in (
        ("row_share", MAX_ROW_SHARE, "rows"),
        ("loss_share", MAX_LOSS_SHARE, "the loss weight"),
    ):
        high = dose.filter(pl.col(column) > most)
        if high.height:
            row = high.sort(column, descending=True).row(0, named=True)
            least = "at least " if at_least and column == "loss_share" else ""
            raise DataError(
                f"Step {row['step']} would have {least}{row[column]:.2%} of {what} injected, more "
                f"than {most:.0%}; stagger the exposures, use a larger batch, or set allow_dose."
            )


def arm_doses(plan: pl.DataFrame) -> pl.DataFrame:
    """Dose of an item by arm: items, exposures, tokens and weighted tokens, each per item.

    Args:
        plan: contract `tables.inject.PLAN`.
    """
    weighted = pl.col("n_tokens") * pl.col("loss_weight")
    return (
        plan.group_by("arm")
        .agg(
            items=pl.col("item_id").n_unique(),
            exposures=pl.struct("item_id", "exposure").n_unique(),
            tokens=pl.col("n_tokens").sum(),
            weighted_tokens=weighted.sum(),
        )
        .with_columns(
            (pl.col(name) / pl.col("items")).alias(name)
            for name in ("exposures", "tokens", "weighted_tokens")
        )
        .sort("arm")
    )


def check_matched(plan: pl.DataFrame, arms: list[str], tolerance: float = TOLERANCE) -> None:
    """Refuse arms that should give the same dose and do not (specification of `inject`, 2.8).

    Raises:
        DataError: the weighted tokens per item of two arms differ by more than the tolerance.
    """
    doses = arm_doses(plan.filter(pl.col("arm").is_in(arms)))
    lost = sorted(set(arms) - set(doses["arm"]))
    if lost:
        raise DataError(f"The plan has no passage of the arm {lost[0]}, which is to be matched.")
    ordered = doses.sort("weighted_tokens")
    low, high = ordered.row(0, named=True), ordered.row(-1, named=True)
    if high["weighted_tokens"] > low["weighted_tokens"] * (1 + tolerance):
        raise DataError(
            f"An item gets {low['weighted_tokens']:.0f} tokens in the arm {low['arm']} and "
            f"{high['weighted_tokens']:.0f} in {high['arm']}, more than {tolerance:.0%} apart; "
            "use variants of equal length, or change the number of exposures."
        )
