"""Trace fifty checkpoints in sixteen languages; hold time, memory and loss against their promises.

Promises: asking takes at most 1.3 times the forward time that `polylore plan --measure` predicts;
memory is flat over checkpoints; a run that is killed again and again loses nothing; two Ray workers
are at least 1.6 times as fast as one. The series is made here: random weights of one small shape,
since what is promised is speed and not knowledge.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from acceptance.results import write_results
from polylore.corpus import compose
from polylore.corpus.config import ComposeConfig
from polylore.runs import RunFolder
from polylore.studies.plan.plan import plan
from polylore.studies.trace.config import FactsConfig, TraceConfig
from polylore.studies.trace.study import choose_facts, trace
from polylore.training.config import ModelConfig, TokenizerConfig, TrainConfig
from polylore.training.documents import open_documents
from polylore.training.model import new_model
from polylore.training.tokenizer import train_tokenizer

LANGUAGES = ("ar", "de", "el", "en", "es", "fi", "fr", "he")
LANGUAGES += ("hi", "ja", "ko", "pt", "ru", "tr", "uk", "zh")


def make_series(folder: Path, checkpoints: int, sizes: ModelConfig) -> Path:
    """Checkpoints with random weights and a tokenizer made from the facts; returns their folder."""
    series = folder / "series"
    if not series.is_dir():
        facts = choose_facts(FactsConfig(languages=list(LANGUAGES)))
        plain = ComposeConfig(min_dose=1, max_dose=2, held_out=0, mentions=0, min_mentions=0)
        compose(facts, plain, folder / "corpus")
        tokenizer = train_tokenizer(
            open_documents(folder / "corpus"), TokenizerConfig(vocab_size=8192)
        )
        for number in range(checkpoints):
            model = new_model(TrainConfig(seed=number, model=sizes), tokenizer)
            target = series / f"step-{100 * number}"
            model.save_pretrained(target)
            tokenizer.save_pretrained(target)
    return series


def settings(series: Path, limit: int | None = None, **execution: object) -> TraceConfig:
    """The built-in set in sixteen languages, candidates only."""
    return TraceConfig.parse(
        {
            "model": str(series),
            "facts": {"languages": list(LANGUAGES), "limit": limit},
            "ask": {"n_shot": 0, "generate": False},
            "analyse": {"draws": 0},
            "execution": execution,
        }
    )


class Watch:
    """A progress callback that times asking and notes this process's memory after each batch."""

    def __init__(self) -> None:
        self.start = self.end = 0.0
        self.memory: list[float] = []

    def __call__(self, done: int, total: int, what: str) -> None:
        if what != "asking":
            return
        self.end = time.monotonic()
        self.start = self.start or self.end
        self.memory.append(psutil.Process().memory_info().rss / 2**20)

    @property
    def seconds(self) -> float:
        return self.end - self.start


def ask(
    series: Path, out: Path, limit: int | None = None, **execution: object
) -> tuple[RunFolder, Watch]:
    watch = Watch()
    run = trace(settings(series, limit, **execution), out, progress=watch, report=False)
    return run, watch


def ask_killed(series: Path, out: Path, limit: int, kills: int, seconds: float) -> RunFolder:
    """Ask in a process of its own that is killed at random moments, then let it finish."""
    command = [sys.executable, "-m", "acceptance.scale", "--ask", str(series), str(out)]
    rng = random.Random(0)
    for number in range(kills + 1):
        process = subprocess.Popen([*command, "--limit", str(limit)], start_new_session=True)
        try:
            # Starting takes some seconds of which a kill would prove nothing.
            code = process.wait(8 + rng.uniform(0, seconds / kills) if number < kills else None)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            continue
        if code or number < kills:
            raise SystemExit(f"exit code {code} after {number} of {kills} kills")
    return RunFolder.load(out)


def same(one: RunFolder, two: RunFolder) -> bool:
    """Whether both runs hold the same raw rows."""
    return all(one.read(name).equals(two.read(name)) for name in ("answers", "candidate_scores"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ask", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help="folder to work in")
    parser.add_argument("--checkpoints", type=int, default=50)
    parser.add_argument("--limit", type=int, default=150, help="facts of compared runs")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--results", type=Path, help="Markdown file to write")
    options = parser.parse_args()
    if options.ask:
        ask(*options.ask, options.limit)
        return
    sizes = ModelConfig(hidden_size=64, layers=2, heads=2, intermediate_size=176)
    series = make_series(options.folder, options.checkpoints, sizes)
    made = plan(settings(series), options.folder / "whole", measured=True)
    foreseen = float(made.units["seconds"].sum())
    print(f"forward passes foreseen: {foreseen:.0f} s", flush=True)
    run, watch = ask(series, options.folder / "whole")
    print(f"asking: {watch.seconds:.0f} s", flush=True)
    asked = run.read("candidate_scores").height
    memory = watch.memory[5:] or watch.memory
    growth = max(memory) / memory[0]
    small, one = ask(series, options.folder / "one", options.limit)
    broken = ask_killed(
        series, options.folder / "killed", options.limit, options.kills, one.seconds
    )
    lone, first = ask(series, options.folder / "ray-1", options.limit, executor="ray", jobs=1)
    pair, second = ask(series, options.folder / "ray-2", options.limit, executor="ray", jobs=2)
    ratio, faster = watch.seconds / foreseen, first.seconds / second.seconds
    equal = same(small, lone) and same(small, pair)
    checks = {
        "asking at most 1.3 times the forward time foreseen": (f"{ratio:.2f}", ratio <= 1.3),
        "memory after the fifth checkpoint grows by at most a tenth": (
            f"{growth:.3f}",
            growth <= 1.1,
        ),
        f"killed {options.kills} times and resumed: same rows": (
            "same" if same(small, broken) else "DIFFERENT",
            same(small, broken),
        ),
        "one and two Ray workers: same rows as without": ("same" if equal else "DIFFERENT", equal),
        "two Ray workers at least 1.6 times as fast as one": (f"{faster:.2f}", faster >= 1.6),
    }
    lines = ["| promise | measured | kept |", "|---|---|---|"]
    lines += [f"| {k} | {shown} | {'yes' if ok else 'NO'} |" for k, (shown, ok) in checks.items()]
    lines += [
        "",
        f"- series: {options.checkpoints} checkpoints with random weights, "
        f"{sizes.layers} layers of width {sizes.hidden_size}",
        f"- asked: the whole built-in set in {len(LANGUAGES)} languages, {asked:,} scores, in "
        f"{watch.seconds:.0f} s by one process with one thread; foreseen {foreseen:.0f} s",
        f"- memory of the process: {memory[0]:.0f} MiB after the fifth checkpoint, at most "
        f"{max(memory):.0f} MiB later",
        f"- killed and Ray: {options.limit} facts; {one.seconds:.0f} s without Ray, "
        f"{first.seconds:.0f} s with one worker, {second.seconds:.0f} s with two, the start of "
        "the cluster included",
        f"- load average at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
    ]
    print("\n".join(lines))
    if options.results:
        command = ["python", "-m", "acceptance.scale", "--folder", "FOLDER"]
        write_results(options.results, "Fifty checkpoints in sixteen languages", command, lines)
    sys.exit(0 if all(ok for _, ok in checks.values()) else 1)


if __name__ == "__main__":
    main()
