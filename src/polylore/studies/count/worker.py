"""One unit of work: count one shard."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from polylore.config import digest
from polylore.corpus.documents import (
    DocumentsConfig,
    Health,
    Order,
    Shard,
    read_order,
    read_shard,
)
from polylore.corpus.documents.languages import with_languages
from polylore.corpus.exposure import Counter, CountingPolicy, Patterns
from polylore.corpus.exposure.matcher import Matcher
from polylore.errors import DataError
from polylore.files import write_json
from polylore.runs import RunFolder
from polylore.tables import raw

MEGABYTE = 1 << 20


@dataclass(frozen=True)
class ShardTask:
    """A shard to count, and how."""

    run: str
    """Run folder."""
    shard: Shard
    documents: DocumentsConfig
    policy: CountingPolicy
    steps_per_row: int

    def __str__(self) -> str:
        return self.shard.name

    @property
    def megabytes(self) -> int:
        """Size as stored, for the progress display; at least 1."""
        return max(1, self.shard.size // MEGABYTE)

    @property
    def failure(self) -> Path:
        """Where it is noted why the shard could not be counted."""
        name = digest(self.shard.name)[:16]
        return Path(self.run) / "failed" / f"{name}.json"


def count_shard(task: ShardTask) -> int:
    """Count a shard into its unit of the run folder.

    A shard that cannot be read is noted in the folder `failed`, so that the others go on.

    Returns:
        Megabytes that are done.
    """
    run = RunFolder.load(task.run)
    if run.is_done(task.shard.name):
        return task.megabytes
    patterns, matcher = _prepared(task.run, task.policy.digest())
    order = None if task.documents.order is None else _order(task.documents.order)
    counter = Counter(patterns, task.policy, matcher=matcher, steps_per_row=task.steps_per_row)
    health = Health()
    try:
        for batch in read_shard(task.shard, task.documents, order=order, health=health):
            counter.add(with_languages(batch, identify=task.documents.langid))
    except DataError as error:
        write_json({"shard": task.shard.name, "why": str(error)}, task.failure)
        return 0
    exposure = counter.exposure(task.shard.name, exact=health.damaged is None)
    shard = raw.SHARDS.build(
        [
            {
                "shard": task.shard.name,
                "size": task.shard.size,
                "documents": counter.documents,
                "text_bytes": counter.text_bytes,
                "with_lang": counter.with_lang,
                "unread": counter.unread,
                "undecodable_documents": health.undecodable_documents,
                "undecodable_bytes": health.undecodable_bytes,
                "damaged": health.damaged,
            }
        ]
    )
    run.write_unit(task.shard.name, {"exposure": exposure, "shards": shard})
    return task.megabytes


@lru_cache(maxsize=1)
def _prepared(run: str, policy_digest: str) -> tuple[Patterns, Matcher]:
    """What all shards of a run share; kept from shard to shard."""
    folder = RunFolder.load(run)
    policy = CountingPolicy.parse(folder.manifest["config"]["policy"])
    patterns = Patterns.of(folder.table("facts"), policy)
    return patterns, Matcher(patterns.names, policy.boundaries)


@lru_cache(maxsize=1)
def _order(path: str) -> Order:
    return read_order(path)
