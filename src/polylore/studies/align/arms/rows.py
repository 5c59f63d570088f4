"""Rows of an arm on disk: what every update reads, and what that is, document by document."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from polylore.corpus.injection.format import RowFormat
from polylore.corpus.injection.transform import UNLABELLED, Rows, documents
from polylore.errors import DataError
from polylore.files import atomic_path, read_json, read_parquet, write_json, write_parquet
from polylore.studies.align.arms.tokenised import Document
from polylore.tables.arms import DOCUMENTS


class ArmRows:
    """A stream of rows: row s of step k is `order[k * batch_size + s]` of the distinct rows."""

    before = 0
    """There is nothing before the first step."""

    def __init__(self, folder: Path) -> None:
        """Open what `write_single` or `write_packed` wrote."""
        facts = read_json(folder / "rows.json")
        self.batch_size: int = facts["batch_size"]
        self.form = RowFormat(**facts["form"])
        self.digest: str = facts["digest"]
        self._tokens = np.load(folder / "tokens.npy", mmap_mode="r", allow_pickle=False)
        self._learned = np.load(folder / "learned.npy", mmap_mode="r", allow_pickle=False)
        self._order = np.load(folder / "order.npy", mmap_mode="r", allow_pickle=False)
        self.steps: int | None = len(self._order) // self.batch_size
        self.read: pl.DataFrame = DOCUMENTS.validate(read_parquet(folder / "documents.parquet"))
        """Table DOCUMENTS."""
        self.left_out: int = facts["left_out"]
        """Documents whose learned part lies beyond the end of a row."""

    def rows(self, step: int, rows: Any) -> Rows:
        """Rows of a step.

        Raises:
            DataError: there is no such step or row.
        """
        numbers = np.asarray(rows, dtype=np.int64)
        if not 0 <= step < (self.steps or 0) or numbers.max(initial=0) >= self.batch_size:
            raise DataError(f"The arm has {self.steps} steps of {self.batch_size} rows.")
        places = np.asarray(self._order[step * self.batch_size + numbers])
        tokens = np.asarray(self._tokens[places]).astype(np.int64)
        labels = np.where(np.asarray(self._learned[places]), tokens, UNLABELLED)
        weights = np.ones(tokens.shape, dtype=np.float32)
        return Rows(tokens, labels, weights, documents(tokens, self.form.eos), step, numbers)

    def until(self, updates: int) -> pl.DataFrame:
        """Documents read in the first updates; table DOCUMENTS."""
        return self.read.filter(pl.col("row") < updates * self.batch_size)


def write_single(
    made: Sequence[Document],
    order: Sequence[int],
    form: RowFormat,
    batch_size: int,
    folder: Path,
    left_out: int = 0,
) -> None:
    """One document per row, padded.

    Args:
        made: distinct documents.
        order: which of them each row of the training holds.
        form: what rows look like.
        batch_size: rows per update.
        folder: where to write, as a whole.
        left_out: documents that had to be left out.
    """
    tokens = np.full((len(made), form.length), form.pad, dtype=np.int32)
    learned = np.zeros((len(made), form.length), dtype=bool)
    for at, one in enumerate(made):
        tokens[at, : len(one.ids)] = one.ids
        learned[at, one.start : len(one.ids)] = True
    rows = np.asarray(order, dtype=np.int64)
    table = pl.DataFrame(
        {
            "row": np.arange(len(rows)),
            **{name: [values[at] for at in rows.tolist()] for name, values in _about(made).items()},
        },
        schema=DOCUMENTS.schema,
    )
    _write(folder, tokens, learned, rows, form, batch_size, table, left_out)


def write_packed(
    made: Sequence[Document],
    order: Sequence[int],
    form: RowFormat,
    batch_size: int,
    n_rows: int,
    folder: Path,
) -> None:
    """Full rows, cut from the stream of documents; documents may go on in the next row.

    Args:
        made: distinct documents.
        order: the stream: which of them stand one behind the other.
        form, batch_size, folder: as above.
        n_rows: rows of the training; the stream must hold so many.
    """
    wanted = n_rows * form.length
    stream = np.empty(wanted, dtype=np.int32)
    learned = np.zeros(wanted, dtype=bool)
    ends, used, at = [], [], 0
    for number in order:
        one = made[number]
        n = min(len(one.ids), wanted - at)
        stream[at : at + n] = one.ids[:n]
        learned[at + one.start : at + n] = True
        at += n
        ends.append((at - 1) // form.length)
        used.append(number)
        if at == wanted:
            break
    if at < wanted:
        raise DataError(f"The stream holds {at} tokens, but the arm reads {wanted}.")
    about = _about(made)
    table = pl.DataFrame(
        {"row": ends, **{name: [values[k] for k in used] for name, values in about.items()}},
        schema=DOCUMENTS.schema,
    )
    tokens = stream.reshape(n_rows, form.length)
    _write(folder, tokens, learned.reshape(tokens.shape), np.arange(n_rows), form, batch_size,
           table, 0)  # fmt: skip


def _about(made: Sequence[Document]) -> dict[str, list[Any]]:
    return {
        "lang": [one.lang for one in made],
        "block": [one.block for one in made],
        "fact_id": [one.fact_id for one in made],
        "input_tokens": [len(one.ids) for one in made],
        "loss_tokens": [one.loss_tokens for one in made],
    }


def _write(
    folder: Path,
    tokens: Any,
    learned: Any,
    order: Any,
    form: RowFormat,
    batch_size: int,
    table: pl.DataFrame,
    left_out: int,
) -> None:
    content = hashlib.sha256()
    for array in (tokens, learned, order):
        content.update(np.ascontiguousarray(array).data)
    with atomic_path(folder) as temporary:
        temporary.mkdir(parents=True)
        for name, array in (("tokens", tokens), ("learned", learned), ("order", order)):
            np.save(temporary / f"{name}.npy", array, allow_pickle=False)
        write_parquet(DOCUMENTS.validate(table), temporary / "documents.parquet")
        facts = {
            "batch_size": batch_size,
            "form": {"length": form.length, "eos": form.eos, "pad": form.pad, "head": form.head},
            "digest": content.hexdigest(),
            "left_out": left_out,
        }
        write_json(facts, temporary / "rows.json")
