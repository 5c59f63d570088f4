"""Score the published answers of `align` again: the summary, and what that takes.

The command is run as a user would, in a process of its own, whose time and memory are measured.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from acceptance.results import write_results

DRAWS = 400
SECONDS, GIBIBYTES = 60, 2.0
"""What scoring may take on two cores (issue of `align`)."""


def leaves(values: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every number of a nested dictionary, with its keys."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield from leaves(value, (*path, key))
    else:
        yield path, values


def timed(words: list[str]) -> tuple[float, float]:
    """Seconds and GiB (largest process) of a command of polylore.

    Raises:
        SystemExit: it fails.
    """
    print("polylore", *words, flush=True)
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "polylore", *words], capture_output=True, text=True, check=False
    )
    seconds = time.monotonic() - start
    if done.returncode:
        raise SystemExit(done.stderr)
    # Kilobytes on Linux. The largest child so far: heavier commands must be timed later.
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--published", type=Path, required=True, help="folder clika")
    parser.add_argument("--folder", type=Path, required=True, help="where runs are kept")
    parser.add_argument("--results", type=Path, required=True, help="Markdown file to write")
    options = parser.parse_args()
    predictions = options.published / "predictions.parquet"
    if not predictions.is_file():
        raise SystemExit(f"There is no {predictions}; give the folder of the published answers.")
    options.folder.mkdir(parents=True, exist_ok=True)
    made = options.folder / "golden.json"
    timed(["reproduce", "align", "--predictions", str(predictions), "--out", str(made)])
    wanted, found = (
        dict(leaves(json.loads(path.read_text("utf-8"))))
        for path in (options.published / "golden.json", made)
    )
    missing = set(wanted) - set(found)
    other = {key for key in set(wanted) & set(found) if wanted[key] != found[key]}
    run = options.folder / f"run-{os.getpid()}"
    tests = ["--tests", str(options.published / "tests"), "--score.draws", str(DRAWS)]
    seconds, size = timed(
        ["align", "rescore", str(predictions), *tests, "--out", str(run), "--quiet"]
    )
    tables = sorted((run / "tables").glob("*.parquet"))
    frame = pl.scan_parquet(predictions)
    rows = frame.select(pl.len()).collect().item()
    rules = [
        ("every number of the published summary, exactly as printed",
         f"{len(wanted) - len(missing) - len(other):,} of {len(wanted):,}",
         not missing and not other),
        (f"rescored with all metrics and {DRAWS} draws in under {SECONDS} seconds",
         f"{seconds:.1f} s", seconds < SECONDS),
        (f"in at most {GIBIBYTES:g} GiB", f"{size:.2f} GiB", size <= GIBIBYTES),
    ]  # fmt: skip
    names = [frame.select(pl.col(c).n_unique()).collect().item() for c in ("model", "task", "lang")]
    lines = [
        f"{rows:,} published answers: {names[0]} models, {names[1]} sets, {names[2]} languages. "
        f"Time is that of the whole command, start of Python and {len(tables)} tables "
        f"included, on {os.cpu_count()} cores; memory is the peak of its largest process.",
        "",
        "| rule | measured | holds |",
        "|---|---|---|",
        *[f"| {rule} | {value} | {'yes' if holds else 'no'} |" for rule, value, holds in rules],
    ]
    command = ["python", "-m", "acceptance.rescore", "--published", "PUBLISHED"]
    write_results(options.results, "Published answers, scored again", command, lines)
    if not all(holds for *_, holds in rules):
        raise SystemExit("not every rule holds; see the page")


if __name__ == "__main__":
    main()
