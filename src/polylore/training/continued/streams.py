"""Streams of token rows: what a step reads is a function of the step and the row, of nothing else.

So neither the number of processes nor accumulation nor a resume can change it.
"""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from polylore.config import digest as config_digest
from polylore.corpus.injection.format import RowFormat, Tokens
from polylore.corpus.injection.injector import Injector
from polylore.corpus.injection.transform import UNLABELLED, Rows, documents, labelled
from polylore.errors import ConfigError, DataError

RowNumbers = Sequence[int] | Tokens


class RowStream(Protocol):
    """What training reads."""

    @property
    def batch_size(self) -> int:
        """Rows of a whole optimiser step."""

    @property
    def form(self) -> RowFormat:
        """What a row looks like."""

    @property
    def steps(self) -> int | None:
        """Steps there are, from 0; None if there is no end."""

    @property
    def before(self) -> int:
        """Steps there are before step 0, for a burn-in: -1, -2, ..., -before."""

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides the rows."""

    def rows(self, step: int, rows: RowNumbers) -> Rows:
        """Rows of a step, by their numbers in the whole step."""


class PackedRows:
    """Fixed rows in a fixed order: row s of step k is row `first + k * batch_size + s`.

    Args:
        tokens_NL: rows, an array or a memory map.
        batch_size: rows of an optimiser step.
        form: what a row looks like.
        labels_NL: labels of the rows, -100 where nothing is predicted; all but padding if not
            given.
        first: row that opens step 0; those before it are there for a burn-in.
        steps: steps to use; all whole ones if not given.
        digest: hash of the content, if it is known.

    Raises:
        ConfigError: there are not so many rows, or they have another length.
    """

    def __init__(
        self,
        tokens_NL: npt.NDArray[Any],
        batch_size: int,
        form: RowFormat,
        *,
        labels_NL: npt.NDArray[Any] | None = None,
        first: int = 0,
        steps: int | None = None,
        digest: str | None = None,
    ) -> None:
        if tokens_NL.ndim != 2 or tokens_NL.shape[1] != form.length:
            raise ConfigError(
                f"Rows have the shape {tokens_NL.shape}, but should be rows of {form.length} "
                "tokens."
            )
        if labels_NL is not None and labels_NL.shape != tokens_NL.shape:
            raise ConfigError(
                f"The labels have the shape {labels_NL.shape} and the rows {tokens_NL.shape}."
            )
        there = (len(tokens_NL) - first) // batch_size
        if not 0 <= first <= len(tokens_NL) or (steps or 0) > there:
            raise ConfigError(
                f"{steps or 0} steps of {batch_size} rows from row {first} on need more than the "
                f"{len(tokens_NL)} rows there are; give more text or make fewer updates."
            )
        self._tokens, self._labels, self._first = tokens_NL, labels_NL, first
        self.batch_size, self.form = batch_size, form
        self.steps: int | None = there if steps is None else steps
        self.before = first // batch_size
        self._content = digest

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the rows up to the last step, and of how they are read."""
        if self._content is None:
            used = slice(0, self._first + (self.steps or 0) * self.batch_size)
            labels = None if self._labels is None else self._labels[used]
            self._content = content_digest(self._tokens[used], labels)
        return config_digest([self._content, self.batch_size, self._first, vars(self.form)])

    def __len__(self) -> int:
        return len(self._tokens)

    def rows(self, step: int, rows: RowNumbers) -> Rows:
        """Rows of a step.

        Raises:
            DataError: there is no such step or row.
        """
        numbers = np.asarray(rows, dtype=np.int64)
        if (
            not -self.before <= step < (self.steps or 0)
            or not ((numbers >= 0) & (numbers < self.batch_size)).all()
        ):
            raise DataError(
                f"The stream has no rows {numbers.tolist()[:5]} of step {step}; it has the steps "
                f"{-self.before} to {(self.steps or 0) - 1} of {self.batch_size} rows."
            )
        places = self._first + step * self.batch_size + numbers
        tokens = np.asarray(self._tokens[places]).astype(np.int64)
        labels = self._label(tokens, places)
        weights = np.ones(tokens.shape, dtype=np.float32)
        return Rows(tokens, labels, weights, documents(tokens, self.form.eos), step, numbers)

    def _label(self, tokens_BL: Tokens, places: Tokens) -> Tokens:
        if self._labels is not None:
            return np.asarray(self._labels[places]).astype(np.int64)
        return labelled(tokens_BL, self.form)


class Injected:
    """A stream with passages in its rows, by a plan; steps before 0 are left as they are.

    Rows with padding are looked at once, in all steps with passages, to know their dose.

    Raises:
        ConfigError: the plan is made for other rows.
        DataError: the plan places nothing, a passage beyond the last step or where it does not
            fit, or more than is allowed.
    """

    def __init__(self, stream: RowStream, injector: Injector) -> None:
        if injector.form != stream.form or injector.batch_size != stream.batch_size:
            raise ConfigError(
                f"The plan is made for {injector.batch_size} rows of {injector.form}, but the "
                f"stream has {stream.batch_size} rows of {stream.form}; make the plan for these."
            )
        injector.check_steps(2**62 if stream.steps is None else stream.steps)
        self.stream, self.injector = stream, injector
        self.batch_size, self.form = stream.batch_size, stream.form
        self.steps, self.before = stream.steps, stream.before
        self.digest = config_digest([stream.digest, injector.digest])
        self.dose = injector.dose_in(self._real)
        """Contract `tables.inject.DOSE`."""

    def _real(self, step: int) -> Tokens:
        """Tokens of every row of a step without its padding."""
        return self.form.real(self.stream.rows(step, range(self.batch_size)).tokens)

    def rows(self, step: int, rows: RowNumbers) -> Rows:
        """Rows of a step with their passages.

        Raises:
            DataError: a passage does not fit, or the stream leaves tokens unlabelled.
        """
        plain = self.stream.rows(step, rows)
        if step < 0:
            return plain
        found = self.injector.rows(step, plain.rows, plain.tokens)
        if (plain.labels == UNLABELLED).sum() != (found.labels == UNLABELLED).sum():
            raise DataError(
                f"Rows of step {step} leave tokens unlabelled, which a row with a passage cannot "
                "keep; inject into rows of plain text."
            )
        return found


def content_digest(tokens_NL: npt.NDArray[Any], labels_NL: npt.NDArray[Any] | None) -> str:
    """SHA-256 of rows and labels, block by block, so that memory maps stay on the disk."""
    content: Any = hashlib.sha256()
    for array in (tokens_NL, labels_NL):
        if array is None:
            continue
        content.update(f"{array.shape}".encode())
        for start in range(0, len(array), 4096):
            content.update(np.ascontiguousarray(array[start : start + 4096], dtype="<i8").tobytes())
    return str(content.hexdigest())


def open_memmap(
    path: str | Path,
    batch_size: int,
    form: RowFormat,
    *,
    dtype: str = "uint16",
    first: int = 0,
    steps: int | None = None,
) -> PackedRows:
    """A flat file of token ids as rows, one after the other; what is left over is not read.

    Raises:
        DataError: there is no such file, or it holds less than a row.
    """
    try:
        flat = np.memmap(path, dtype=dtype, mode="r")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is no readable file of tokens ({error}).") from error
    count = len(flat) // form.length
    if not count:
        raise DataError(f"{path} holds {len(flat)} tokens, less than a row of {form.length}.")
    rows = flat[: count * form.length].reshape(count, form.length)
    return PackedRows(rows, batch_size, form, first=first, steps=steps)
