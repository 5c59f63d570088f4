"""Does patching tell a shared concept space from separate ones that translate equally well?

Tiny models learn to translate 32 concepts between 8 languages. In the arm `joint` every language is
translated into every other, so one space can serve all; in `islands` only within four pairs of
languages, so the vectors of a pair can mean nothing to another (specification of `patch`, section
9). Both arms end up translating perfectly; only the patch can tell them apart. A third arm holds
planted words (`planted.py`). Whatever comes out is written down.
"""

import argparse
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch

from acceptance import planted, recovered
from acceptance.results import write_results
from acceptance.translator import (
    BATCH,
    CLOSING,
    LINES,
    TOKENS,
    Words,
    document,
    make_tokenizer,
    patch,
    train,
    vocabulary,
)
from polylore.runs import RunFolder

CONCEPTS = 32
STEPS = 1200
CHECKPOINTS = (0, 100, 200, 300, 400, 500, 600, 800, 1000, 1200)
PAIRS = ["l2-l3", "l4-l5", "l6-l7"]
ARMS = ("joint", "islands")
FLOORS = ("random_concept", "shuffled_mean", "gauss", "grand_mean")
SHOWN = ("src_unpatched", "tgt", "self", "en_en", "samek1", "seen", "norm_matched", *FLOORS)
NEAR = ((200, 300), (300, 400), (400, 500))
"""Where half of the shared space may emerge: (300, 400], or one checkpoint away."""
SURE = 0.975
"""Share of bootstrap draws that counts as the whole 95 % interval."""
WORDS: Words = {(c, n): f"w{c:02d}{n}" for c in range(CONCEPTS) for n in range(8)}
"""A word of its own for every concept and language."""


def pairs_of(arm: str) -> list[tuple[int, int]]:
    """Ordered pairs of languages that are translated, copies included."""
    return [(a, b) for a in range(8) for b in range(8) if arm == "joint" or a // 2 == b // 2]


def documents(arm: str, seed: int, known: dict[str, int]) -> Iterator[torch.Tensor]:
    """Endless batches (48, 33): four lines of one pair of languages, distinct concepts."""
    draw = random.Random(f"{arm} {seed}")
    held: dict[tuple[int, int], set[int]] = {}
    if arm == "joint":
        held = {(a, b): set(draw.sample(range(CONCEPTS), 4)) for a, b in pairs_of(arm) if a != b}
    pairs = pairs_of(arm)
    while True:
        rows = []
        for _ in range(BATCH):
            a, b = draw.choice(pairs)
            told = [c for c in range(CONCEPTS) if c not in held.get((a, b), ())]
            lines = [(WORDS[c, a], WORDS[c, b]) for c in draw.sample(told, LINES)]
            rows.append(document(known, a, b, lines))
        yield torch.tensor(rows)


def tables_of(arm: str, seed: int, folder: Path, *, train_only: bool) -> dict[str, pl.DataFrame]:
    """Train, patch and score one series."""
    known = vocabulary(WORDS)
    tokenizer = make_tokenizer(known, "w[0-9]{3}")
    train(
        folder / "model", tokenizer, documents(arm, seed, known),
        seed=seed, steps=STEPS, checkpoints=CHECKPOINTS, what=folder.name,
    )  # fmt: skip
    if train_only:
        return {}
    plan: dict[str, Any] = {"pairs": PAIRS, "n_pairs": 16, "samek": [1], "allow_small_k": True}
    if arm == "islands":
        # Only these pairs were trained; others say nothing about sharing.
        plan["source_pairs"] = [f"l{a}-l{b}" for a, b in pairs_of(arm) if a != b]
    return patch(folder, tokenizer, WORDS, plan, folder.name)


@dataclass(frozen=True)
class Measured:
    """A mean with its 95 % interval over concepts."""

    mean: float
    lo: float
    hi: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.lo:.3f}, {self.hi:.3f}]"


@dataclass(frozen=True)
class Required:
    """One row of what the specification asks for."""

    what: str
    measured: str
    kept: bool
    surely: bool
    """Whether the whole interval keeps it."""


