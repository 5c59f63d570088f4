"""Trace fifty checkpoints in sixteen languages; hold time, memory and loss against their promises.

Promises: a checkpoint after another takes at most 1.3 times the pure forward time that `polylore
plan --measure` foresaw; memory is flat over checkpoints; a run that is killed again and again loses
nothing and asks nothing twice; every executor gives the same rows; two Ray workers are at least 1.6
times as fast as one, and a killed one costs nothing.

The series is made here, with random weights: what is promised is speed and safety, not knowledge.
Each arm runs in a process of its own. The first asks the whole set; the arms that are killed or
shared out ask a part of it.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil

from acceptance.results import write_results
from polylore.corpus import compose
from polylore.corpus.config import ComposeConfig
from polylore.runs import RunFolder
from polylore.studies.plan.plan import plan
from polylore.studies.trace.config import FactsConfig, TraceConfig
from polylore.studies.trace.study import trace
from polylore.training.config import ModelConfig, TokenizerConfig, TrainConfig
from polylore.training.documents import open_documents
from polylore.training.model import new_model
from polylore.training.tokenizer import train_tokenizer

LANGUAGES = ["en", "ar", "de", "el", "es", "fi", "fr", "he"]
LANGUAGES += ["hi", "ja", "ko", "pt", "ru", "tr", "uk", "zh"]
SIZES = ModelConfig(hidden_size=96, layers=3, heads=3, intermediate_size=256)
SETTLED = 5
"""Checkpoints after which memory should no longer grow."""
SOME = 12
"""Checkpoints of the arm that loses a worker."""

Found = dict[str, Any]


def make_series(folder: Path, checkpoints: int) -> Path:
    """Checkpoints with random weights and a tokenizer made from the facts; returns their folder."""
    series = folder / "series"
    if not series.is_dir():
        facts = FactsConfig(languages=LANGUAGES).load()
        plain = ComposeConfig(min_dose=1, max_dose=2, held_out=0, mentions=0, min_mentions=0)
        compose(facts, plain, folder / "corpus")
        documents = open_documents(folder / "corpus")
        tokenizer = train_tokenizer(documents, TokenizerConfig(vocab_size=4096))
        for number in range(checkpoints):
            model = new_model(TrainConfig(seed=number, model=SIZES), tokenizer)
            model.save_pretrained(series / f"step-{100 * number}")
            tokenizer.save_pretrained(series / f"step-{100 * number}")
    return series


def settings(series: Path, limit: int | None, some: int | None, **execution: Any) -> TraceConfig:
    """The built-in facts in sixteen languages, ranked and answered freely."""
    steps = "all" if some is None else [100 * number for number in range(some)]
    return TraceConfig.parse(
        {
            "model": str(series),
            "series": {"schedule": steps},
            "facts": {"languages": LANGUAGES, "limit": limit},
            "ask": {"n_shot": 0},
            "analyse": {"draws": 100},
            "execution": execution,
        }
    )


class Watch:
    """A progress callback that times a trace, notes memory, and kills a Ray worker if it should."""

    def __init__(self, kill: bool) -> None:
        self.start, self.first, self.last = time.monotonic(), 0.0, 0.0
        self.memory: list[float] = []
        self.others = [0.0, 0.0]
        """CPU seconds that other processes had used at the beginning and at the last answer."""
        self.kill, self.killed = kill, 0

    def __call__(self, done: int, total: int, what: str) -> None:
        if what != "asking":
            return
        self.last = time.monotonic()
        self.others[1] = _busy() - _used()
        if not self.first:
            self.first, self.others[0] = self.last, self.others[1]
        if done:
            self.memory.append(psutil.Process().memory_info().rss / 2**20)
        if self.kill and not self.killed and 3 * done >= total:
            for process in psutil.Process().children(recursive=True):
                if " ".join(process.cmdline()).startswith("ray::_Worker.do"):
                    self.killed = process.pid
                    process.kill()
                    break


def work(options: argparse.Namespace) -> None:
    """One arm, in this process; what was found goes to standard output as JSON."""
    series, limit = options.folder / "series", options.limit or None
    execution = {"executor": options.executor, "jobs": options.jobs}
    config = settings(series, limit, options.some, **execution)
    watch = Watch(options.lose)
    trace(config, options.folder / options.arm, progress=watch, report=False)
    found = {
        "wall": watch.last - watch.start,
        "asking": watch.last - watch.first,
        "analysis": time.monotonic() - watch.last,
        "memory": watch.memory,
        "killed": bool(watch.killed),
        "others": (watch.others[1] - watch.others[0]) / (watch.last - watch.first),
    }
    print(json.dumps(found))


def command(options: argparse.Namespace, arm: str, *words: str) -> list[str]:
    common = ["--folder", str(options.folder), "--arm", arm]
    return [sys.executable, "-m", "acceptance.scale", *common, *words]


def run(options: argparse.Namespace, arm: str, *words: str) -> Found:
    """One arm in a process of its own, and how much of the machine others used meanwhile."""
    kept = options.folder / f"{arm}.json"
    if kept.is_file():
        found: Found = json.loads(kept.read_text())
        return found
    done = subprocess.run(
        command(options, arm, *words), stdout=subprocess.PIPE, text=True, check=True
    )
    found = json.loads(done.stdout.strip().splitlines()[-1])
    kept.write_text(json.dumps(found))
    print(
        f"{arm}: {found['wall']:.0f} s, {found['asking']:.0f} s of asking, others used "
        f"{found['others']:.1f} cores",
        flush=True,
    )
    return found


def _busy() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system)


def _used() -> float:
    """CPU seconds of this process and all that it started and that still live (Ray is never
    waited for, so the system's own account of children leaves it out)."""
    me = psutil.Process()
    total = 0.0
    for process in [me, *me.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def kill_and_resume(
    options: argparse.Namespace, seconds: float, part: tuple[str, ...]
) -> tuple[list[int], int]:
    """Kill a run with two processes at random moments, then let it finish.

    Args:
        seconds: what the same run takes with one process.

    Returns:
        Units finished at each kill, and how many finished units were written again.
    """
    file = options.folder / "killed.json"
    if file.is_file():
        counts, again = json.loads(file.read_text())
        return counts, again
    rng = random.Random(0)
    folder = options.folder / "killed" / "units"
    words = command(options, "killed", *part, "--jobs", "2")
    kept: dict[Path, int] = {}
    counts = []
    while len(counts) < options.kills:
        process = subprocess.Popen(words, start_new_session=True, stdout=subprocess.DEVNULL)
        try:
            process.wait(rng.uniform(0.2, 0.8) * seconds / 2 / options.kills + options.start)
            raise SystemExit("the run that was to be killed finished first; give fewer --kills")
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for marker in folder.glob("[!.]*/done.json"):
            kept.setdefault(marker, marker.stat().st_mtime_ns)
        counts.append(len(kept))
        print(f"killed with {len(kept)} units finished", flush=True)
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    again = sum(marker.stat().st_mtime_ns != written for marker, written in kept.items())
    file.write_text(json.dumps([counts, again]))
    return counts, again


def same(one: RunFolder, two: RunFolder) -> bool:
    """Whether a run holds the same raw rows as another, as far as it goes."""
    units = two.units()
    return set(units) <= set(one.units()) and all(
        one.read(name, units).equals(two.read(name, units))
        for name in ("answers", "candidate_scores")
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="empty folder to work in")
    parser.add_argument("--checkpoints", type=int, default=50)
    parser.add_argument("--limit", type=int, default=0, help="facts to ask; 0 for all of the set")
    parser.add_argument("--part", type=int, default=50, help="facts to ask in the other arms")
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--start", type=float, default=10, help="seconds until a run is at work")
    parser.add_argument("--results", type=Path, help="Markdown file to write")
    for name in ("--arm", "--executor"):
        parser.add_argument(name, default="local" if name == "--executor" else None)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--some", type=int, help="only the first checkpoints")
    parser.add_argument("--lose", action="store_true", help="kill a Ray worker")
    options = parser.parse_args()
    if options.arm:
        work(options)
    else:
        compare(options)


def compare(options: argparse.Namespace) -> None:
    """Run every arm and hold what was found against the promises."""
    part = ("--limit", str(options.part))
    series = make_series(options.folder, options.checkpoints)
    ray = (*part, "--executor", "ray", "--jobs")
    one, two = run(options, "ray-1", *ray, "1"), run(options, "ray-2", *ray, "2")
    lost = run(options, "ray-lost", *ray, "2", "--some", str(SOME), "--lose")
    alone = run(options, "part", *part)
    counts, again = kill_and_resume(options, alone["wall"], part)
    once = foresee(options, series, "once")
    whole = run(options, "whole", "--limit", str(options.limit))
    twice = foresee(options, series, "twice")
    foreseen = min(once["seconds"], twice["seconds"])
    names = ("whole", "part", "killed", "ray-1", "ray-2", "ray-lost")
    arms = {name: RunFolder.load(options.folder / name) for name in names}
    equal = {name: same(arms["part"], arms[name]) for name in names[2:]}
    memory = whole["memory"][SETTLED:]
    slope = float(np.polyfit(np.arange(len(memory)), memory, 1)[0])
    spread = max(memory) / min(memory)
    ratio, faster = whole["wall"] / foreseen, one["asking"] / two["asking"]
    complete = len(arms["killed"].units()) == len(arms["part"].units())
    checks = {
        "wall time at most 1.3 times the forward time foreseen": (f"{ratio:.2f}", ratio <= 1.3),
        f"largest memory after checkpoint {SETTLED} at most 1.1 times the smallest": (
            f"{spread:.3f}",
            spread <= 1.1,
        ),
        f"killed {options.kills} times and resumed: all units, the same rows": (
            _yes(complete and equal["killed"]),
            complete and equal["killed"],
        ),
        "finished units that were written again: none": (str(again), again == 0),
        "the same rows from two processes and from Ray": (
            _yes(all(equal.values())),
            all(equal.values()),
        ),
        "two Ray workers at least 1.6 times as fast as one": (f"{faster:.2f}", faster >= 1.6),
        "a Ray worker killed in the middle: the same rows": (
            _yes(lost["killed"] and equal["ray-lost"]),
            lost["killed"] and equal["ray-lost"],
        ),
    }
    lines = ["| promise | measured | kept |", "|---|---|---|"]
    lines += [f"| {k} | {shown} | {'yes' if ok else 'NO'} |" for k, (shown, ok) in checks.items()]
    lines += ["", *describe(options, arms["whole"], once)]
    lines += [
        f"- one process, one thread: {whole['wall']:.0f} s from the call to the last answer "
        f"(forward passes foreseen, from throughput measured twice: {once['seconds']:.0f} s and "
        f"{twice['seconds']:.0f} s; the smaller one counts); then {whole['analysis']:.0f} s of "
        "analysis",
        f"- memory after each checkpoint from the {SETTLED + 1}th on: {min(memory):.0f} to "
        f"{max(memory):.0f} MiB, slope {slope:+.2f} MiB per checkpoint",
        f"- the other arms asked {options.part} facts: one process, one thread, "
        f"{alone['asking']:.0f} s",
        f"- kills: with {', '.join(map(str, counts))} of {len(arms['part'].units())} units "
        "finished, two processes each time",
        f"- Ray: {one['asking']:.0f} s with one worker, {two['asking']:.0f} s with two, from the "
        "moment the cluster is asked for",
        f"- machine: {psutil.cpu_count()} cores, of which other processes used "
        + ", ".join(
            f"{found['others']:.1f} ({name})"
            for name, found in (("one process", whole), ("Ray, one", one), ("Ray, two", two))
        ),
    ]
    print("\n".join(lines))
    if options.results:
        words = ["python", "-m", "acceptance.scale", "--folder", "FOLDER"]
        words += ["--limit", str(options.limit), "--part", str(options.part)]
        words += ["--checkpoints", str(options.checkpoints)]
        write_results(options.results, "Fifty checkpoints, sixteen languages", words, lines)
    sys.exit(0 if all(ok for _, ok in checks.values()) else 1)


def foresee(options: argparse.Namespace, series: Path, when: str) -> dict[str, float]:
    """Seconds, tokens and FLOPs of the whole set, from throughput measured now (and kept).

    It is measured before and after the long run, and the stricter one is the yardstick: a machine
    that is busy for a minute must not make a slow run look fast.
    """
    kept = options.folder / f"foreseen-{when}.json"
    if not kept.is_file():
        config = settings(series, options.limit or None, None)
        made = plan(config, options.folder / f"plan-{when}", measured=True)
        units = made.units.select(pl.sum("seconds", "tokens", "flops")).row(0, named=True)
        kept.write_text(json.dumps(units))
        print(f"forward passes foreseen {when}: {units['seconds']:.0f} s", flush=True)
    found: dict[str, float] = json.loads(kept.read_text())
    return found


def describe(options: argparse.Namespace, whole: RunFolder, work: dict[str, float]) -> list[str]:
    """What was asked of what."""
    facts = whole.table("facts")["fact_id"].n_unique()
    share = "all" if not options.limit else f"{facts} of 1,393"
    scores = whole.read("candidate_scores").height
    answers = whole.read("answers").filter(mode="generate").height
    return [
        f"- series: {options.checkpoints} Llamas with random weights, {SIZES.layers} layers of "
        f"width {SIZES.hidden_size}, a tokenizer of at most 4,096 tokens made from the facts",
        f"- asked: {share} facts of the built-in set in {len(LANGUAGES)} languages (no "
        f"demonstrations), {scores:,} scores and {answers:,} free answers, "
        f"{work['tokens']:,} tokens and {work['flops']:.2g} FLOPs as planned",
    ]


def _yes(value: bool) -> str:
    return "yes" if value else "no"


if __name__ == "__main__":
    main()
