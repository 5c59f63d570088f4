"""Run the demo from nothing and hold its numbers against what the README promises.

Promises: at most ten minutes of work and 4 GiB of memory; at least 300 facts, 12 languages and 12
checkpoints; the final checkpoint recalls at least 80 % of the facts in the upper half of exposures
in at least 10 languages, above every baseline; recall rises with exposure; facts held out of a
language are reported apart, against their own baselines; concepts are put into every checkpoint, of
a model that never learned to translate, so nothing is promised of what comes out.
"""

import argparse
import subprocess
import sys
import threading
import time
from pathlib import Path

import polars as pl
import psutil

from acceptance.results import write_results


def measure(command: list[str]) -> tuple[float, float]:
    """Run a command; returns seconds and the largest memory of its processes together, in GiB."""
    process = subprocess.Popen(command)
    most, done = 0, threading.Event()

    def watch() -> None:
        nonlocal most
        root = psutil.Process(process.pid)
        while not done.wait(0.5):
            try:
                family = [root, *root.children(recursive=True)]
                # Proportional set size: shared pages are counted once over all processes.
                most = max(most, sum(p.memory_full_info().pss for p in family))
            except psutil.Error:
                continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.monotonic()
    code = process.wait()
    seconds = time.monotonic() - start
    done.set()
    watcher.join()
    if code:
        raise SystemExit(f"the demo failed with exit code {code}")
    return seconds, most / 2**30


def final_recall(run: Path, matcher: str, stratum: str) -> pl.DataFrame:
    """Recall of the last checkpoint, all relations, per language."""
    recall = pl.read_parquet(run / "tables" / "recall.parquet")
    last = recall["step"].max()
    return recall.filter(
        pl.col("step") == last,
        pl.col("relation") == "all",
        pl.col("matcher") == matcher,
        pl.col("stratum") == stratum,
    ).sort("lang")


def named_by_patching(run: Path) -> pl.DataFrame:
    """Mean over other languages minus another concept, last checkpoint, per language pair."""
    contrasts = pl.read_parquet(run / "tables" / "patch_contrasts.parquet")
    return contrasts.filter(
        pl.col("step") == contrasts["step"].max(),
        pl.col("contrast") == "seen-random_concept",
        pl.col("at") == "best_crossfit",
        pl.col("metric") == "p_full",
        pl.col("subset") == "full",
        pl.col("lang_a") != "all",
    ).sort("lang_a", "lang_b")


def row(frame: pl.DataFrame, lang: str) -> str:
    found = frame.filter(lang=lang)
    if not found.height:
        return "–"
    r = found.row(0, named=True)
    return f"{r['acc']:.2f} [{r['lo']:.2f}, {r['hi']:.2f}] ({r['baseline']:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="folder to work in")
    parser.add_argument("--results", type=Path, help="Markdown file to write")
    options = parser.parse_args()
    command = [sys.executable, "-m", "polylore", "demo", "--out", str(options.folder)]
    seconds, memory = measure(command)
    run = options.folder / "trace"
    facts = pl.read_parquet(run / "tables" / "facts.parquet")
    checkpoints = pl.read_parquet(run / "tables" / "checkpoints.parquet")
    upper = final_recall(run, "default", "exposure_upper_half")
    ranked = final_recall(run, "candidates", "exposure_upper_half")
    lower = final_recall(run, "default", "exposure_lower_half")
    held_out = final_recall(run, "default", "held_out")
    corr = pl.read_parquet(run / "tables" / "freq_corr.parquet").filter(
        pl.col("step") == checkpoints["step"].max(),
        pl.col("matcher") == "default",
        pl.col("subset") == "positive",
    )
    good = upper.filter((pl.col("acc") >= 0.8) & (pl.col("lo") > pl.col("baseline")))
    shared = named_by_patching(run)
    rising = corr.filter((pl.col("lang") != "all") & (pl.col("auc_lo") > 0.5))
    n_lang = facts["lang"].n_unique()
    checks = {
        "minutes of work at most 10": (seconds / 60, seconds <= 600),
        "memory at most 4 GiB": (memory, memory <= 4),
        "facts at least 300": (facts["fact_id"].n_unique(), facts["fact_id"].n_unique() >= 300),
        "languages at least 12": (n_lang, n_lang >= 12),
        "checkpoints at least 12": (checkpoints.height, checkpoints.height >= 12),
        "languages with upper-half recall at least 0.80 and above every baseline, at least 10": (
            good.height,
            good.height >= 10,
        ),
        "languages in which recall rises with exposure (AUC interval above .5), at least 10": (
            rising.height,
            rising.height >= 10,
        ),
    }
    checks["language pairs into which concepts were put, at least 2"] = (
        shared.height,
        shared.height >= 2,
    )
    lines = ["| promise | measured | kept |", "|---|---|---|"]
    for name, (value, kept) in checks.items():
        number = f"{value:.2f}" if isinstance(value, float) else str(value)
        lines.append(f"| {name} | {number} | {'yes' if kept else 'NO'} |")
    lines += [
        "",
        "Final checkpoint, free answers (bounded match) to a wording that occurred in training: "
        "recall [95 % interval] (best knowledge-free baseline). Never read: facts held out of that "
        "language.",
        "",
        "| language | read often | read often, ranked | read seldom | never read |",
        "|---|---|---|---|---|",
    ]
    for lang in sorted(facts["lang"].unique()):
        cells = [row(frame, lang) for frame in (upper, ranked, lower, held_out)]
        lines.append(f"| {lang} | {' | '.join(cells)} |")
    lines += [
        "",
        "Concepts put into the final checkpoint: probability of naming it for the mean over other "
        "languages minus that for another concept's, best onset, cross-fitted.",
        "",
        "| language pair | difference |",
        "|---|---|",
    ]
    for r in shared.iter_rows(named=True):
        number = f"{r['mean']:.2f} [{r['lo']:.2f}, {r['hi']:.2f}]"
        lines.append(f"| {r['lang_a']} → {r['lang_b']} | {number} |")
    print("\n".join(lines))
    if options.results:
        shown = ["polylore", "demo"]
        write_results(options.results, "The demo", shown, lines)
    sys.exit(0 if all(kept for _, kept in checks.values()) else 1)


if __name__ == "__main__":
    main()
