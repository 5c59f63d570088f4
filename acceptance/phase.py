"""The phase diagram of `unify` from one command, and what is left of it when it is killed.

Parallel data by skew by language cue, 5 x 4 x 3 cells and 3 seeds: the built-in sweep `phase`. Then
its first seed again, in another folder; there the whole process group gets SIGKILL at random
moments. Afterwards every row of these runs must be equal to that of the unbroken sweep, and no run
that was finished before a kill may have been made again.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl

from acceptance.results import write_results
from polylore.files import read_json, write_json
from polylore.runs import RunFolder

COMMAND = ["-m", "polylore", "unify", "sweep", "phase", "--quiet"]
RUNS, SEEDS = 180, 3
_NOT_COMPARED = {"wall_s"}


def sweep(out: Path, jobs: int, seeds: int, seconds: float | None = None) -> bool:
    """Start the sweep, kill it after a while; returns whether it came to its end."""
    words = [sys.executable, *COMMAND, "--out", str(out), "--jobs", str(jobs)]
    words += ["--seeds", str(seeds)]
    with (out.parent / f"{out.name}.log").open("a") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return False
    if code:
        raise SystemExit(f"the sweep failed with exit code {code}; see {out}.log")
    return True


def finished(out: Path) -> dict[str, int]:
    """When the marker of every finished run was written, in nanoseconds."""
    return {path.parent.name: path.stat().st_mtime_ns for path in out.glob("units/*/done.json")}


def killed(broken: Path, jobs: int, kills: int) -> tuple[list[tuple[float, int]], int]:
    """Kill and resume one seed of the sweep.

    Returns:
        Seconds before each kill and runs done then; and how many finished runs were made again.
    """
    rng, again = random.Random(0), 0
    moments: list[tuple[float, int]] = []
    known: dict[str, int] = {}
    while len(moments) < kills:
        pause = rng.uniform(10, 60)
        if sweep(broken, jobs, 1, pause):
            break
        now = finished(broken)
        again += sum(now.get(name) != stamp for name, stamp in known.items())
        known = now
        moments.append((pause, len(now)))
        print(f"kill {len(moments)} after {pause:.0f} s: {len(now)} done", flush=True)
    sweep(broken, jobs, 1)
    now = finished(broken)
    again += sum(now.get(name) != stamp for name, stamp in known.items())
    return moments, again


def compare(whole: Path, broken: Path) -> tuple[int, list[str]]:
    """How many tables there are, and which of them differ in a row of the broken sweep.

    Compared are the derived tables of all runs, and every table of every single run as it was
    written: answers, what items contribute, probes, exposure.
    """
    derived, of_derived = _compare_derived(whole, broken)
    raw, of_raw = compare_units(RunFolder.load(whole), RunFolder.load(broken))
    return derived + raw, of_derived + of_raw


def compare_units(whole: RunFolder, broken: RunFolder) -> tuple[int, list[str]]:
    """The same of the raw tables in the units of the broken run."""
    count, different = 0, []
    for unit in broken.units():
        marker = read_json(broken.unit_path(unit) / "done.json")
        for name in sorted(marker["tables"]):
            ours, theirs = (
                run.read(name, [unit]).drop(_NOT_COMPARED, strict=False) for run in (broken, whole)
            )
            count += 1
            if not ours.equals(theirs):
                different.append(f"{name} of {unit}")
    return count, different


def _compare_derived(whole: Path, broken: Path) -> tuple[int, list[str]]:
    hashes = pl.read_parquet(broken / "tables" / "unify_runs.parquet")["run_hash"].to_list()
    names, different = 0, []
    for path in sorted((broken / "tables").glob("*.parquet")):
        ours = pl.read_parquet(path)
        if "run_hash" not in ours.columns:
            continue  # of all seeds together
        theirs = pl.read_parquet(whole / "tables" / path.name)
        theirs = theirs.filter(pl.col("run_hash").is_in(hashes))
        names += 1
        if not ours.drop(_NOT_COMPARED, strict=False).equals(
            theirs.drop(_NOT_COMPARED, strict=False)
        ):
            different.append(path.stem)
    return names, different


def diagram(out: Path) -> list[str]:
    """acc_X of every cell, a table per cue."""
    runs = pl.read_parquet(out / "tables" / "unify_runs.parquet")
    cells = pl.read_parquet(out / "tables" / "unify_conditions.parquet").filter(outcome="acc_x")
    knobs = runs.select("condition", "cue", "lam", "p", "i_uni", "i_design").unique("condition")
    cells = cells.join(knobs, on="condition").sort("cue", "p", "lam")
    lines = []
    for (cue,), own in cells.group_by("cue", maintain_order=True):
        lines += ["", f"Cue {cue} ({own['i_uni'][0]:.2f} bits in its most telling token):", ""]
        skews = own["lam"].unique().sort().to_list()
        lines.append("| p | " + " | ".join(f"skew {skew:g}" for skew in skews) + " |")
        lines.append("|---|" + "---|" * len(skews))
        for (p,), row in own.group_by("p", maintain_order=True):
            said = [
                f"{r['value']:.2f} [{r['lo']:.2f}, {r['hi']:.2f}]"
                for r in row.sort("lam").iter_rows(named=True)
            ]
            lines.append(f"| {p:g} | " + " | ".join(said) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="empty folder to work in")
    parser.add_argument("--results", type=Path, required=True, help="Markdown file to write")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--kills", type=int, default=5)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    whole, broken = options.folder / "whole", options.folder / "broken"
    sweep(whole, options.jobs, SEEDS)
    kept = options.folder / "kills.json"
    if not kept.is_file():
        write_json(killed(broken, options.jobs, options.kills), kept)
    moments, again = read_json(kept)
    tables, different = compare(whole, broken)
    runs = pl.read_parquet(whole / "tables" / "unify_runs.parquet")
    made = read_json(whole / "manifest.json")["git"]["commit"]
    counts = dict(runs["status"].value_counts().iter_rows())
    lines = [
        f"{runs.height} runs of {runs['params'].min():,} parameters and {runs['steps'][0]} steps, "
        f"{options.jobs} processes side by side, {runs['wall_s'].sum() / 60:.0f} minutes of a "
        f"process in all ({runs['wall_s'].median():.1f} s a run). Status: "
        + ", ".join(f"{n} {name}" for name, n in sorted(counts.items()))
        + f". The unbroken sweep was made by the code {made}.",
        "",
        "The first seed again, killed "
        + ", ".join(f"after {pause:.0f} s ({n} runs done)" for pause, n in moments)
        + f" and resumed: {tables} tables compared with those of the unbroken sweep (derived ones, "
        f"and each run's raw ones), {len(different)} different"
        f"{': ' + ', '.join(different[:8]) if different else ''}; finished runs that were made "
        f"again: {again}.",
        "",
        "acc_X, the share right of held-out cells; chance is .10, and 0 is the floor of a model "
        "that keeps its languages apart under full skew. Mean over 3 seeds; 95 % intervals draw "
        "seeds, then entities. All tokens are shared, so the cue is the only obstacle.",
        *diagram(whole),
    ]
    write_results(
        options.results,
        "A phase diagram",
        ["polylore", *COMMAND[2:-1], "--jobs", str(options.jobs)],
        lines,
    )
    if different or again or len(moments) < options.kills or runs.height != RUNS:
        raise SystemExit("the resumed sweep is not the unbroken one; see the page")


if __name__ == "__main__":
    main()
