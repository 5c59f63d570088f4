"""Lags by three clocks: steps, tokens, and learning rates summed (`inject`, section 2.4, rule 6).

A threshold in tokens is always shown beside the one in steps: equal forgetting per step alone makes
the token value many times smaller in a smaller batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from polylore.metrics.index import Array
from polylore.tables.injection import DECAY_LAGS, KERNEL_LAGS


@dataclass(frozen=True)
class Clock:
    """How many tokens and how much learning rate go by after a state, mean over runs."""

    since: int
    """State from which lags are counted: that of a last injection."""
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
        """Tokens of a lag; None if they are not known, or if it is less than no step."""
        if lag is None or lag < 0 or self.tokens_per_step is None:
            return None
        return lag * self.tokens_per_step

    def sum_lr(self, lag: float | None) -> float | None:
        """Learning rates summed over a lag; None beyond what was trained.

        Within a step the rate is the same, so parts of a step count in proportion.
        """
        if lag is None or lag < 0 or not len(self.sum_lr_RT):
            return None
        before, after = int(np.floor(lag)), int(np.ceil(lag))
        if after >= self.sum_lr_RT.shape[1]:
            return None
        ends = self.sum_lr_RT[:, [before, after]].mean(axis=0)
        found = float(ends[0] + (lag - before) * (ends[1] - ends[0]))
        return found if np.isfinite(found) else None

    def on(self, tables: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
        """Derived tables by name, with all that is told in steps by the other clocks too."""
        made = dict(tables)
        for name, table in made.items():
            if name == "inject_retention":
                made[name] = self.beside(table, "lag")
            elif name == "inject_threshold":
                made[name] = self.beside(table, "interval")
            elif name == "inject_brackets":
                made[name] = self.brackets(table)
            elif name == "inject_kernels":
                made[name] = self.lags(table, KERNEL_LAGS)
            elif name == "inject_decay":
                made[name] = self.lags(table, DECAY_LAGS)
        return made

    def beside(self, table: pl.DataFrame, column: str) -> pl.DataFrame:
        """The table with `lag_tokens` and `lag_sum_lr` of a column of lags."""
        lags = table[column].to_list()
        return table.with_columns(
            pl.Series("lag_tokens", [self.tokens(lag) for lag in lags], pl.Float64),
            pl.Series("lag_sum_lr", [self.sum_lr(lag) for lag in lags], pl.Float64),
        )

    def lags(self, table: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
        """The table with `<column>_tokens` and `<column>_sum_lr` of some columns of lags."""
        made = {}
        for column in columns:
            lags = table[column].to_list()
            made[f"{column}_tokens"] = [self.tokens(lag) for lag in lags]
            made[f"{column}_sum_lr"] = [self.sum_lr(lag) for lag in lags]
        return table.with_columns(pl.Series(k, v, pl.Float64) for k, v in made.items())

    def brackets(self, table: pl.DataFrame) -> pl.DataFrame:
        """Brackets of thresholds with both ends by the other clocks."""
        made = {}
        for end in ("lo", "hi"):
            found = table[f"bracket_{end}"].to_list()
            made[f"tokens_{end}"] = [self.tokens(v) for v in found]
            made[f"sum_lr_{end}"] = [self.sum_lr(v) for v in found]
        made["x_intercept_tokens"] = [self.tokens(v) for v in table["x_intercept"].to_list()]
        return table.with_columns(pl.Series(k, v, pl.Float64) for k, v in made.items())


_TOLD = (
    "inject_retention",
    "inject_threshold",
    "inject_brackets",
    "inject_kernels",
    "inject_decay",
)


def by_clocks(
    tables: Mapping[str, pl.DataFrame], whole: Clock, own: Mapping[tuple[str, str], Clock]
) -> dict[str, pl.DataFrame]:
    """Derived tables by name, each row by the clock of its arm and language of injection.

    An arm with one exposure is read at longer lags than are left after the plan's last one.

    Args:
        tables: derived tables; rows that no lag is told in stay as they are.
        whole: the clock of rows that are no arm's, such as those of a sweep.
        own: by arm and inject_lang.
    """
    made = dict(tables)
    for name in set(_TOLD) & set(made):
        groups = made[name].with_row_index("_at").group_by("arm", "inject_lang")
        parts = [
            own.get((str(key[0]), str(key[1])), whole).on({name: rows})[name]
            for key, rows in groups
        ]
        if parts:
            made[name] = pl.concat(parts).sort("_at").drop("_at")
    return made
