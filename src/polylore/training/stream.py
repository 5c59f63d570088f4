"""The token stream that a model really read, taken back from its sequences.

Nothing here trusts the composer or the ledger: texts are decoded from the tokens of the batches.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from polylore.errors import DataError
from polylore.files import read_json
from polylore.training.config import TrainConfig
from polylore.training.packing import Packed, open_packed
from polylore.training.tokenizer import open_tokenizer

READ = {
    "sequence": pl.Int64(),
    "start": pl.Int64(),
    "end": pl.Int64(),
    "step": pl.Int64(),
    "text": pl.String(),
    "whole": pl.Boolean(),
}
"""Schema of what was read: place of a piece in its sequence (end exclusive, boundary left out), the
step that read it, its text, and whether it is a whole document (closed by the boundary)."""


def read_config(training: Path) -> TrainConfig:
    """How a training folder was trained.

    Raises:
        DataError: the folder holds no training run of polylore.
    """
    manifest = read_json(training / "manifest.json")
    if not isinstance(manifest, dict) or manifest.get("kind") != "training":
        raise DataError(f"{training} holds no training run of polylore; name the folder of one.")
    return TrainConfig.parse(manifest["config"], f"{training}/manifest.json")


def read_stream(training: str | Path) -> pl.DataFrame:
    """Everything a model read, in the order of its sequences; columns of `READ`.

    Raises:
        DataError: the folder holds no training run, or its sequences are gone.
    """
    training = Path(training)
    packed = open_packed(training / "data", read_config(training))
    tokenizer = open_tokenizer(training / "tokenizer")
    places, tokens = [], []
    for sequence, start, end, whole in _pieces(packed, int(tokenizer.eos_token_id)):
        places.append((sequence, start, end, sequence // packed.batch_size + 1, whole))
        tokens.append(packed.sequences[sequence, start:end].tolist())
    backend = tokenizer.backend_tokenizer
    texts = backend.decode_batch(tokens, skip_special_tokens=False)
    columns = ["sequence", "start", "end", "step", "whole"]
    frame = pl.DataFrame(places, schema=columns, orient="row", infer_schema_length=None)
    return frame.with_columns(text=pl.Series(texts, dtype=pl.String)).select(
        pl.col(name).cast(dtype) for name, dtype in READ.items()
    )


def _pieces(packed: Packed, boundary: int) -> Iterator[tuple[int, int, int, bool]]:
    """Sequence, start, end and wholeness of every document or part of one.

    A sequence opens with the boundary; a piece that fills the rest of it without one is a part.
    """
    for sequence, row in enumerate(packed.sequences):
        ends = np.flatnonzero(row == boundary)[1:]
        start = 1
        for end in ends.tolist():
            yield sequence, start, end, True
            start = end + 1
        used = int(packed.n_tokens[sequence]) + 1
        if start < used:
            yield sequence, start, used, False


def with_documents(
    stream: pl.DataFrame, documents: pl.DataFrame, consumed: pl.DataFrame
) -> pl.DataFrame:
    """What was read, with the document each piece is: `stream` with doc_id, kind and lang.

    Parts of split documents have no identity of their own: nulls.

    Args:
        stream: frame of `read_stream`.
        documents: contract `tables.raw.DOCUMENTS`.
        consumed: contract `tables.raw.CONSUMED`.

    Raises:
        DataError: the stream holds a text that no document has at that step.
    """
    keys = ["step", "text"]
    nth = pl.int_range(pl.len()).over(keys).alias("_nth")
    known = documents.select("doc_id", "kind", "lang", "text").join(
        consumed.select("doc_id", "step"), on="doc_id", how="inner", maintain_order="left"
    )
    found = stream.with_columns(nth).join(
        known.with_columns(nth), on=[*keys, "_nth"], how="left", maintain_order="left"
    )
    strange = found.filter(pl.col("whole") & pl.col("doc_id").is_null())
    # The last piece of a split document is closed by a boundary as well: one for each.
    split = known.join(stream, on=keys, how="anti").filter(kind="background")
    if strange.height > split.height:
        row = strange.row(0, named=True)
        raise DataError(
            f"At step {row['step']} the model read {row['text'][:80]!r}, which no document of the "
            "corpus says; training folder and corpus do not belong together."
        )
    return found.drop("_nth")


@dataclass(frozen=True)
class Agreement:
    """How far two streams agree."""

    tokens: int
    """Tokens of each stream."""
    replaced: int
    """Tokens in the places of replaced documents."""
    stream_hash: str
    """SHA-256 of all other tokens in their places, equal in both."""


def same_outside(
    full: str | Path, other: str | Path, stream: pl.DataFrame, replaced: pl.Series
) -> Agreement:
    """Check that two runs read the same tokens in the same places, but for replaced documents.

    Args:
        full: training folder of the full run.
        other: training folder of the run with replacements.
        stream: frame of `with_documents` of the full run.
        replaced: doc_id of the replaced documents.

    Raises:
        DataError: shapes or tokens differ elsewhere, or a replacement has another length.
    """
    packs = [open_packed(Path(path) / "data", read_config(Path(path))) for path in (full, other)]
    one, two = packs
    if one.sequences.shape != two.sequences.shape or not (one.n_tokens == two.n_tokens).all():
        raise DataError(f"{other} did not read as many tokens in the same sequences as {full}.")
    masks = _places(stream.filter(pl.col("doc_id").is_in(replaced.implode())), one.sequences.shape)
    hashes = {_hash(pack.sequences, masks) for pack in packs}
    if len(hashes) != 1:
        raise DataError(
            f"{other} read other tokens than {full} outside the replaced documents; delete {other} "
            "and train again."
        )
    return Agreement(int(one.n_tokens.sum()), int(masks.sum()), hashes.pop())


def _places(pieces: pl.DataFrame, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    mask = np.zeros(shape, dtype=bool)
    for sequence, start, end in pieces.select("sequence", "start", "end").iter_rows():
        mask[sequence, start:end] = True
    return mask


def _hash(sequences: NDArray[Any], mask: NDArray[np.bool_]) -> str:
    content = hashlib.sha256()
    for start in range(0, len(sequences), 4096):
        block = np.array(sequences[start : start + 4096])
        block[mask[start : start + 4096]] = 0
        content.update(block.tobytes())
    return content.hexdigest()
