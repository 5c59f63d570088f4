"""Training arms of `align` on tiny models: mechanics are asserted, claims only reported.

Specification of `align`, section 9.6. The start models are trained here, every arm with each of
three seeds; what is asserted are rules that a broken program would break, never a claim of the
published study.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from acceptance.results import write_results
from polylore.cli.options import read_config
from polylore.facts.choices.from_facts import FREE
from polylore.metrics.align.carried import EQUAL, LEVEL, POOR
from polylore.models.fingerprint import fingerprint, weight_hash
from polylore.runs import RunFolder
from polylore.studies.align.arms.config import ArmsConfig
from polylore.studies.align.arms.study import manifests, run_arms
from polylore.studies.built_in import ALIGN_RUNS
from polylore.training.continued.start import open_start

NAMES = {"qaa": "A", "qab": "B", "qac": "C", "qad": "D"}
PLAIN = "inj"
LIMITS = (
    "Limits: invented languages without grammar, one-token answers of ordinary facts, two layers, "
    "one learning rate per kind of arm, fresh AdamW moments in every arm; seeds are of training, "
    "on one world and one set of ordinary facts. Settings of the world were changed once after a "
    "first whole run, in which questions in wordings never trained failed the gates: now pairs of "
    "fact and wording are held out, as specified. Bands of the prototype "
    "are for plausibility only; they are neither golden nor the published study's."
)


@dataclass(frozen=True)
class Check:
    """A rule, what was measured, and whether it holds."""

    rule: str
    measured: str
    holds: bool


class Found:
    """Tables of the finished run."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self.manifests = manifests(run)
        self.arms = run.table("align_arms")
        self.claims = run.table("align_claims")
        self.siblings = run.table("align_siblings")
        table = run.table("align_conductivity").filter(
            (pl.col("subset") == "valid") & (pl.col("scoring") == "default")
        )
        last = pl.col("step") == pl.col("step").max().over("run_id")
        self.conduct = table.filter(last)
        self.gates = run.table("align_gates").filter(last)
        cells = run.table("align_cells").with_columns(
            arm=pl.col("model").str.replace(r"/seed\d+$", ""),
            seed=pl.col("model").str.extract(r"seed(\d+)$").cast(pl.Int64),
        )
        ways = pl.col("mode").is_in(["generate", "text_ll"])
        self.cells = cells.filter(ways & (pl.col("step") == pl.col("step").max().over("model")))

    def seeds(self, arm: str, target: str, column: str) -> list[float]:
        """Values of a column of conductivity, by seed."""
        own = self.conduct.filter((pl.col("arm") == arm) & (pl.col("target") == target))
        return own.sort("seed")[column].to_list()


