"""How much every arm gives, so that arms of equal dose can be told from others."""

import polars as pl

from polylore.errors import DataError

TOLERANCE = 0.10


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
