"""Which rows of an optimiser step a process holds, and a guard that sees when it is others."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from polylore.corpus.injection.format import Tokens
from polylore.corpus.injection.injector import Injector
from polylore.corpus.injection.transform import UNLABELLED, Rows
from polylore.errors import ConfigError, RunError


@dataclass(frozen=True)
class RowMap:
    """How a step is divided: micro-batch by micro-batch, and each of these rank by rank.

    This is how a sequential sampler is sharded by `accelerate` and the Hugging Face Trainer.
    """

    per_device: int
    world_size: int = 1
    rank: int = 0
    accumulation: int = 1

    @property
    def batch(self) -> int:
        """Rows of a whole step."""
        return self.per_device * self.world_size * self.accumulation

    def check(self, injector: Injector) -> None:
        """Refuse a division that is not that of the plan.

        Raises:
            ConfigError: rows per step differ.
        """
        if self.batch != injector.batch_size:
            raise ConfigError(
                f"{self.per_device} rows per device x {self.world_size} processes x "
                f"{self.accumulation} accumulated batches are {self.batch} rows per step, but the "
                f"plan is made for {injector.batch_size}."
            )

    def rows(self, micro: int) -> Tokens:
        """Rows of the whole step that this process holds in a micro-batch."""
        first = (micro * self.world_size + self.rank) * self.per_device
        return np.arange(first, first + self.per_device)


def inject(
    batches: Iterable[Any],
    injector: Injector,
    rows: RowMap | None = None,
    *,
    first_step: int = 0,
) -> Iterator[Rows]:
    """Put passages into any iterator of token batches.

    Where rows may be padded, the dose of a step is known when all its rows are: it is checked
    before the last of them are given away, so before the update. A process that reads only some
    rows of a step cannot do so: have a `Guard` with the injector add up what all of them label.

    Args:
        batches: arrays (B, L), or mappings with `input_ids`. Without `rows` they must be mappings
            with `global_step` and `global_row` as well: step and rows of the whole step.
        injector: the plan.
        rows: how steps are divided, if batches come in the order of steps and micro-batches.
        first_step: step that the first batch belongs to; after a resume, the next one.

    Yields:
        The rows of each batch.

    Raises:
        ConfigError: rows per step are not those of the plan, or a batch does not say its rows.
        DataError: a passage does not fit, or the dose of a step exceeds what is allowed.
        RunError: the iterator ends within a step.
    """
    if rows is not None:
        rows.check(injector)
    n, doses = -1, _Doses(injector)
    for n, batch in enumerate(batches):
        given = batch["input_ids"] if _is_mapping(batch) else batch
        if rows is not None:
            step, micro = divmod(n, rows.accumulation)
            yield doses.seen(injector.rows(first_step + step, rows.rows(micro), given))
        elif _is_mapping(batch) and {"global_step", "global_row"} <= set(batch):
            steps = np.unique(np.asarray(batch["global_step"]))
            if len(steps) != 1:
                raise ConfigError(f"A batch holds rows of the steps {steps.tolist()}; one is due.")
            numbers = np.asarray(batch["global_row"])
            yield doses.seen(injector.rows(int(steps[0]), numbers, given))
        else:
            raise ConfigError(
                "A batch must say which rows of which step it holds (global_row, global_step), or "
                "a RowMap must say how steps are divided."
            )
    if rows is not None and (n + 1) % rows.accumulation:
        raise RunError(
            f"The batches end within a step: {(n + 1) % rows.accumulation} of {rows.accumulation}."
        )


class _Doses:
    """Adds up labelled tokens until all rows of a step were seen; full rows need none of it."""

    def __init__(self, injector: Injector) -> None:
        self._injector = injector
        self._open: dict[int, tuple[int, int]] = {}

    def seen(self, found: Rows) -> Rows:
        """Note some rows, and give them back.

        Raises:
            DataError: they complete a step of which too much is injected.
        """
        if self._injector.form.pad is None:
            return found
        rows, labelled = self._open.pop(found.step, (0, 0))
        rows, labelled = rows + len(found.rows), labelled + labels_of(found)
        if rows < self._injector.batch_size:
            self._open[found.step] = rows, labelled
        else:
            self._injector.check_step(found.step, labelled)
        return found


def labels_of(found: Rows) -> int:
    """Labelled tokens of some rows; models predict all but the first of a row."""
    return int((found.labels[:, 1:] != UNLABELLED).sum())


def _is_mapping(batch: Any) -> bool:
    return hasattr(batch, "keys")


class Guard:
    """Sees whether the rows of a step were all rows of this step, each once.

    Over all processes, their number and the sums of row and row squared must be those of 0 to
    B - 1, and none may belong to another step. That catches shuffling, a stream that starts anew
    after a resume, and another batch size.

    Args:
        batch: rows of a whole step.
        injector: a plan whose dose is to be checked with what all processes label, where nothing
            could do so before the run.
    """

    def __init__(self, batch: int, injector: Injector | None = None) -> None:
        self.batch, self._injector = batch, injector
        self._clear()

    def _clear(self) -> None:
        self._seen = np.zeros(5, dtype=np.int64)
        self._steps: set[int] = set()

    def see(self, step: int, steps: Iterable[int], rows: Iterable[int], labelled: int = 0) -> None:
        """Note the rows of a micro-batch.

        Args:
            step: step that is being done, from 0.
            steps: step that each row says it belongs to.
            rows: its row of the whole step.
            labelled: labelled tokens of all of them; the first of a row is none.
        """
        told = np.fromiter(steps, dtype=np.int64)
        found = np.fromiter(rows, dtype=np.int64)
        self._seen += [len(found), found.sum(), (found**2).sum(), (told != step).sum(), labelled]
        self._steps |= set(told.tolist())

    @property
    def sums(self) -> Tokens:
        """Rows, sum of rows, of their squares, rows of other steps, labelled tokens: to be added up
        over ranks."""
        return self._seen.copy()

    def check(self, step: int, sums: Tokens) -> None:
        """Compare with the step that is being done, and start the next.

        Args:
            step: the step, from 0.
            sums: `sums`, added up over all processes.

        Raises:
            RunError: other rows were read; nothing has been updated by them yet.
            DataError: with an injector: too much of the step is injected.
        """
        every = np.arange(self.batch, dtype=np.int64)
        expected = [self.batch, int(every.sum()), int((every**2).sum()), 0]
        steps = sorted(self._steps)
        self._clear()
        found = sums[:4].tolist()
        if found != expected:
            raise RunError(
                f"Step {step} should read each of its {self.batch} rows once (sums {expected}), "
                f"but read rows of step {', '.join(map(str, steps[:5])) or 'none'} with the sums "
                f"{found}; the data are shuffled, restarted or divided otherwise than the "
                "plan says."
            )
        if self._injector is not None:
            self._injector.check_step(step, int(sums[4]))