def checks(found: Found) -> Iterator[Check]:
    """What a correct program must show, whatever is true of models."""
    passed = found.arms.filter(pl.col("arm").is_in([f"{PLAIN}/qab", f"{PLAIN}/qad"]))
    values = [*found.seeds(PLAIN, "qab", "acc_s"), *found.seeds(PLAIN, "qad", "acc_s")]
    yield Check(
        "injection with t>s passes its gate, source facts of type 1 at least .9",
        f"{_ends(passed)}; {_range(values)}",
        set(passed["stopped"]) == {"gate"} and min(values) >= 0.9,
    )
    values = found.seeds("inj_parallel", "qab", "acc_t")
    yield Check("parallel exposure: type 1 in the target at least .8", _range(values),
                min(values) >= 0.8)  # fmt: skip
    values = found.conduct.filter(pl.col("arm") == "none")["acc_t"].to_list()
    yield Check("never injected: type 1 at most .05", _range(values), max(values) <= 0.05)
    values = [*found.seeds(PLAIN, "qab", "p_h3"), *found.seeds(PLAIN, "qad", "p_h3")]
    yield Check("t>s alone: the hop of the answer at most .2", _range(values), max(values) <= 0.2)
    values = [*found.seeds("inj_both", "qab", "p_h3"), *found.seeds("inj_both", "qad", "p_h3")]
    yield Check("both directions: the hop of the answer at least .9", _range(values),
                min(values) >= 0.9)  # fmt: skip
    shuffled = found.gates.filter(
        (pl.col("arm") == "inj_shuffled") & (pl.col("component") == "source_1")
    )["value"].to_list()
    truth = found.seeds("inj_shuffled", "qab", "acc_s")
    yield Check(
        "permuted answers: learned as taught (source type 1 at least .9), the truth at most .3",
        f"taught {_range(shuffled)}, truth {_range(truth)}",
        min(shuffled) >= 0.9 and max(truth) <= 0.3,
    )
    values = unseen(found)
    yield Check("facts never seen in B by base_mix: 4 options in [.15, .40]", _range(values),
                all(0.15 <= value <= 0.40 for value in values))  # fmt: skip
    matched = found.siblings
    compared = matched["budget"].drop_nulls()
    yield Check(
        "every comparison is of siblings; budgets that one factor leaves alone are matched",
        f"{int(matched['siblings'].sum())} of {matched.height} siblings; {compared.len()} budgets "
        "compared (the others end at a gate, or differ by design)",
        bool(matched["siblings"].all()) and compared.len() > 0,
    )
    wanted = set(expected())
    keys = set(found.claims.select(*CLAIM_KEY).iter_rows())
    full = found.claims.drop_nulls(["delta", "lo", "hi", "verdict"])
    apart = sorted(wanted ^ keys)
    yield Check(
        "exactly the claims that follow from the design, each with a difference, an interval and a "
        "verdict at both margins",
        f"{len(wanted & keys)} of {len(wanted)} claims, {len(keys - wanted)} others; {full.height} "
        f"of {2 * len(wanted)} verdicts" + (f"; first difference: {apart[0]}" if apart else ""),
        not apart and full.height == found.claims.height == 2 * len(wanted),
    )
    starts = {m["seed"]: m for m in found.manifests if m["arm"] == "start"}
    same = [
        m["end"]["hash"] == _files_hash(found.run, m["seed"]) == starts[m["seed"]]["end"]["hash"]
        for m in found.manifests
        if m["arm"] == "none"
    ]
    yield Check(
        "`none` is bitwise the start: hash of the weights in memory after they were asked, and of "
        "the start's files",
        f"{sum(same)} of {len(same)} seeds",
        len(same) == len(starts) > 0 and all(same),
    )


def _files_hash(run: RunFolder, seed: int) -> str:
    """Hash of the start model's weights, from its files as they are now."""
    return weight_hash(fingerprint(open_start(run.path / "arms" / "start" / f"seed-{seed}").folder))


CLAIM_KEY = ("claim", "arm", "minus", "level", "group")


def expected() -> Iterator[tuple[str, ...]]:
    """Claims that follow from the design: claim, arm, against, set, languages."""
    for level in ("facts", f"facts{FREE}"):
        yield ("continued pretraining helps its target language", "cpt_B", "base_mix", level,
               "target")  # fmt: skip
        for group, whom in (("pivot", "pivot"), ("others_out", "other languages")):
            yield (f"continued pretraining costs the {whom}", "cpt_B", "base_mix", level, group)
        # All languages are in the mix of cpt_B_replay.
        mixes = {"mix_ABC": True, "mix_ABC_target": True, "cpt_B_replay": False}
        for mix, outside in mixes.items():
            yield ("mixed pretraining spares the pivot", mix, "cpt_B", level, "pivot")
            yield ("mixed pretraining spares other languages in the mix", mix, "cpt_B", level,
                   "others_in")  # fmt: skip
            if outside:
                yield ("mixed pretraining spares languages outside the mix", mix, "cpt_B", level,
                       "others_out")  # fmt: skip
    tuned = {"it_A": ["qaa"], "it_B": ["qab"], "it_mix": ["qaa", "qab", "qac"]}
    for level in ("questions", f"questions{FREE}"):
        for arm, spoken in tuned.items():
            for lang in NAMES:
                words = "in" if lang in spoken else "not in"
                claim = f"instruction tuning helps a language that it is {words}"
                yield (claim, arm, "none", level, f"lang:{lang}")
    after = ("cpt_B>inj", "mix_ABC>inj")
    for arm in ("inj", "inj_both", "inj_replay", *after):
        for target in ("qab",) if arm == "inj_replay" else ("qab", "qad"):
            yield ("facts taught in one language are poorly known in the other", arm,
                   f"{POOR} of a perfect carry-over", LEVEL, f"qaa>{target}")  # fmt: skip
    for arm in after:
        for target in ("qab", "qad"):
            for level in (LEVEL, EQUAL):
                yield ("the treatment before the injection makes facts carry over better", arm,
                       PLAIN, level, f"qaa>{target}")  # fmt: skip


