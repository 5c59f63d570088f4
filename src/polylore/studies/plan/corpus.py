"""What counting a corpus will cost, from a measured sample of it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from polylore.corpus.documents import Shard
from polylore.errors import DataError
from polylore.runs import RunFolder
from polylore.studies.count.config import CountConfig
from polylore.studies.count.sampling import Part, Sample, sample
from polylore.studies.count.study import prepare
from polylore.studies.plan.rows import Row, row
from polylore.tables.plan import PLAN_TOTALS

Progress = Callable[[int, int, str], None]
Kind = tuple[str, str | None]
"""Format and compression: shards of one kind cost alike."""

SHARDS = 4
"""Shards of a kind that are sampled, from the smallest to the largest."""
MEGABYTES = 64
"""Text that is counted of each kind, about."""
_UNIT = 4_000
"""Bytes of a finished shard beside its exposures: the notes about it, and the marker."""
_TABULAR = ("parquet", "arrow")
ASSUMPTION = (
    "Measured by counting a sample on this machine, as it is busy now; a slower disk or network "
    "than the sample met, and single documents far longer than those in it, come on top."
)


@dataclass(frozen=True)
class CorpusPlan:
    """What a count will cost."""

    title: str
    totals: pl.DataFrame
    """Table PLAN_TOTALS."""
    notes: tuple[str, ...] = ()
    """What the numbers assume, and what was wrong with the sample."""


def plan_corpus(
    config: CountConfig,
    out: str | Path,
    *,
    size: int | None = None,
    megabytes: int = MEGABYTES,
    progress: Progress | None = None,
) -> CorpusPlan:
    """Plan a count. A sample is counted; nothing is written to `out`.

    Args:
        config: the count, as for `count`.
        out: its run folder; what is finished there is not planned again.
        size: plan for a corpus of so many bytes as stored, in files like these.
        megabytes: text to sample of each kind of file.
        progress: called with (done, total, what).

    Raises:
        PolyloreError: what `count` would refuse; or no sampled file can be read.
    """
    report = progress or (lambda done, total, what: None)
    shards, factset, inputs = prepare(config)
    run = None if size else RunFolder.find(out, "count", config.question(), inputs)
    left = shards if run is None else [s for s in shards if not run.is_done(s.name)]
    whole = sum(shard.size for shard in left)
    files = (
        f"files like these {len(shards):,}" if size else f"{len(left):,} of {len(shards):,} files"
    )
    title = (
        f"{config.name}: {_amount(size or whole)} in {files}, "
        f"{factset.facts['fact_id'].n_unique():,} facts in {len(factset.languages)} languages"
    )
    if not whole:
        return CorpusPlan(title, PLAN_TOTALS.build([row("reading", "files", 0, "files")]))
    kinds = _kinds(left)
    found: dict[Kind, Sample] = {}
    for number, (kind, members) in enumerate(kinds.items()):
        report(number, len(kinds), "sampling")
        chosen = _spread(members, SHARDS)
        found[kind] = sample(config, chosen, max(1, megabytes * 1_000_000 // len(chosen)))
    report(len(kinds), len(kinds), "sampling")
    troubles = [f"{p.trouble}" for one in found.values() for p in one.parts if p.trouble]
    estimates = [
        Estimate(tuple(kinds[kind]), one, (size or whole) / whole) for kind, one in found.items()
    ]
    if not any(one.read for one in estimates):
        raise DataError(troubles[0] if troubles else "The sampled files hold nothing to count.")
    cells = factset.facts.height
    rows = [*_rows(config, estimates, cells, done=len(shards) - len(left))]
    return CorpusPlan(title, PLAN_TOTALS.build(rows), (ASSUMPTION, *troubles))


def _amount(size: int) -> str:
    """Bytes as people say them."""
    for width, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if size >= width:
            return f"{size / width:.3g} {name}"
    return f"{size:,} bytes"


def _kinds(shards: Sequence[Shard]) -> dict[Kind, list[Shard]]:
    kinds: dict[Kind, list[Shard]] = {}
    for shard in sorted(shards, key=lambda s: (s.size, s.name)):
        if shard.size:
            kinds.setdefault((shard.format, shard.compression), []).append(shard)
    return kinds


def _spread(shards: Sequence[Shard], n: int) -> list[Shard]:
    """At most n of them, evenly spread."""
    if len(shards) <= n:
        return list(shards)
    return [shards[(2 * k + 1) * len(shards) // (2 * n)] for k in range(n)]


@dataclass(frozen=True)
class Estimate:
    """What the files of one kind will take."""

    shards: tuple[Shard, ...]
    sample: Sample
    times: float
    """How many corpora like this one are planned for."""

    @cached_property
    def read(self) -> list[Part]:
        """The parts of the sample that could be counted."""
        return [part for part in self.sample.parts if part.stored and not part.trouble]

    @property
    def stored(self) -> float:
        """Bytes in all, as stored."""
        return self.times * sum(shard.size for shard in self.shards)

    def scaled(self, name: str) -> float:
        """A quantity of the sample, for all that is stored."""
        parts = self.read
        if not parts:
            return 0.0
        per_byte = sum(getattr(part, name) for part in parts) / sum(part.stored for part in parts)
        return float(per_byte * self.stored)

    def tables(self, cells: int, *, ordered: bool) -> float:
        """Bytes of the exposures of all shards.

        Rows grow with what is read until every cell has one, for each language of documents; with
        a known order they go on growing with the steps.
        """
        parts = [part for part in self.read if part.rows]
        if not parts:
            return 0.0
        per_row = sum(part.table for part in parts) / sum(part.rows for part in parts)
        per_byte = sum(part.rows for part in parts) / sum(part.stored for part in parts)
        most = float("inf") if ordered else cells * self.sample.groups
        return self.times * per_row * sum(min(most, per_byte * s.size) for s in self.shards)


def _rows(
    config: CountConfig, estimates: Sequence[Estimate], cells: int, *, done: int
) -> Iterator[Row]:
    files = sum(one.times * len(one.shards) for one in estimates)
    stored = sum(one.stored for one in estimates)
    text = sum(one.scaled("text") for one in estimates)
    parts = [part for one in estimates for part in one.read]
    counted = sum(part.text for part in parts)
    basis = f"from {len(parts)} files, {_amount(counted)} of text"
    yield row("reading", "files", files, "files", f"{done} are done")
    yield row("reading", "stored", stored, "bytes")
    yield row("reading", "text", text, "bytes", basis)
    yield row("reading", "documents", sum(o.scaled("documents") for o in estimates), "documents")
    yield from _time(config, estimates, files)
    yield from _memory(config, estimates)
    ordered = bool(config.documents.order or config.documents.step)
    ordered = ordered or bool(config.documents.sequences_per_step)
    tables = sum(one.tables(cells, ordered=ordered) for one in estimates)
    yield row(
        "disk", "run folder", tables + _UNIT * files, "bytes", "exposures of each file, about"
    )
    packed = [s.size for o in estimates for s in o.shards if s.compression and s.format in _TABULAR]
    if packed:
        most = max(packed) * config.execution.jobs
        yield row("disk", "unpacked at once", most, "bytes", "at least: compressed tables")


def _time(config: CountConfig, estimates: Sequence[Estimate], files: float) -> Iterator[Row]:
    cpu = sum(one.scaled("cpu") for one in estimates)
    seconds = sum(one.scaled("seconds") for one in estimates)
    text = sum(one.scaled("text") for one in estimates)
    ready = max(one.sample.ready for one in estimates)
    rate = f"{text / cpu / 1e6:.0f} MB of text per CPU second" if cpu else ""
    yield row("time", "this machine, computing", cpu, "s", rate)
    yield row("time", "this machine, one process", ready + seconds, "s", "by the clock")
    jobs = int(min(config.execution.jobs, max(1, files)))
    if jobs > 1:
        longest = max(_longest(one) for one in estimates)
        wall = ready + max(seconds / jobs, longest)
        remark = f"{jobs} processes, if each is as fast"
        if longest > seconds / jobs:
            remark += "; as long as the largest file takes"
        yield row("time", "this machine, wall", wall, "s", remark)


def _longest(one: Estimate) -> float:
    """Seconds of the largest file."""
    total = sum(shard.size for shard in one.shards) * one.times
    return one.scaled("seconds") * max(shard.size for shard in one.shards) / total


def _memory(config: CountConfig, estimates: Sequence[Estimate]) -> Iterator[Row]:
    peak = max(one.sample.peak for one in estimates)
    yield row("memory", "peak of a process", peak, "bytes", "as measured with the sample")
    if config.execution.jobs > 1:
        jobs = config.execution.jobs
        yield row("memory", "peak of all processes", peak * jobs, "bytes", f"{jobs} side by side")
