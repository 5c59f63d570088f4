"""What counting a part of a corpus takes: the worker's own code, timed in a process of its own."""

import io
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

from polylore.corpus.documents import Health, Shard, read_order, read_shard
from polylore.corpus.documents.languages import with_languages
from polylore.corpus.exposure import Counter, Patterns
from polylore.corpus.exposure.matcher import Matcher
from polylore.errors import DataError
from polylore.studies.count.config import CountConfig
from polylore.studies.count.peak import peak_memory


@dataclass(frozen=True)
class Part:
    """What counting the beginning of a shard took."""

    shard: Shard
    stored: int
    """Bytes read, as stored."""
    text: int
    documents: int
    seconds: float
    """By the clock."""
    cpu: float
    rows: int
    """Rows of its exposures."""
    table: int
    """Bytes of those rows as Parquet."""
    trouble: str | None = None
    """Why it cannot be counted."""


@dataclass(frozen=True)
class Sample:
    """What counting some shards took."""

    parts: tuple[Part, ...]
    ready: float
    """Seconds until a process can count."""
    peak: int
    """Most bytes of memory that the process held."""
    groups: int
    """Languages of documents that were met, at least one."""


def sample(config: CountConfig, shards: Sequence[Shard], most: int) -> Sample:
    """Count the beginning of some shards, as a worker would.

    Args:
        config: what to count.
        shards: in which.
        most: bytes of text after which a shard is left.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_sample, config, list(shards), most).result()


def _sample(config: CountConfig, shards: list[Shard], most: int) -> Sample:
    start = time.perf_counter()
    policy = config.effective_policy()
    patterns = Patterns.of(config.facts.load().facts, policy)
    matcher = Matcher(patterns.names, policy.boundaries)
    _warm(matcher, config, shards)
    ready = time.perf_counter() - start
    groups: set[str | None] = set()
    parts = tuple(_part(config, patterns, matcher, shard, most, groups) for shard in shards)
    return Sample(parts, ready, peak_memory(), max(1, len(groups)))


def _warm(matcher: Matcher, config: CountConfig, shards: list[Shard]) -> None:
    """Build what is built once per process, from the first text there is."""
    policy = config.effective_policy()
    for shard in shards:
        try:
            for batch in read_shard(shard, config.documents):
                matcher.raw(policy.fold(batch.data))
                return
        except DataError:
            continue  # named when it is counted


def _part(
    config: CountConfig,
    patterns: Patterns,
    matcher: Matcher,
    shard: Shard,
    most: int,
    groups: set[str | None],
) -> Part:
    documents = config.documents
    order = None if documents.order is None else read_order(documents.order)
    counter = Counter(
        patterns, config.effective_policy(), matcher=matcher, steps_per_row=config.steps_per_row
    )
    health, trouble, finished = Health(), None, False
    start, cpu = time.perf_counter(), time.process_time()
    try:
        for batch in read_shard(shard, documents, order=order, health=health):
            known = with_languages(batch, identify=documents.langid)
            groups.update(known.langs or [None])
            counter.add(known)
            if counter.text_bytes >= most and 0 < health.position < shard.size:
                break
        else:
            finished = True
    except DataError as error:
        trouble = str(error)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    exposure, packed = counter.exposure(shard.name), io.BytesIO()
    exposure.write_parquet(packed)
    return Part(
        shard,
        shard.size if finished else health.position,
        counter.text_bytes,
        counter.documents,
        seconds,
        cpu,
        exposure.height,
        packed.tell(),
        trouble,
    )
