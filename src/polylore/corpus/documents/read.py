"""One door for all formats: the documents of a shard, batch by batch."""

from collections.abc import Iterator

from polylore.corpus.documents.batch import Batch
from polylore.corpus.documents.columns import Columns
from polylore.corpus.documents.config import DocumentsConfig
from polylore.corpus.documents.jsonl import jsonl_batches
from polylore.corpus.documents.order import Order
from polylore.corpus.documents.plain import text_batches
from polylore.corpus.documents.shards import Shard
from polylore.corpus.documents.streams import (
    CHUNK,
    Health,
    chunks,
    damage,
    note_damage,
    opened,
    seekable,
)
from polylore.corpus.documents.tabular import arrow_batches, csv_batches, parquet_batches
from polylore.corpus.documents.tokens import token_batches


def read_shard(
    shard: Shard,
    config: DocumentsConfig,
    *,
    order: Order | None = None,
    ids: bool = False,
    health: Health | None = None,
) -> Iterator[Batch]:
    """The documents of a shard in its order, in memory that does not grow with it.

    Args:
        shard: what to read.
        config: how.
        order: when documents were read, if that is in a table of its own.
        ids: whether the identities of documents are wanted.
        health: told what was wrong with the shard.

    Raises:
        DataError: the shard cannot be opened, is damaged (unless `config.partial`), or does not
            hold what it should; the message names it.
        ConfigError: a package of the extra `corpus`, or the tokenizer, is not there.
    """
    health = Health() if health is None else health
    by_document = order is not None and order.by != "sequence_id"
    columns = Columns.of(config, ids=ids or (order is not None and order.by == "doc_id"))
    for batch in _batches(shard, config, columns, order, health):
        yield order.apply(batch, shard.name) if order is not None and by_document else batch


def _batches(
    shard: Shard, config: DocumentsConfig, columns: Columns, order: Order | None, health: Health
) -> Iterator[Batch]:
    if shard.format in ("parquet", "arrow"):
        yield from _tables(shard, config, columns, health)
        return
    # JSON is held once more when it is parsed.
    size = CHUNK // 2 if shard.format == "jsonl" else CHUNK
    blocks = chunks(shard, health, partial=config.partial, size=size)
    if shard.format == "txt":
        yield from text_batches(blocks, config.txt, health)
    elif shard.format == "jsonl":
        yield from jsonl_batches(blocks, columns, shard.name, health)
    elif shard.format == "tokens":
        yield from token_batches(blocks, config, shard, order)
    else:
        delimiter = "," if shard.format == "csv" else "\t"
        yield from csv_batches(blocks, columns, shard.name, health, delimiter)


def _tables(
    shard: Shard, config: DocumentsConfig, columns: Columns, health: Health
) -> Iterator[Batch]:
    read = parquet_batches if shard.format == "parquet" else arrow_batches
    with opened(shard) as (stream, raw):
        try:
            with seekable(stream, shard) as content:
                for batch in read(content, columns, shard.name):
                    if shard.compression is None:  # else all of it was unpacked at first
                        health.position = raw.tell()
                    yield batch
        except damage() as error:  # ArrowInvalid is a ValueError
            note_damage(shard, health, error, partial=config.partial)
