"""Measure what injection adds to a training step, and write the results page.

Promise: what injection itself does takes at most 1 % of the step, in the smallest setting that
anybody trains (the 1M-parameter model of the acceptance experiment of `inject`).
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from acceptance.results import write_results
from polylore.studies.bench.inject import ALONE

SETTINGS = {
    "acceptance": [],
    "16 x 256": ["--width", "256", "--batch", "16", "--length", "256", "--steps", "3"],
}
PROMISED = "acceptance"
LIMIT = 0.01


def measure(folder: Path, name: str, rounds: int) -> dict[str, Any]:
    """One setting, kept in the folder or measured now."""
    kept = folder / f"{name.replace(' ', '')}.json"
    if not kept.is_file():
        words = [*SETTINGS[name], "--rounds", str(rounds), "--json"]
        command = [sys.executable, "-m", "polylore", "bench", "inject", *words]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        kept.write_text(done.stdout, encoding="utf-8")
        print(f"{name}: measured", flush=True)
    found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return found


def table(found: dict[str, Any]) -> list[str]:
    """All that was timed in one setting."""
    lines = [
        "",
        f"{found['parameters']:,} parameters, steps of {found['batch']} rows of {found['length']} "
        f"tokens, passages of {found['length'] // 2} tokens in {found['injected_rows']} of them; "
        f"{found['steps']} steps in each of {found['rounds']} rounds.",
        "",
        "| what | ms per step | of the step without injection |",
        "|---|---|---|",
    ]
    return lines + [
        f"| {way['name']} | {way['milliseconds']:.3f} | {way['ratio']:.3%} "
        f"({way['ratio_lowest']:.3%} to {way['ratio_highest']:.3%}) |"
        for way in found["ways"]
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where measurements are kept")
    parser.add_argument("--results", type=Path, required=True, help="Markdown file to write")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    found = {name: measure(options.folder, name, options.rounds) for name in SETTINGS}
    own = next(way for way in found[PROMISED]["ways"] if way["name"] == ALONE)
    kept = own["ratio"] <= LIMIT
    lines = [
        "| promise | measured | kept |",
        "|---|---|---|",
        f"| injection takes at most {LIMIT:.0%} of a step | {own['ratio']:.3%} "
        f"({own['ratio_lowest']:.3%} to {own['ratio_highest']:.3%}) | {'yes' if kept else 'NO'} |",
        "",
        "All ways take turns in one process with one thread; ratios are taken round by round, and "
        "the median, the lowest and the highest are given. Injection alone is putting passages "
        "into the rows, making labels and weights, and the guard. Weights other than 1 let the "
        "loss be taken token by token.",
        *(line for one in found.values() for line in table(one)),
    ]
    command = ["polylore", "bench", "inject", "--rounds", str(options.rounds)]
    write_results(options.results, "The cost of injecting", command, lines)
    if not kept:
        raise SystemExit("the promise is not kept; see the page")


if __name__ == "__main__":
    main()
