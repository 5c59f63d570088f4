"""How much later than the pivot a language comes to know a fact (`trace`, section 2.4)."""

import polars as pl

from polylore.tables.derived import LAG

_KEY = ["fact_id", "relation", "variant", "matcher"]


def lag(acquired: pl.DataFrame, *, pivot: str, event: str = "sustained") -> pl.DataFrame:
    """Lag behind the pivot of every fact that both languages acquired.

    The lag is the difference of the steps (tokens, log10 tokens) at which the event was observed;
    its bounds are [lo - pivot hi, hi - pivot lo], open (null) where an event is left-censored. The
    order is a tie when the intervals overlap. The pivot comes first without any transfer wherever
    it is read more often, so a lag is no evidence by itself.

    Args:
        acquired: table ACQUISITION.
        pivot: pivot language.
        event: event compared.

    Returns:
        Table LAG; empty if the pivot has no events.
    """
    seen = acquired.filter((pl.col("event") == event) & (pl.col("censoring") != "right"))
    ends = ["step_lo", "step_hi", "tokens_hi"]
    own = seen.filter(pl.col("lang") != pivot).select(*_KEY, "lang", *ends)
    base = seen.filter(pl.col("lang") == pivot).select(*_KEY, *ends)
    both = own.join(base, on=_KEY, suffix="_p", maintain_order="left")
    steps = pl.col("step_hi") - pl.col("step_hi_p")
    tokens = pl.col("tokens_hi") - pl.col("tokens_hi_p")
    positive = (pl.col("tokens_hi") > 0) & (pl.col("tokens_hi_p") > 0)
    log_ratio = pl.col("tokens_hi").log(10) - pl.col("tokens_hi_p").log(10)
    # Intervals are (lo, hi]: one ends where the next begins without touching it.
    later = pl.col("step_lo") >= pl.col("step_hi_p")
    earlier = pl.col("step_lo_p") >= pl.col("step_hi")
    return LAG.validate(
        both.select(
            *_KEY,
            "lang",
            tokens.cast(pl.Float64()).alias("lag_tokens"),
            pl.when(positive).then(log_ratio).alias("lag_log10"),
            steps.cast(pl.Float64()).alias("lag_steps"),
            (pl.col("step_lo") - pl.col("step_hi_p")).cast(pl.Float64()).alias("lo_steps"),
            (pl.col("step_hi") - pl.col("step_lo_p")).cast(pl.Float64()).alias("hi_steps"),
            pl.when(later.fill_null(False))
            .then(pl.lit("pivot_first"))
            .when(earlier.fill_null(False))
            .then(pl.lit("language_first"))
            .otherwise(pl.lit("tie"))
            .alias("order"),
        )
    )
