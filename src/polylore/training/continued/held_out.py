"""How well a model in training predicts text that it does not read."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import torch

from polylore.corpus.injection.transform import UNLABELLED
from polylore.files import read_parquet, write_parquet
from polylore.tables.continued import EVAL_LOSS
from polylore.training.continued.readers import Moment
from polylore.training.continued.streams import RowStream
from polylore.training.model import labelled_loss


class HeldOut:
    """A reader that takes the loss on sets of rows, such as the background of every language.

    It writes table `tables.continued.EVAL_LOSS`.

    Args:
        sets: streams by name; all their rows of steps from 0 on are read.
        due: states at which to read.
        path: file of the table.
    """

    def __init__(
        self, sets: Mapping[str, RowStream], due: Callable[[int], bool], path: str | Path
    ) -> None:
        self.sets, self.due, self.path = sets, due, Path(path)
        self._rows: list[dict[str, Any]] = []

    def read(self, moment: Moment) -> None:
        """Mean cross-entropy of every set, in nats per labelled token and the weights' format."""
        for name, stream in self.sets.items():
            own = [self._part(moment, stream, k) for k in moment.share(range(stream.steps or 0))]
            parts = sorted(moment.gather(own))
            tokens = sum(count for _, _, count in parts)
            loss = sum(part for _, part, _ in parts) / tokens
            self._rows.append({"t": moment.t, "set": name, "n_tokens": tokens, "loss": loss})
        if moment.main:
            write_parquet(self.table(), self.path)

    def _part(self, moment: Moment, stream: RowStream, step: int) -> tuple[int, float, int]:
        found = stream.rows(step, range(stream.batch_size))
        tokens, labels = (
            torch.from_numpy(part).to(moment.device) for part in (found.tokens, found.labels)
        )
        loss = labelled_loss(
            moment.model, tokens, labels, moment.model.dtype, unlabelled=UNLABELLED
        )
        return step, float(loss), int((found.labels[:, 1:] != UNLABELLED).sum())

    def resume(self, t: int) -> None:
        """Forget what was read after state t."""
        there = self.path.is_file() and t >= 0
        self._rows = read_parquet(self.path).filter(pl.col("t") <= t).to_dicts() if there else []

    def table(self) -> pl.DataFrame:
        """Table EVAL_LOSS of all that was read."""
        return EVAL_LOSS.build(self._rows)
