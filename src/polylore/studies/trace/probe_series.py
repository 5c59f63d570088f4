"""The table of checkpoints of a series that is still growing, saved to disk or not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from polylore.errors import ConfigError, ModelError
from polylore.models import parse_name
from polylore.models.duplicates import mark_duplicates
from polylore.models.series import checkpoint_row
from polylore.models.weights import has_weights
from polylore.runs import RunFolder
from polylore.tables import raw


class LiveSeries:
    """Names, rows and paths of checkpoints as `read_series` would find them.

    Args:
        name: name of the checkpoint of a step, with `{step}` in it.
        series: name of the series; by default that of the folder `saved`.
        saved: folder in which training saves its checkpoints, if it does.

    Raises:
        ConfigError: the name does not say the step.
    """

    def __init__(self, name: str, series: str | None, saved: Path | None) -> None:
        self.name, self.series, self.saved = name, series, saved
        try:
            parsed = parse_name(name.format(step=7))
        except (ModelError, LookupError, ValueError):
            parsed = None
        if parsed is None or parsed.step != 7:
            raise ConfigError(
                f"name='{name}' does not say the step in a way that polylore reads; write "
                "'checkpoint-{step}' or 'step-{step:06d}'."
            )

    @property
    def model(self) -> str:
        """Name of the series."""
        if self.series is not None:
            return self.series
        return "training" if self.saved is None else self.saved.resolve().name

    def ckpt_id(self, step: int) -> str:
        """Name of the checkpoint of a step."""
        return self.name.format(step=step)

    def rows(self, run: RunFolder) -> list[dict[str, Any]]:
        """The rows there are."""
        return run.table("checkpoints").to_dicts() if run.has_table("checkpoints") else []

    def find(self, run: RunFolder, step: int) -> dict[str, Any] | None:
        """The row of a step, if there is one."""
        ckpt_id = self.ckpt_id(step)
        return next((row for row in self.rows(run) if row["ckpt_id"] == ckpt_id), None)

    def add(self, run: RunFolder, step: int, tokens: int | None, weights: str) -> pl.DataFrame:
        """Write the table with the row of a step; returns it."""
        ckpt_id = self.ckpt_id(step)
        parsed = parse_name(ckpt_id, repo=self.model)
        if parsed is None or parsed.step != step:
            raise ConfigError(f"The checkpoint name '{ckpt_id}' does not say step {step}.")
        if tokens is not None:
            parsed = replace(parsed, tokens=tokens, tokens_exact=True)
        others = [row for row in self.rows(run) if row["ckpt_id"] != ckpt_id]
        added = checkpoint_row(parsed, self.model, None, weights)
        ordered = sorted([*others, added], key=lambda row: int(row["step"]))
        mark_duplicates(ordered)
        return run.write_table("checkpoints", raw.CHECKPOINTS.build(ordered))

    def link(self, run: RunFolder) -> None:
        """Write the table with the folders of those checkpoints that were saved."""
        rows = self.rows(run)
        for row in rows:
            folder = None if self.saved is None else self.saved / row["ckpt_id"]
            row["path"] = str(folder) if folder is not None and has_weights(folder) else None
        run.write_table("checkpoints", raw.CHECKPOINTS.build(rows))
