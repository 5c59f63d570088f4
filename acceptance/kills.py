"""Kill the demo at random moments and compare the resumed result with an unbroken one.

The whole process group gets SIGKILL, so nothing can tidy up. Afterwards every raw and derived table
must be equal row for row and every checkpoint's weights equal byte for byte.
"""

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl

from acceptance.results import write_results

# Wall times differ between runs by their nature.
_NOT_COMPARED = {"speed"}


def command(out: Path) -> list[str]:
    return [sys.executable, "-m", "polylore", "demo", "--quick", "--out", str(out)]


def run(out: Path, limit: float | None = None) -> tuple[bool, float]:
    """Start the demo; kill it after `limit` seconds. Returns (finished, seconds)."""
    start = time.monotonic()
    with (out.parent / f"{out.name}.log").open("a") as log:
        process = subprocess.Popen(command(out), stdout=log, stderr=log, start_new_session=True)
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return False, time.monotonic() - start
    if code != 0:
        raise SystemExit(f"the demo failed with exit code {code}; see {out}.log")
    return True, time.monotonic() - start


def compare(one: Path, two: Path) -> tuple[int, int, list[str]]:
    """Compare all tables and weights. Returns (tables, weight files, differences)."""
    different = []
    names = {p.relative_to(one) for p in one.rglob("*.parquet") if ".tmp-" not in str(p)}
    others = {p.relative_to(two) for p in two.rglob("*.parquet") if ".tmp-" not in str(p)}
    different += [f"only in one of the two: {name}" for name in sorted(map(str, names ^ others))]
    for name in sorted(names & others):
        if name.stem in _NOT_COMPARED:
            continue
        if not rows(one / name).equals(rows(two / name)):
            different.append(str(name))
    weights = sorted(p.relative_to(one) for p in one.rglob("checkpoints/*/model.safetensors"))
    for name in weights:
        if sha256(one / name) != sha256(two / name):
            different.append(str(name))
    return len(names), len(weights), different


def rows(path: Path) -> pl.DataFrame:
    """A table without where its checkpoints lie: the two runs live in different folders."""
    frame = pl.read_parquet(path)
    return frame.drop("path") if "path" in frame.columns else frame


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="empty folder to work in")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, help="Markdown file to write")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    whole = options.folder / "whole"
    _, seconds = run(whole)
    rng = random.Random(options.seed)
    moments: list[float] = []
    broken = [options.folder / "broken-0"]
    while len(moments) < options.kills:
        finished, lasted = run(broken[-1], rng.uniform(1.0, max(2.0, 0.25 * seconds)))
        if finished:
            # Every finished run is compared; the remaining kills go to a new one.
            broken.append(options.folder / f"broken-{len(broken)}")
            continue
        moments.append(lasted)
        print(f"kill {len(moments)} after {lasted:.1f} s", flush=True)
    run(broken[-1])
    tables = weights = 0
    different: list[str] = []
    for folder in broken:
        n_tables, n_weights, names = compare(whole, folder)
        tables, weights = tables + n_tables, weights + n_weights
        different += [f"{folder.name}: {name}" for name in names]
    lines = [
        f"- kills: {len(moments)}, {min(moments):.1f} to {max(moments):.1f} s after a start, over "
        f"{len(broken)} run(s), seed {options.seed}; the unbroken run took {seconds:.0f} s",
        f"- compared: {tables} Parquet files row for row, {weights} weight files byte for byte",
        f"- different: {len(different)}{': ' + ', '.join(different) if different else ''}",
    ]
    print("\n".join(lines))
    if options.results:
        write_results(options.results, "Killed and resumed", command(Path("OUT")), lines)
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