def unseen(found: Found) -> list[float]:
    """4-option accuracy in B of facts that base_mix never read in B, by seed."""
    exposure = found.run.table("align_exposure")
    items = found.run.table("align_items").filter(pl.col("dataset") == "facts")
    parsed = found.run.table("align_parsed").filter(
        (pl.col("dataset") == "facts")
        & (pl.col("lang") == "qab")
        & (pl.col("mode") == "text_ll")
        & pl.col("rotation").is_null()
    )
    values = []
    for seed in sorted(set(found.arms["seed"])):
        run_id = f"base_mix/seed{seed}"
        read = exposure.filter((pl.col("run_id") == run_id) & (pl.col("lang") == "qab"))
        rows = parsed.filter(pl.col("model") == run_id).join(
            items.select("item", "fact_id", "gold_index"), on="item"
        )
        rows = rows.join(read.select("fact_id"), on="fact_id", how="anti")
        right = (rows["robust"] == rows["gold_index"]).mean()
        values.append(float(right))  # type: ignore[arg-type]
    return values


def _ends(arms: pl.DataFrame) -> str:
    own = arms.sort("arm", "seed")
    return ", ".join(
        f"{_named(arm)} {stopped} at {updates}"
        for arm, stopped, updates in own.select("arm", "stopped", "updates").iter_rows()
    )


def _range(values: list[float]) -> str:
    return f"{min(values):.3f} to {max(values):.3f} ({len(values)} runs)"


def _named(text: str) -> str:
    for code, name in NAMES.items():
        text = text.replace(code, name)
    return text


def accuracies(found: Found) -> list[str]:
    """Free text and four options on ordinary facts: mean over seeds, by arm and language."""
    lines = [
        "| arm | " + " | ".join(f"{n} free" for n in NAMES.values()) + " | "
        + " | ".join(f"{n} of 4" for n in NAMES.values()) + " |",
        "|---|" + "---|" * (2 * len(NAMES)),
    ]  # fmt: skip
    return lines + [
        f"| {_named(str(arm))} | " + " | ".join(
            _cell(rows, dataset, lang) for dataset in (f"facts{FREE}", "facts") for lang in NAMES
        ) + " |"
        for (arm,), rows in _ordered(found).group_by(["arm"], maintain_order=True)
    ]  # fmt: skip


def _ordered(found: Found) -> pl.DataFrame:
    order = found.arms["arm"].unique(maintain_order=True).to_list()
    rank = pl.col("arm").replace_strict(order, range(len(order)), default=len(order))
    return found.cells.sort(rank, maintain_order=True)


def _cell(rows: pl.DataFrame, dataset: str, lang: str) -> str:
    own = rows.filter((pl.col("dataset") == dataset) & (pl.col("lang") == lang))["acc"]
    return f"{own.mean() / 100:.2f}" if own.len() else "–"  # type: ignore[operator]


def conducted(found: Found) -> list[str]:
    """Conductivity by arm and pair: mean over seeds, hops, updates."""
    columns = ("acc_s", "acc_t", "c_star", "cd", "cd_rank", "p_h1", "p_h3", "p_all", "cd_all")
    lines = [
        f"| arm | pair | gates passed | updates | {' | '.join(columns)} | cd rests on |",
        "|---|---|---|---|" + "---|" * (len(columns) + 1),
    ]
    for (arm, source, target), rows in found.conduct.group_by(
        ["arm", "source", "target"], maintain_order=True
    ):
        steps = rows["step"].to_list()
        numbers = [rows[name].drop_nulls() for name in columns]
        shown = [f"{n.mean():.2f}" if n.len() else "–" for n in numbers]
        gate = "–" if rows["gate_pass"].null_count() else f"{rows['gate_pass'].sum()}"
        lines.append(
            f"| {_named(str(arm))} | {_named(f'{source}>{target}')} | {gate} of {rows.height} | "
            f"{min(steps)}–{max(steps)} | {' | '.join(shown)} | {_rests(rows)} |"
        )
    return lines


def _rests(rows: pl.DataFrame) -> str:
    """Facts known in the source, over seeds, with a note where they are few."""
    known = rows["known"].to_list()
    few = " (few_items)" if rows["note"].drop_nulls().len() else ""
    return f"{min(known)}–{max(known)} facts{few}"


