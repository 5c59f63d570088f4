"""Measure scoring beside what one would use instead, and write the results page.

Two workloads: demonstrations shared by all questions, as where one prompt serves a whole relation,
and each question with its own. Every measurement is a process of its own and is kept in --folder,
so that an interrupted run goes on with the next one.
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
from polylore.studies.bench.score import LM_EVAL, ONE, POLYLORE

SIZES = ("20m", "80m")
OWN = ["--shared", "1", "--questions", "4", "--rounds", "3"]
"""The second workload, in which no promise is made."""
PROMISES = ((ONE, 20), (LM_EVAL, 10))
TOLERANCE = 1e-5


def measure(folder: Path, size: str, words: list[str]) -> dict[str, Any]:
    """The measurements of one model on one workload, kept in the folder or made now."""
    kept = folder / f"{size}{'-own' if words else ''}.json"
    if not kept.exists():
        command = [sys.executable, "-m", "polylore", "bench", "score", "--sizes", size, *words]
        print(" ".join(command[1:]), flush=True)
        done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"the benchmark failed: {done.stderr}")
        kept.write_text(done.stdout, encoding="utf-8")
    found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return found


def promises(found: dict[str, Any]) -> list[str]:
    """One line of the table for each promise about one model."""
    (model,) = found["models"]
    ways = {way["name"]: way for way in model["ways"]}
    lines = []
    for name, factor in PROMISES:
        speedup = ways[name]["speedup"]
        measured = "not installed" if speedup is None else f"{speedup:.1f}"
        kept = speedup is not None and speedup >= factor
        lines.append(
            f"| {model['size']}: at least {factor} times {name} | {measured} | "
            f"{'yes' if kept else 'no'} |"
        )
    difference = ways[POLYLORE]["largest_difference"]
    return [
        *lines,
        f"| {model['size']}: difference at most {TOLERANCE:.0e} | {difference:.1e} | "
        f"{'yes' if difference <= TOLERANCE else 'no'} |",
    ]


def table(found: dict[str, Any]) -> list[str]:
    """All ways of one model."""
    (model,) = found["models"]
    lines = [
        f"Llama of {model['parameters'] / 1e6:.0f}M parameters (random weights, vocabulary "
        f"{model['vocabulary']}): {found['questions']} questions with 10 candidates, "
        f"demonstrations shared by {found['shared']}, {found['rounds']} rounds, "
        f"{found['threads']} thread(s), "
        f"{found['dtype']}, engine {model['engine']}.",
        "",
        "| way | batch | seconds | candidates/s | polylore faster [lowest, highest] | difference |",
        "|---|---|---|---|---|---|",
    ]
    for way in model["ways"]:
        name = f"{way['name']} ({way['note']})" if way["note"] else way["name"]
        if way["seconds"] is None:
            lines.append(f"| {name} | – | – | – | – | – |")
            continue
        spread = f"[{way['speedup_lowest']:.1f}, {way['speedup_highest']:.1f}]"
        lines.append(
            f"| {name} | {way['batch'] or '–'} | {way['seconds']:.2f} | "
            f"{way['candidates_per_second']:.1f} | {way['speedup']:.1f} {spread} | "
            f"{way['largest_difference']:.1e} |"
        )
    return [*lines, ""]


def machine() -> list[str]:
    """What the numbers depend on besides the code."""
    try:
        lm_eval = importlib.metadata.version("lm_eval")
    except importlib.metadata.PackageNotFoundError:
        lm_eval = "not installed"
    load = os.getloadavg()[0]
    return [
        f"- lm-eval: {lm_eval}",
        f"- machine: {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}; load "
        f"average {load:.1f} at the end",
        "",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where measurements are kept")
    parser.add_argument("--results", type=Path, required=True, help="Markdown file to write")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    shared = [measure(options.folder, size, []) for size in SIZES]
    own = [measure(options.folder, size, OWN) for size in SIZES]
    kept = [line for found in shared for line in promises(found)]
    lines = [
        *machine(),
        "| promise | measured | kept |",
        "|---|---|---|",
        *kept,
        "",
        "All ways start from the same texts, in one process with the same threads, and take turns "
        "in each round. Seconds are medians over rounds; ratios are taken within rounds, with "
        "their median, lowest and highest. The difference is the largest one in log-probability "
        "from one candidate per forward. Ways with a batch size have the quickest of several. "
        "polylore's comparison of its engines, made once for each model, is not counted.",
        "",
        *(line for found in shared for line in table(found)),
        "## Each question with its own demonstrations",
        "",
        "Nothing but the candidates of one question share a prefix here. The parallel "
        "demonstrations of `trace` are of this kind: they are chosen for each fact.",
        "",
        *(line for found in own for line in table(found)),
        "Not measured on a GPU, since none was at hand: `--device cuda --dtype bfloat16 --sizes "
        "1b --questions 200` runs the same comparison there, with vLLM where it is installed.",
    ]
    command = ["polylore", "bench", "score", "--sizes", "SIZE", "[" + " ".join(OWN) + "]"]
    write_results(options.results, "Scoring beside other ways", command, lines)
    if any(line.endswith("| no |") for line in kept):
        raise SystemExit("a promise is not kept; see the page")


if __name__ == "__main__":
    main()
