"""Reading documents from files of many kinds, in constant memory and in their order."""

from polylore.corpus.documents.batch import Batch
from polylore.corpus.documents.config import DocumentsConfig
from polylore.corpus.documents.order import Order, read_order
from polylore.corpus.documents.read import read_shard
from polylore.corpus.documents.shards import Shard, find_shards
from polylore.corpus.documents.streams import Health

__all__ = [
    "Batch",
    "DocumentsConfig",
    "Health",
    "Order",
    "Shard",
    "find_shards",
    "read_order",
    "read_shard",
]
