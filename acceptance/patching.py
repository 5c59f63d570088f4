"""Measure patching beside plain hooks and nnsight, and write the results page.

The measurement is a process of its own and is kept in --folder.
"""

import argparse
import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from acceptance.results import write_results
from polylore.studies.bench.patch import NNSIGHT, PLAIN

PROMISES = ((PLAIN, 12), (NNSIGHT, 12))
TOLERANCE = 1e-5


def measure(folder: Path) -> dict[str, Any]:
    """The measurement, kept in the folder or made now."""
    kept = folder / "patch.json"
    if not kept.exists():
        command = [sys.executable, "-m", "polylore", "bench", "patch", "--json"]
        print(" ".join(command[1:]), flush=True)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"the benchmark failed: {done.stderr}")
        kept.write_text(done.stdout, encoding="utf-8")
    found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return found


def promises(found: dict[str, Any]) -> list[str]:
    """One line of the table for each promise."""
    ways = {way["name"]: way for way in found["ways"]}
    lines = []
    for name, factor in PROMISES:
        speedup = ways[name]["speedup"]
        measured = "not installed" if speedup is None else f"{speedup:.1f}"
        kept = speedup is not None and speedup >= factor
        lines.append(f"| at least {factor} times {name} | {measured} | {'yes' if kept else 'no'} |")
    differences = [way["largest_difference"] or 0.0 for way in found["ways"]]
    equal = "yes" if max(differences) <= TOLERANCE else "no"
    return [*lines, f"| difference at most {TOLERANCE:.0e} | {max(differences):.1e} | {equal} |"]


def table(found: dict[str, Any]) -> list[str]:
    """All ways."""
    lines = [
        "| way | batch | seconds | polylore faster [lowest, highest] | difference |",
        "|---|---|---|---|---|",
    ]
    for way in found["ways"]:
        if way["seconds"] is None:
            lines.append(f"| {way['name']} ({way['note']}) | – | – | – | – |")
            continue
        spread = f"[{way['speedup_lowest']:.1f}, {way['speedup_highest']:.1f}]"
        lines.append(
            f"| {way['name']} | {way['batch']} | {way['seconds']:.2f} | "
            f"{way['speedup']:.1f} {spread} | {way['largest_difference']:.1e} |"
        )
    return [*lines, ""]


def machine() -> list[str]:
    """What the numbers depend on besides the code."""
    try:
        nnsight = importlib.metadata.version("nnsight")
    except importlib.metadata.PackageNotFoundError:
        nnsight = "not installed"
    return [
        f"- nnsight: {nnsight}",
        f"- machine: {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}; load "
        f"average {os.getloadavg()[0]:.1f} at the end",
        "",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where measurements are kept")
    parser.add_argument("--results", type=Path, required=True, help="Markdown file to write")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    found = measure(options.folder)
    kept = promises(found)
    hooks = (found["layers"] + 2) * found["tokens"]
    # The prompt and its overwritten token; behind it, on average, half of the onsets' branches.
    packed = found["tokens"] + 1 + found["suffix"] * (found["layers"] + 1) / 2
    lines = [
        *machine(),
        "| promise | measured | kept |",
        "|---|---|---|",
        *kept,
        "",
        f"Llama of {found['parameters'] / 1e6:.0f}M parameters (random weights, {found['layers']} "
        f"layers), {found['prompts']} prompts of {found['tokens']} tokens, {found['suffix']} of "
        f"them behind the patched one, {found['rounds']} rounds, {found['threads']} thread(s), "
        f"{found['dtype']}; engine {found['engine']}: {found['engine_reason']}.",
        "",
        f"A sweep is the clean run and the patch from every onset on, -1 to "
        f"{found['layers'] - 1}: {found['layers'] + 2} forward passes for each prompt with hooks, "
        "one with polylore. All ways run in one process with the same threads and take turns in "
        "each round; each has the quickest of several batch sizes. Seconds are medians over "
        "rounds; ratios are taken within rounds, with their median, lowest and highest. The "
        "difference is the largest one in log-probability, over the whole vocabulary and all "
        "onsets, from plain hooks. polylore's comparison of its engines, made once for each model, "
        "is not counted.",
        "",
        *table(found),
        "Plain hooks and nnsight compute logits at every position, as a model called in the usual "
        "way does. The second row leaves out all but the last ones and is otherwise the same, so "
        "what polylore gains on it is the gain of computing only what a patch can change. Counted "
        f"in tokens that go through all blocks, a sweep is {hooks} with hooks and {packed:g} in "
        f"one row: {hooks / packed:.1f} times fewer.",
    ]
    write_results(
        options.results, "Patching beside hooks and nnsight", ["polylore", "bench", "patch"], lines
    )
    if any(line.endswith("| no |") for line in kept):
        raise SystemExit("a promise is not kept; see the page")


if __name__ == "__main__":
    main()