def value(tables: dict[str, pl.DataFrame], setting: str, step: int, onset: int) -> Measured:
    """Mean p_full(s, b) over all items of a setting; `samek1` is one foreign language pair."""
    free = setting.endswith("unpatched")
    shared = (
        (pl.col("step") == step)
        & (pl.col("metric") == "p_full")
        & (pl.col("subset") == "full")
        & (pl.col("lang_a") == "l2")
        & (pl.col("lang_b") == "l3")
        & (pl.col("onset").is_null() if free else pl.col("onset") == onset)
        & pl.col("at").is_in(["unpatched", "onset"])
    )
    if setting == "samek1":
        rows = tables["patch_samek"].filter(shared & (pl.col("k") == 1) & pl.col("draw").is_null())
    else:
        source = pl.col("setting") == setting
        rows = tables["patch_curves"].filter(shared & source & (pl.col("cell") == "src_b"))
    if rows.height != 1:
        raise ValueError(f"{rows.height} rows for {setting} at step {step}, onset {onset}")
    return Measured(*rows.select("mean", "lo", "hi").row(0))


def emerged(tables: dict[str, pl.DataFrame], kind: str) -> dict[str, Any]:
    """Row of EMERGENCE of seen - random_concept at onset -1, l2 → l3."""
    return (
        tables["patch_emergence"]
        .filter(
            (pl.col("contrast") == "seen-random_concept")
            & (pl.col("kind") == kind)
            & (pl.col("metric") == "p_full")
            & (pl.col("subset") == "full")
            & (pl.col("onset") == -1)
            & (pl.col("lang_a") == "l2")
        )
        .row(0, named=True)
    )


def emergence(arm: str, tables: dict[str, pl.DataFrame]) -> Required:
    """When the shared space must emerge: half-way in `joint`, never in `islands`."""
    row = emerged(tables, "E2" if arm == "joint" else "E1")
    end = "∞)" if row["hi_step"] is None else f"{row['hi_step']}]"
    said = f"{row['censor']} ({row['lo_step']}, {end}"
    if arm == "islands":
        said += f", so in {row['p_right'] or 0:.0%} of draws"
        kept = row["censor"] == "right"
        return Required("never emerged (E1 right-censored)", said, kept, row["p_right"] >= SURE)
    kept = row["censor"] == "interval" and (row["lo_step"], row["hi_step"]) in NEAR
    drawn = [None if end is None else end / TOKENS for end in (row["boot_lo"], row["boot_hi"])]
    lo, hi = drawn
    surely = lo is not None and hi is not None and lo >= NEAR[0][0] and hi <= NEAR[-1][1]
    said += ", point [" + ", ".join("–" if end is None else f"{end:.0f}" for end in drawn) + "]"
    return Required("half of it emerged in (300, 400] ± one checkpoint", said, kept, surely)


def orders(arm: str, tables: dict[str, pl.DataFrame]) -> list[Required]:
    """The required ordering."""
    found = []

    def bounded(name: str, step: int, onset: int, sign: str, bound: float, what: str) -> None:
        at = value(tables, name, step, onset)
        if sign == "≥":
            kept, surely = at.mean >= bound, at.lo >= bound
        else:
            kept, surely = at.mean <= bound, at.hi <= bound
        found.append(Required(what, str(at), kept, surely))

    high = {"src_unpatched": 0.9, "tgt": 0.9, "self": 0.8, "en_en": 0.8, "samek1": 0.8, "seen": 0.7}
    low = dict.fromkeys(FLOORS, 0.15)
    if arm == "islands":
        high = {"src_unpatched": 0.9, "tgt": 0.9, "self": 0.9}
        low = dict.fromkeys(("seen", "en_en", "samek1", *FLOORS), 0.2)
    for step in (600, STEPS):
        for bounds, sign in ((high, "≥"), (low, "≤")):
            for name, bound in bounds.items():
                bounded(name, step, -1, sign, bound, f"{name} {sign} {bound} at step {step}")
    for onset, most in ((0, 0.2), (1, 0.05), (2, 0.05)):
        bounded("seen", STEPS, onset, "≤", most, f"seen ≤ {most} from block {onset} on")
    return [*found, emergence(arm, tables)]


