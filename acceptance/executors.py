"""Ask one series by local processes and on Ray; compare rows and times.

Promises: every executor gives the same rows; two Ray workers are at least 1.6 times as fast as one;
a run whose worker is killed in the middle loses nothing. Times are those of asking alone, from the
moment the cluster is requested, so they include starting it.
"""

import argparse
import sys
import time
from pathlib import Path

import psutil

from acceptance.results import write_results
from polylore.runs import RunFolder
from polylore.studies.trace.config import TraceConfig
from polylore.studies.trace.study import trace


class Clock:
    """A progress callback that times asking, and once kills a busy Ray worker if it should."""

    def __init__(self, kill: bool = False) -> None:
        self.start = self.end = 0.0
        self.kill, self.killed = kill, 0

    def __call__(self, done: int, total: int, what: str) -> None:
        if what != "asking":
            return
        self.end = time.monotonic()
        if done == 0:
            self.start = self.end
        elif self.kill and not self.killed and 3 * done >= total:
            for process in psutil.Process().children(recursive=True):
                if " ".join(process.cmdline()).startswith("ray::_Worker.do"):
                    self.killed = process.pid
                    process.kill()
                    break


def same(one: RunFolder, two: RunFolder) -> bool:
    """Whether both runs hold the same raw rows."""
    return all(one.read(name).equals(two.read(name)) for name in ("answers", "candidate_scores"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="folder with checkpoints")
    parser.add_argument("--folder", type=Path, required=True, help="empty folder to work in")
    parser.add_argument("--limit", type=int, default=100, help="facts to ask")
    parser.add_argument("--results", type=Path, help="Markdown file to write")
    options = parser.parse_args()
    arms = {
        "local, 1 process": ("local", 1, False),
        "local, 2 processes": ("local", 2, False),
        "Ray, 1 worker": ("ray", 1, False),
        "Ray, 2 workers": ("ray", 2, False),
        "Ray, 2 workers, one killed": ("ray", 2, True),
    }
    seconds, runs, lost = {}, {}, 0
    for name, (executor, jobs, kill) in arms.items():
        config = TraceConfig.parse(
            {
                "model": options.model,
                "facts": {"languages": ["en", "fr", "ru", "zh"], "limit": options.limit},
                "ask": {"n_shot": 0},
                "analyse": {"draws": 0},
                "execution": {"executor": executor, "jobs": jobs},
            }
        )
        clock = Clock(kill)
        out = options.folder / name.replace(", ", "-").replace(" ", "-")
        runs[name] = trace(config, out, progress=clock, report=False)
        seconds[name] = clock.end - clock.start
        lost += bool(clock.killed)
        print(f"{name}: {seconds[name]:.1f} s")
    first = next(iter(runs))
    ratio = seconds["Ray, 1 worker"] / seconds["Ray, 2 workers"]
    equal = {name: same(runs[first], run) for name, run in runs.items()}
    lines = ["| executor | seconds of asking | same rows as the first |", "|---|---|---|"]
    lines += [
        f"| {name} | {seconds[name]:.1f} | {'yes' if equal[name] else 'NO'} |" for name in runs
    ]
    lines += ["", f"- two Ray workers are {ratio:.2f} times as fast as one (promised: 1.6)"]
    lines += [f"- workers killed in the middle: {lost}"]
    print("\n".join(lines))
    if options.results:
        write_results(
            options.results,
            "Executors",
            ["python", "-m", "acceptance.executors", "--model", "MODEL", "--folder", "FOLDER"],
            lines,
        )
    sys.exit(0 if all(equal.values()) and ratio >= 1.6 and lost == 1 else 1)


if __name__ == "__main__":
    main()
