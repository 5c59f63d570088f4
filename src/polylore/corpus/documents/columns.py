"""Documents as rows of a table: which columns are wanted, and batches made of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from polylore.corpus.documents.batch import PIECE, SEPARATOR, Batch, how_many, in_parts, join
from polylore.corpus.documents.config import DocumentsConfig
from polylore.errors import DataError


@dataclass(frozen=True)
class Columns:
    """Names of the fields or columns to read; None for what is not wanted."""

    text: str
    id: str | None
    lang: str | None
    step: str | None

    @classmethod
    def of(cls, config: DocumentsConfig, *, ids: bool) -> "Columns":
        """The columns of a configuration; identities only where somebody asks for them."""
        return cls(config.text, config.id if ids else None, config.lang, config.step)

    def schema(self) -> dict[str, pl.DataType]:
        """Types to read them as."""
        found: dict[str, pl.DataType] = {self.text: pl.String()}
        for name in (self.id, self.lang):
            if name is not None:
                found[name] = pl.String()
        if self.step is not None:
            found[self.step] = pl.Int64()
        return found

    def values(self, row: dict[str, Any], where: str) -> tuple[Any, ...]:
        """Values of one row, checked, in the order of `schema`.

        Raises:
            DataError: the text is no string, or the step no whole number.
        """
        text = row.get(self.text)
        if text is not None and not isinstance(text, str):
            raise DataError(f"{where}: the field '{self.text}' must hold a string.")
        if text is not None and not _encodable(text):
            # A lone surrogate, which JSON can spell and UTF-8 cannot, is no part of any name.
            text = text.encode(errors="replace").decode()
        found: list[Any] = [text]
        for name in (self.id, self.lang):
            if name is not None:
                value = row.get(name)
                found.append(None if value in (None, "") else str(value))  # CSV has no null
        if self.step is not None:
            step = row.get(self.step)
            try:
                found.append(None if step in (None, "") else int(step))
            except (TypeError, ValueError) as error:
                raise DataError(
                    f"{where}: the field '{self.step}' must hold a step, not {step!r}."
                ) from error
        return tuple(found)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def frame_batches(frame: pl.DataFrame, columns: Columns, first: int) -> Iterator[Batch]:
    """The documents of a table with the schema of `columns`; a text that is null is empty."""
    start = 0
    sizes = frame[columns.text].str.len_bytes()
    if frame.height and (sizes.max() or 0) > PIECE:  # type: ignore[operator]
        # Long documents come alone.
        for at in (sizes.fill_null(0) > PIECE).arg_true().to_list():
            if at > start:
                yield _batch(frame[start:at], columns, first + start)
            yield from in_parts(_batch(frame[at : at + 1], columns, first + at))
            start = at + 1
    if start < frame.height:
        yield _batch(frame[start:], columns, first + start)


def _batch(frame: pl.DataFrame, columns: Columns, first: int) -> Batch:
    texts = frame[columns.text].fill_null("")
    data: bytes = texts.str.join(SEPARATOR.decode()).cast(pl.Binary()).item()
    if how_many(data, SEPARATOR) >= frame.height:
        data = join([text.encode() for text in texts])
    return Batch(
        data,
        frame.height,
        first,
        _values(frame, columns.id),
        _values(frame, columns.lang),
        None if columns.step is None else _steps(frame[columns.step]),
    )


def _values(frame: pl.DataFrame, name: str | None) -> list[str | None] | None:
    if name is None or frame[name].null_count() == frame.height:
        return None
    return frame[name].to_list()


def _steps(steps: pl.Series) -> list[tuple[int, ...]]:
    return [() if step is None else (step,) for step in steps]
