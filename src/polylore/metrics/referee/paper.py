"""The published classification as labels, so that it can be judged beside the others."""

import polars as pl

from polylore.metrics.referee.truth import FREQUENCY, TRANSFER, UNKNOWN

_LABEL = {"TP": FREQUENCY, "FN": TRANSFER, "FP": UNKNOWN, "TN": UNKNOWN}


def paper_cells(cells: pl.DataFrame) -> pl.DataFrame:
    """Right at or above the frequency threshold: known-by-frequency; right below it: transfer.

    The threshold is the published one: per language, in the sample, best accuracy, lowest on ties
    (specification of `trace`, section 2.1). It knows only frequency, so the rarer a fact, the more
    it speaks for transfer: e_transfer = 1/(1 + f), e_freq = 1 - e_transfer.

    Args:
        cells: table CELLS, of which only paper_class and E_l are used.

    Returns:
        The cells that have a published class, with its label and evidence; none where frequencies
        are unknown.
    """
    classed = cells.filter(pl.col("paper_class").is_in(list(_LABEL)))
    rarity = 1 / (1 + pl.col("E_l"))
    return classed.with_columns(
        label=pl.col("paper_class").replace_strict(_LABEL, return_dtype=pl.String()),
        e_freq=1 - rarity,
        e_transfer=rarity,
        e_copy=pl.lit(0.0),
        e_guess=pl.lit(0.0),
    )
