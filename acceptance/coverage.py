"""How often the analysis of pathways is right in made-up worlds whose truth is known.

A world has facts with correlated exposures in four languages and eight checkpoints. Answers follow
a curve of exposure and relation; in half of the worlds a quarter of what the pivot knows comes
along. Nothing of the world but answers and exposures is seen by the analysis.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from acceptance.results import write_results
from polylore import metrics
from polylore.metrics import pathways as ways
from polylore.tables import raw
from polylore.tables.derived import GRADES

LANGS = ("en", "fr", "ru", "zh")
FACTS, RELATIONS = 240, 8
STEPS = (0, 125, 250, 500, 1000, 2000, 3000, 4000)
LAST = f"c{STEPS[-1]}"
PLANTED = 0.25
DRAWS = 200


def fixed() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Facts and checkpoints; every fifth French object is spelled like the English one."""
    facts = raw.FACTS.build(
        [
            {
                "fact_id": str(i),
                "relation": f"r{i % RELATIONS}",
                "lang": lang,
                "subject": f"{lang} s{i}",
                "object": f"o{i % 40}" if lang == "fr" and i % 5 == 0 else f"{lang} o{i % 40}",
                "aliases": [],
                "candidate_ids": [],
                "candidates": [],
                "source": "made up",
                "flags": [],
            }
            for lang in LANGS
            for i in range(FACTS)
        ]
    )
    checkpoints = raw.CHECKPOINTS.build(
        [
            {
                "ckpt_id": f"c{step}",
                "family": "none",
                "model": "made up",
                "step": step,
                "tokens": 1000 * step,
                "tokens_exact": True,
                "final": False,
                "suspect": False,
            }
            for step in STEPS
        ]
    )
    return facts, checkpoints


def world(seed: int, planted: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Exposure and grades."""
    rng = np.random.default_rng(seed)
    level = 1.3 + 0.45 * rng.normal(size=(FACTS, 1)) + 0.45 * rng.normal(size=(FACTS, len(LANGS)))
    level[:, 0] += 0.8
    dose = np.round(10 ** np.clip(level, 0, 4))
    dose[:, 1:][rng.random((FACTS, len(LANGS) - 1)) < 0.15] = 0
    u, brought = rng.random((2, FACTS, len(LANGS)))
    ease = 0.6 * rng.normal(size=RELATIONS)[np.arange(FACTS) % RELATIONS][:, None]
    fact, lang = (m.ravel() for m in np.indices(dose.shape))
    exposure, grades = [], []
    for step in STEPS:
        e = np.floor(dose * step / STEPS[-1])
        y = u < 1 / (1 + np.exp(-(2 * np.log10(1 + e) - 3.2 + ease)))
        y[:, 1:] |= y[:, :1] & (brought[:, 1:] < planted)
        cells = pl.DataFrame(
            {
                "fact_id": fact.astype(str),
                "relation": np.char.add("r", (fact % RELATIONS).astype(str)),
                "lang": np.array(LANGS)[lang],
                "exposure": e.ravel(),
                "y": y.ravel(),
            }
        ).with_columns(ckpt_id=pl.lit(f"c{step}"))
        exposure.append(cells.drop("y").with_columns(exposure_kind=pl.lit("exact")))
        grades.append(
            cells.drop("exposure").with_columns(
                variant=pl.lit(0), matcher=pl.lit("default"), truncated=pl.lit(False)
            )
        )
    return pl.concat(exposure), GRADES.validate(pl.concat(grades))


def look(
    seed: int, planted: float, facts: pl.DataFrame, checkpoints: pl.DataFrame
) -> dict[str, Any]:
    """What the analysis says about one world."""
    exposure, grades = world(seed, planted)
    draws = metrics.cluster_draws(facts, n=DRAWS, seed=seed)
    rules = ways.PathwayRules("en", string_level=False)
    guesses = ways.guesses(grades, facts)
    course = ways.Course.of(grades, facts, checkpoints, exposure, guesses, rules, draws=draws)
    found = ways.pathways([course], checkpoints, draws=draws)
    rate = found.rates.filter(ckpt_id=LAST, lang="all", relation="all").row(0, named=True)
    cells = found.cells.filter(ckpt_id=LAST)
    ladder = ways.classifier_ladder(cells, facts, checkpoints, pivot="en", draws=draws)
    gain = ladder.filter(model="M5")["delta_auc_lo"][0]
    hazard = ways.hazard(course, draws=draws).filter(lang="all").row(0, named=True)
    lags = ways.lag_expected(grades, checkpoints, exposure, found.curves, pivot="en", n=DRAWS)
    _, balance = ways.matched_controls(cells, checkpoints, pivot="en", seed=seed)
    p = balance.filter(
        lang="all", case_set="transfer", control_set="donor_knows", variable="log_E_p"
    )["p_value"]
    single = found.rates.filter(pl.col("lang") != "all", ckpt_id=LAST, relation="all")
    covered = lags.select(
        ((pl.col("difference_lo") <= 0) & (pl.col("difference_hi") >= 0)).mean()
    ).item()
    return {
        "rate, pooled": rate["t"],
        "interval holds the truth, pooled": rate["t_lo"] <= planted <= rate["t_hi"],
        "interval holds the truth, single language": (
            (single["t_lo"] <= planted) & (planted <= single["t_hi"])
        ).mean(),
        "supported, pooled": rate["supported"],
        "supported by both curves, pooled": rate["claimed"],
        "supported by both curves, single language": single["claimed"].mean(),
        "donor columns gain in AUC": gain > 0,
        "hazard: interval of gamma above 0": hazard["gamma_lo"] > 0,
        "hazard: gamma above shuffled donors": hazard["gamma"] > hazard["permuted_hi"],
        "lag: observed minus expected covers 0": covered,
        "matched controls: p below .05": None if p[0] is None else p[0] < 0.05,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--results", type=Path, required=True)
    options = parser.parse_args()
    facts, checkpoints = fixed()
    columns = {}
    for planted in (0.0, PLANTED):
        rows = [look(seed, planted, facts, checkpoints) for seed in range(options.worlds)]
        frame = pl.DataFrame(rows, infer_schema_length=None)
        columns[planted] = frame.select(pl.all().cast(pl.Float64()).mean()).row(0, named=True)
    lines = [
        f"{options.worlds} worlds of each kind: {FACTS} facts, {len(LANGS)} languages, "
        f"{len(STEPS)} checkpoints, {DRAWS} bootstrap draws. Share of worlds, unless it is a rate. "
        "A 95 % interval should hold the truth in .95 of them; without transfer nothing should be "
        "supported. The planted transfer comes within the same interval between checkpoints, which "
        "the hazard cannot see.",
        "",
        f"| | no transfer | transfer of {PLANTED} |",
        "|---|---|---|",
    ]
    for name, null in columns[0.0].items():
        planted = columns[PLANTED][name]
        lines.append(f"| {name} | {null:.3f} | {planted:.3f} |")
    command = ["python", "-m", "acceptance.coverage", *sys.argv[1:]]
    write_results(options.results, "Pathways where the truth is known", command, lines)


if __name__ == "__main__":
    main()
