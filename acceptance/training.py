"""Measure training of tiny models beside a bare PyTorch loop, and write the results page.

Promises: polylore's loop keeps at least 0.9 of the tokens per second of the bare forward, backward
and step of the same model in the same process, and two processes train at least 1.8 times as many
tokens as one.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from acceptance.results import write_results
from polylore.studies.bench.train import POLYLORE, STACKED

RECIPES = ("smoke", "toy", "small")
PROMISED = "toy"
"""Recipe of the promises; the others are measured beside it."""


def measure(folder: Path, recipe: str, rounds: int) -> dict[str, Any]:
    """One recipe, kept in the folder or measured now."""
    kept = folder / f"{recipe}.json"
    if not kept.is_file():
        words = ["--recipe", recipe, "--rounds", str(rounds), "--json"]
        command = [sys.executable, "-m", "polylore", "bench", "train", *words]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        kept.write_text(done.stdout, encoding="utf-8")
        print(f"{recipe}: measured", flush=True)
    found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return found


def promises(found: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """What was promised, what was measured, and whether it was kept."""
    own = next(way for way in found["ways"] if way["name"] == POLYLORE)
    two = found["two_processes"]
    return [
        (
            "at least 0.9 of the bare loop's tokens per second",
            f"{own['ratio']:.2f} ({own['ratio_lowest']:.2f} to {own['ratio_highest']:.2f})",
            own["ratio"] >= 0.9,
        ),
        (
            "two processes at least 1.8 times one",
            f"{two:.2f} ({found['two_processes_lowest']:.2f} to "
            f"{found['two_processes_highest']:.2f})",
            two >= 1.8,
        ),
    ]


def table(found: dict[str, Any]) -> list[str]:
    """All ways of one recipe."""
    lines = [
        "",
        f"Recipe {found['recipe']}: {found['parameters']:,} parameters, rows of {found['tokens']} "
        f"tokens, {found['steps']} updates in each of {found['rounds']} rounds; two processes "
        f"{found['two_processes']:.2f} times one.",
        "",
        "| way | tokens/s | of the bare loop | loss apart |",
        "|---|---|---|---|",
    ]
    for way in found["ways"]:
        apart = way["largest_difference"]
        name = f"{way['name']} ({way['runs']})" if way["name"] == STACKED else way["name"]
        lines.append(
            f"| {name} | {way['tokens_per_second']:,.0f} | {way['ratio']:.2f} "
            f"({way['ratio_lowest']:.2f} to {way['ratio_highest']:.2f}) | "
            f"{'–' if apart is None else f'{apart:.1e}'} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where measurements are kept")
    parser.add_argument("--results", type=Path, required=True, help="Markdown file to write")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    found = {recipe: measure(options.folder, recipe, options.rounds) for recipe in RECIPES}
    checks = promises(found[PROMISED])
    lines = [f"| promise (recipe {PROMISED}) | measured | kept |", "|---|---|---|"]
    lines += [f"| {what} | {value} | {'yes' if ok else 'NO'} |" for what, value, ok in checks]
    lines += [
        "",
        "All ways take turns in one process with one thread; ratios are taken round by round, and "
        "the median, the lowest and the highest are given. The bare loop draws no batches, does "
        "not clip and follows no schedule.",
        *(line for one in found.values() for line in table(one)),
    ]
    command = ["polylore", "bench", "train", "--recipe", "RECIPE", "--rounds", str(options.rounds)]
    write_results(options.results, "Training tiny models", command, lines)
    if not all(ok for *_, ok in checks):
        raise SystemExit("a promise is not kept; see the page")


if __name__ == "__main__":
    main()