HEAD = [
    "Mean probability of the whole word of the source concept in language b, language pair l2 → "
    "l3, 16 pairs of concepts, vectors put in at onset -1 (the input of block 0); `samek1` is one "
    "foreign language pair, over 5 draws. Chance is 0.031. In brackets: 95 % intervals over "
    "concepts (bootstrap, 1,000 draws); each model is one training run.",
    "",
    "What is required is what the specification asks for; what is not kept is in bold. `By the "
    "whole interval`: the worse end of the interval keeps it too.",
    "",
    "Chosen after looking: the specification takes the loss on the answers alone; here the closing "
    f"quote behind an answer counts too, as whole words are scored, with weight {CLOSING}. A first "
    "attempt took the plain mean over answers and closing quotes (weight 1 beside answers of "
    "weight 1, both halved), and `joint`, seed 0, had then learnt next to nothing; so the loss was "
    "changed, and all models here were trained with the new one. Repeated later, beside this "
    "program, that first attempt gave right words a probability of 0.03 at step 600 (chance) and "
    "0.07 to 0.12 at step 1,200; the same without the halving learnt, but later (0.67 to 0.70 and "
    "0.995) than with weight 0.1 (0.95 to 0.97 and 0.999). So whether `joint` learns within 1,200 "
    "steps hangs on the scale of its loss.",
    "",
    "Series that were finished in the folder are not made again; with each stands the code that it "
    "was patched with, as its run noted it. The code that a series was trained with is not noted.",
    "",
]


def summary(found: dict[tuple[str, int], list[Required]]) -> list[str]:
    """Every required value in every seed: how often it was kept."""
    lines = ["## What is required, in all seeds", ""]
    for arm in ARMS:
        seeds = sorted(seed for at, seed in found if at == arm)
        heads = " | ".join(f"seed {n}" for n in seeds)
        rows = [row for seed in seeds for row in found[arm, seed]]
        lines += [
            f"### {arm}",
            "",
            f"Kept: {sum(row.kept for row in rows)} of {len(rows)}; by the whole interval: "
            f"{sum(row.surely for row in rows)}.",
            "",
            f"| required | {heads} | kept |",
        ]
        lines.append("|---" * (len(seeds) + 2) + "|")
        for same in zip(*(found[arm, seed] for seed in seeds), strict=True):
            cells = [row.measured if row.kept else f"**{row.measured}**" for row in same]
            kept = f"{sum(row.kept for row in same)} of {len(same)}"
            lines.append(f"| {same[0].what} | {' | '.join(cells)} | {kept} |")
        lines.append("")
    return lines


def lines_of(
    arm: str, seed: int, tables: dict[str, pl.DataFrame], found: list[Required], code: str
) -> list[str]:
    """The part of the page about one series."""
    lines = [f"## {arm}, seed {seed}", "", f"Patched with code {code}.", ""]
    lines += [f"| step | {' | '.join(SHOWN)} |", "|---" * (len(SHOWN) + 1) + "|"]
    for step in CHECKPOINTS:
        cells = [f"{value(tables, setting, step, -1).mean:.3f}" for setting in SHOWN]
        lines.append(f"| {step} | {' | '.join(cells)} |")
    lines += ["", "| required | measured | kept | by the whole interval |", "|---|---|---|---|"]
    for row in found:
        words = ["yes" if is_so else "**no**" for is_so in (row.kept, row.surely)]
        lines.append(f"| {row.what} | {row.measured} | {' | '.join(words)} |")
    return [*lines, ""]


def code_of(folder: Path) -> str:
    """Commit that a run was made with, from its manifest."""
    state = RunFolder.load(folder / "run").manifest.get("git", {})
    return str(state.get("commit", "unknown")) + ("" if state.get("clean") else " (with changes)")


def main() -> None:
    """Train, patch, score, write down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--train-only", action="store_true")
    parser.add_argument("--results", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[tuple[str, int], list[Required]] = {}
    series: list[str] = []
    answered: list[pl.DataFrame] = []
    codes: set[str] = set()
    for seed in range(args.seeds):
        for arm in ARMS:
            folder = args.folder / f"{arm}-{seed}"
            tables = tables_of(arm, seed, folder, train_only=args.train_only)
            if not args.train_only:
                found[arm, seed] = orders(arm, tables)
                code = code_of(folder)
                series += lines_of(arm, seed, tables, found[arm, seed], code)
        folder = args.folder / f"planted-{seed}"
        design = planted.make(seed, folder, train_only=args.train_only)
        if not args.train_only:
            judged = recovered.judged(folder / "run", design)
            answered.append(judged.with_columns(seed=pl.lit(seed)))
            codes.add(code_of(folder))
    if args.results is not None and found:
        words = ["python", "-m", "acceptance.concepts", "--folder", "FOLDER", "--seeds"]
        title = "A shared concept space, and separate ones that translate as well"
        found_words = recovered.lines(pl.concat(answered), ", ".join(sorted(codes)))
        lines = [*HEAD, *summary(found), *found_words, *series]
        write_results(args.results, title, [*words, str(args.seeds)], lines)


if __name__ == "__main__":
    main()
