"""Lags by three clocks: steps, tokens, and learning rates summed (`inject`, section 2.4, rule 6).

A threshold in tokens is always shown beside the one in steps: equal forgetting per step alone makes
the token value many times smaller in a smaller batch.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from polylore.metrics.index import Array


@dataclass(frozen=True)
class Clock:
    """How many tokens and how much learning rate go by after a state, mean over runs."""

    since: int
    """State from which lags are counted: that of the last injection of the plan."""
    tokens_per_step: float | None
    sum_lr_RT: Array
    """Learning rates summed from `since`, by run and lag 0, 1, ...; NaN beyond the last."""

    @classmethod
    def of(cls, steps: pl.DataFrame, since: int) -> "Clock":
        """The clock of some runs; `steps` is contract `tables.inject.STEPS`."""
        tokens = steps.drop_nulls("tokens").filter(pl.col("t") > 0)
        rate = (tokens["tokens"] / tokens["t"]).mean() if tokens.height else None
        last = steps["t"].max() if steps.height else None
        longest = max(int(last) - since, 0) if isinstance(last, int) else 0
        rows = []
        for _, own in sorted(steps.group_by("run_id"), key=lambda found: str(found[0])):
            known = dict(own.select("t", "sum_lr").iter_rows())
            start = 0.0 if since == 0 else known.get(since, float("nan"))
            rows.append([known.get(since + lag, np.nan) - start for lag in range(longest + 1)])
        if rows:
            table = np.array(rows)
            table[:, 0] = 0
        else:
            table = np.zeros((0, 1))
        return cls(since, float(rate) if isinstance(rate, float) else None, table)

    def tokens(self, lag: float | None) -> float | None:
        """Tokens of a lag."""
        return None if lag is None or self.tokens_per_step is None else lag * self.tokens_per_step

    def sum_lr(self, lag: int | None) -> float | None:
        """Learning rates summed over a lag; None beyond what was trained."""
        if lag is None or lag >= self.sum_lr_RT.shape[1] or not len(self.sum_lr_RT):
            return None
        found = float(self.sum_lr_RT[:, lag].mean())
        return found if np.isfinite(found) else None

    def beside(self, table: pl.DataFrame, column: str) -> pl.DataFrame:
        """The table with `lag_tokens` and `lag_sum_lr` of a column of lags."""
        lags = table[column].to_list()
        return table.with_columns(
            pl.Series("lag_tokens", [self.tokens(lag) for lag in lags], pl.Float64),
            pl.Series("lag_sum_lr", [self.sum_lr(lag) for lag in lags], pl.Float64),
        )

    def brackets(self, table: pl.DataFrame) -> pl.DataFrame:
        """Brackets of thresholds with both ends by the other clocks."""
        made = {}
        for end in ("lo", "hi"):
            found = table[f"bracket_{end}"].to_list()
            made[f"tokens_{end}"] = [self.tokens(v) for v in found]
            made[f"sum_lr_{end}"] = [self.sum_lr(v) for v in found]
        made["x_intercept_tokens"] = [self.tokens(v) for v in table["x_intercept"].to_list()]
        return table.with_columns(pl.Series(k, v, pl.Float64) for k, v in made.items())