def claimed(found: Found) -> list[str]:
    """Every claim with its verdict at both margins."""
    lines = [
        "| claim | arm | against | set | languages | difference | interval | m = .05 | m = 0 | "
        "p (Holm) |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    keys = ["claim", "arm", "minus", "level", "group"]
    for key, rows in found.claims.group_by(keys, maintain_order=True):
        by_m: dict[float, Any] = {row["m"]: row for row in rows.iter_rows(named=True)}
        main, zero = by_m[max(by_m)], by_m[min(by_m)]
        words = " | ".join(_named(str(part)) for part in key)
        if main["lo"] is None:
            lines.append(f"| {words} | – | {_named(main['reason'])} | open | open | – |")
            continue
        p = "–" if main["p_holm"] is None else f"{main['p_holm']:.3f}"
        lines.append(
            f"| {words} | {main['delta']:+.3f} | [{main['lo']:+.3f}, {main['hi']:+.3f}] | "
            f"{_judged(main)} | {_judged(zero)} | {p} |"
        )
    return lines


def _judged(row: dict[str, Any]) -> str:
    return f"{row['verdict']} ({row['note']})" if row["note"] else str(row["verdict"])


def page(found: Found, spent: str) -> tuple[list[str], bool]:
    """Lines of the results page, and whether every rule holds."""
    results = list(checks(found))
    seeds = found.arms["seed"].n_unique()
    worst = found.siblings["budget"].drop_nulls().max()
    lines = [
        f"{found.arms.height} trainings: {found.arms['arm'].n_unique()} arms and stages, {seeds} "
        f"seeds each. {spent}",
        "",
        "Languages: A is the pivot, B and C have names of their own, half the parts of names in D "
        "are A's. Ordinary facts: 200 subjects, 3 relations of 15 objects; the start model reads "
        "all of them in A and half in each other language. Invented facts: 10 answers with 16 "
        "subjects each, half of them taught in the source alone (type 1).",
        "",
        "## Mechanics",
        "",
        "| rule | measured | holds |",
        "|---|---|---|",
        *(f"| {c.rule} | {c.measured} | {'yes' if c.holds else 'NO'} |" for c in results),
        "",
        f"Budgets of siblings differ by {0 if worst is None else worst:.2%} at most, where they "
        "do not end at a gate.",
        "",
        "## Claims",
        "",
        "Reported, never asserted. Confirmed: the whole 95 % interval is beyond the margin on the "
        "claimed side; intervals draw training seeds first, then subjects. p is Holm's over all "
        f"rows, so its least value says no more than that no draw was on the wrong side. Of "
        f"conductivity, the difference is that from {POOR}, or between two arms; of sets with four "
        "options it is that of accuracy corrected for chance, so .05 there is .0375 of accuracy. "
        "Rows at equal updates repeat those above them where all gates were passed at once.",
        "",
        *claimed(found),
        "",
        "## Ordinary facts after every arm",
        "",
        "Mean over seeds; chance of four options is .25. Side effects are the differences from "
        "the row `none`.",
        "",
        *accuracies(found),
        "",
        "## Conductivity",
        "",
        "Mean over seeds, valid facts of type 1, default scoring, at the last update. cd: right in "
        "the target given right in the source, less what the model's own answers hit by chance. "
        "Hops: h1 the name into the source, h3 the answer into the target. cd rests on the facts "
        "known in the source; few_items: fewer than ten of them with some seed.",
        "",
        *conducted(found),
        "",
        LIMITS,
    ]
    return lines, all(check.holds for check in results)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where the run is kept")
    parser.add_argument("--results", type=Path, required=True, help="Markdown file to write")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    settings = (
        f"execution.jobs={options.jobs}",
        f"train.seeds={list(range(options.seeds))}",
    )
    config = read_config(ArmsConfig, ALIGN_RUNS.file("align_cpu"), settings, {})
    start = time.monotonic()

    def tell(done: int, total: int, what: str) -> None:
        print(f"{what}: {done} of {total}, {(time.monotonic() - start) / 60:.1f} min", flush=True)

    run = run_arms(config, options.folder, progress=tell, tell=print)
    found = Found(run)
    minutes = float(found.arms["seconds"].sum()) / 60
    spent = (
        f"They took {minutes:.0f} minutes of a process in all, {options.jobs} side by side, on a "
        f"machine shared with other work. They were made by the code "
        f"{run.manifest['git'].get('commit', 'unknown')}."
    )
    lines, good = page(found, spent)
    command = ["python", "-m", "acceptance.align", "--folder", "FOLDER"]
    command += ["--jobs", str(options.jobs), "--seeds", str(options.seeds)]
    write_results(options.results, "Training arms on tiny models", command, lines)
    if not good:
        raise SystemExit("a rule does not hold; see the page")


if __name__ == "__main__":
    main()
