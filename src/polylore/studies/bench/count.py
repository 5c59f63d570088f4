"""`polylore bench count`: how much of the matcher's own speed the whole of counting keeps.

Everything is measured in one run on the same text, shard by shard in turn, so that ratios hold on a
noisy machine. CPU seconds are those of the process; the matcher gets folded text in memory, the
whole way begins with compressed files. The bare matcher is the library's, built from the names
alone; the one that polylore lays out for the text it meets is faster and is timed as well.
"""

import math
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from polylore.corpus.documents import DocumentsConfig, Shard, find_shards, read_shard
from polylore.corpus.documents.languages import with_languages
from polylore.corpus.exposure import Counter, CountingPolicy, Patterns
from polylore.corpus.exposure.matcher import Matcher
from polylore.corpus.extras import require
from polylore.facts import load_facts
from polylore.runs.executor import limit_threads
from polylore.studies.bench.processes import side_by_side
from polylore.studies.bench.text import write_corpus
from polylore.studies.count.peak import peak_memory

Progress = Callable[[int, int, str], None]
Part = Literal["speed", "processes"]
MB = 1_000_000
PART = 0.1
"""Share of the text on which memory is measured as well."""


def bench_count(
    *,
    megabytes: int = 200,
    shards: int = 2,
    rounds: int = 3,
    kind: str = "jsonl",
    parts: Sequence[Part] = ("speed", "processes"),
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure counting.

    Args:
        megabytes: text to make up.
        shards: files it is split into.
        rounds: how often every shard is measured.
        kind: `jsonl` or `txt`, both as zst.
        parts: `speed`, one process against the bare matcher; `processes`, two of them against one,
            and memory.
        seed: of the made-up text.
        progress: called with (done, total, what).

    Returns:
        Patterns, bytes; MB of text per CPU second of the bare matcher, of the one laid out for the
        text and of the whole way, and what the whole way keeps of either (median over shards and
        rounds, with lowest and highest); the wall time of one and
        two processes (medians), their ratio (median over rounds, with lowest and highest), and
        the peak memory on a tenth and on all.
    """
    report = progress or (lambda done, total, what: None)
    factset = load_facts("cldr")
    policy = CountingPolicy()
    patterns = Patterns.of(factset.facts, policy)
    with tempfile.TemporaryDirectory(prefix="polylore-bench-") as name:
        folder = Path(name)
        report(0, 1, "writing text")
        size = write_corpus(
            factset, folder, megabytes=megabytes, shards=shards, kind=kind, seed=seed
        )
        config = DocumentsConfig(source=[name])
        found = find_shards(config)
        report(1, 1, "writing text")
        result = {
            "kind": f"{kind}.zst",
            "patterns": len(patterns.names),
            "languages": len(factset.languages),
            "bytes": size,
            "shards": shards,
            "rounds": rounds,
            "seed": seed,
        }
        if "speed" in parts:
            result |= _speed(found, config, patterns, policy, rounds, report)
        if "processes" in parts:
            result |= _processes(found, config, size, rounds, report)
    return result


def _speed(
    shards: list[Shard],
    config: DocumentsConfig,
    patterns: Patterns,
    policy: CountingPolicy,
    rounds: int,
    report: Progress,
) -> dict[str, Any]:
    plain = require("daachorse").DoubleArrayAhoCorasick(patterns.names)
    matcher = Matcher(patterns.names, policy.boundaries)
    bare: list[float] = []
    laid_out: list[float] = []
    whole: list[float] = []
    exposures = hits = 0
    for turn in range(rounds + 1):  # the first warms up
        for number, shard in enumerate(shards):
            folded = [policy.fold(batch.data) for batch in read_shard(shard, config)]
            text = sum(len(one) for one in folded) / MB
            start = time.process_time()
            for one in folded:
                hits += len(plain.find_overlapping(one))
            first = time.process_time()
            for one in folded:
                matcher.raw(one)
            middle = time.process_time()
            counter = Counter(patterns, policy, matcher=matcher)
            count_all([shard], config, counter)
            exposures += int(counter.exposure("bench")["count"].sum())
            end = time.process_time()
            if turn:
                bare.append(text / (first - start))
                laid_out.append(text / (middle - first))
                whole.append(counter.text_bytes / MB / (end - middle))
            report(turn * len(shards) + number + 1, (rounds + 1) * len(shards), "measuring")
    return {
        "hits": hits // (rounds + 1),
        "exposures": exposures // (rounds + 1),
        "matcher_mb_per_cpu_second": statistics.median(bare),
        "laid_out_mb_per_cpu_second": statistics.median(laid_out),
        "whole_mb_per_cpu_second": statistics.median(whole),
        **_kept("ratio", whole, bare),
        **_kept("ratio_laid_out", whole, laid_out),
    }


def _kept(name: str, whole: list[float], matcher: list[float]) -> dict[str, float]:
    """What the whole way keeps of a matcher's speed."""
    ratios = [a / b for a, b in zip(whole, matcher, strict=True)]
    middle = statistics.median(ratios)
    return {name: middle, f"{name}_lowest": min(ratios), f"{name}_highest": max(ratios)}


def count_all(
    shards: list[Shard], config: DocumentsConfig, counter: Counter, most: float = math.inf
) -> None:
    """What a worker does with its shards, up to about so many bytes of text."""
    for shard in shards:
        for batch in read_shard(shard, config):
            counter.add(with_languages(batch, identify=config.langid))
            if counter.text_bytes >= most:
                return


def _processes(
    shards: list[Shard], config: DocumentsConfig, size: int, rounds: int, report: Progress
) -> dict[str, Any]:
    total = 2 * rounds + 1
    report(0, total, "processes")
    _, small = _side_by_side([shards], config, most=PART * size)
    one: list[float] = []
    two: list[float] = []
    large = 0.0
    for turn in range(rounds):
        report(2 * turn + 1, total, "processes")
        seconds, peak = _side_by_side([shards], config)
        one.append(seconds)
        large = max(large, peak)
        report(2 * turn + 2, total, "processes")
        two.append(_side_by_side([shards[::2], shards[1::2]], config)[0])
    report(total, total, "processes")
    ratios = [a / b for a, b in zip(one, two, strict=True)]
    return {
        "seconds_one_process": statistics.median(one),
        "seconds_two_processes": statistics.median(two),
        "two_processes": statistics.median(ratios),
        "two_processes_lowest": min(ratios),
        "two_processes_highest": max(ratios),
        "peak_mb_of_a_part": small,
        "part": PART,
        "peak_mb_of_all": large,
    }


def _side_by_side(
    groups: list[list[Shard]], config: DocumentsConfig, most: float = math.inf
) -> tuple[float, float]:
    """Wall seconds of processes that count a group each, and the largest peak memory in MB.

    Like those of `corpus count --jobs`, each has one thread.
    """
    seconds, peaks = side_by_side(_count_group, [(group, config, most) for group in groups])
    return seconds, max(peaks)


def _count_group(
    ready: Callable[[], None], shards: list[Shard], config: DocumentsConfig, most: float
) -> float:
    limit_threads(1)
    policy = CountingPolicy()
    patterns = Patterns.of(load_facts("cldr").facts, policy)
    counter = Counter(patterns, policy)
    counter.matcher.raw(b"warm")
    ready()
    count_all(shards, config, counter, most)
    counter.exposure("bench")
    return peak_memory() / MB
