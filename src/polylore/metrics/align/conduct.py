"""Conductivity: is a fact learned in one language known in another? (`align`, section 2.6)"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import polars as pl

from polylore.errors import DataError
from polylore.metrics.align.gates import TRAINED, gates, passed
from polylore.metrics.align.hops import Book, Graded, books, grade, hop_columns
from polylore.metrics.bootstrap import divide, interval
from polylore.metrics.index import Array
from polylore.tables.fiction import CONDUCTIVITY, RUN_KEY

FEWEST = 10
"""Facts known in the source below which conductivity has a note."""
SCORINGS = ("default", "paper")
NO_CAPITALS = "no_capitals: all names have one, and no answer of the model does"
"""Note where the published scoring, which compares letter by letter, can find nothing."""
Row = dict[str, Any]


def conductivity(
    answers: pl.DataFrame,
    facts: pl.DataFrame,
    valid: pl.DataFrame,
    *,
    trained: Mapping[str, Collection[str]] | None = None,
    gate: pl.DataFrame | None = None,
    draws: int = 2000,
    seed: int = 0,
) -> pl.DataFrame:
    """Every form of conductivity of every run, with its hops.

    Args:
        answers: table FICTION_ANSWERS.
        facts: table FICTION_FACTS of source and target.
        valid: source, target and fact_id of the facts that can show conduction.
        trained: what each run trained (see `gates`); by default the published blocks.
        gate: table ALIGN_GATES of these runs, if it is there already.
        draws: bootstrap draws over subjects; 0 leaves intervals out.
        seed: seed of the draws.

    Returns:
        Table ALIGN_CONDUCTIVITY: subsets all and valid, scorings default and paper.

    Raises:
        DataError: answers about facts or languages that are not there, or a run that was not asked
            its facts of type 1 in both languages.
    """
    gate = gates(answers, facts, trained=trained) if gate is None else gate
    find = books(facts)
    rows: list[Row] = []
    for key, group in answers.group_by(RUN_KEY, maintain_order=True):
        run = dict(zip(RUN_KEY, key, strict=True))
        judged = passed(gate, run, (trained or {}).get(str(run["run_id"]), TRAINED))
        own = valid.filter(
            (pl.col("source") == run["source"]) & (pl.col("target") == run["target"])
        )
        book = find(run["source"], run["target"])
        for scoring in SCORINGS:
            graded = grade(group, book, scoring)
            lost = scoring == "paper" and _without_capitals(group, book)
            for subset in ("all", "valid"):
                kept = graded if subset == "all" else graded.only(set(own["fact_id"]))
                about = run | {"subset": subset, "scoring": scoring} | judged
                if lost:
                    size = {"n": len(kept.right_s), "chance": kept.chance}
                    rows.append(about | size | {"note": NO_CAPITALS})
                else:
                    rows.append(about | _forms(kept, draws, seed) | hop_columns(kept))
    return CONDUCTIVITY.build(rows)


def _without_capitals(answers: pl.DataFrame, book: Book) -> bool:
    """Whether names have capital letters that this model, or its tokenizer, never writes."""
    said = "".join(answers["raw_output"].drop_nulls())
    capital = all(name != name.lower() for name in book.objects.values())
    return capital and said.strip() != "" and said == said.lower()


def _forms(graded: Graded, draws: int, seed: int) -> Row:
    n = len(graded.right_s)
    once = np.ones((1, n))
    made = _sampled(graded, once, graded.right_t, graded.named_t)
    known = int(graded.right_s.sum())
    row: Row = {"n": n, "chance": graded.chance, "known": known}
    if known < FEWEST:
        row["note"] = f"few_items: {known} known in the source"
    row |= {name: _number(values[0]) for name, values in made.items()}
    row["cd_rank"] = None
    if graded.ranked_t is not None:
        ranked = _sampled(graded, once, graded.ranked_t == graded.gold, graded.ranked_t)
        row["cd_rank"] = _number(ranked["cd"][0])
    if draws and n > 1:
        generator = np.random.default_rng(seed)
        weights = generator.multinomial(n, np.full(n, 1 / n), size=draws).astype(float)
        (lo,), (hi,) = interval(
            _sampled(graded, weights, graded.right_t, graded.named_t)["cd"][:, None]
        )
        row |= {"cd_lo": _number(lo), "cd_hi": _number(hi)}
    return row


def _sampled(graded: Graded, weights_DN: Array, right_t: Array, named_t: Array) -> dict[str, Array]:
    """All forms under every draw of subjects: (D,) each."""
    n = weights_DN.sum(axis=1)
    s, t = graded.right_s.astype(float), right_t.astype(float)
    right_s, both = weights_DN @ s, weights_DN @ (s * t)
    acc_s, acc_t = divide(right_s, n), divide(weights_DN @ t, n)
    xrr_d = divide(both, right_s)
    c_star = np.zeros(len(weights_DN))
    for answer in np.unique(graded.gold):
        named = divide(weights_DN @ (named_t == answer), n)
        c_star = c_star + named * divide(weights_DN @ (graded.gold == answer), n)
    room = acc_s - graded.chance
    return {
        "acc_s": acc_s,
        "acc_t": acc_t,
        "c_star": c_star,
        "xrr_a": acc_t,
        "xrr_b": divide(acc_t, acc_s),
        "xrr_c": divide(acc_t - graded.chance, np.where(room > 0, room, 0)),
        "xrr_d": xrr_d,
        "cd": divide(xrr_d - c_star, 1 - c_star),
    }


def cd_draws(graded: Graded, draws: int, seed: int) -> Array:
    """Conductivity of one run: the estimate, then one value per draw of subjects; (1 + D,).

    Runs with the same number of facts share their draws, so their differences keep the pairing.
    """
    n = len(graded.right_s)
    if not n:  # no valid facts: there is nothing to conduct
        return np.full(1 + draws, np.nan)
    generator = np.random.default_rng(seed)
    weights = generator.multinomial(n, np.full(n, 1 / n), size=draws).astype(float)
    every = np.concatenate([np.ones((1, n)), weights])
    return _sampled(graded, every, graded.right_t, graded.named_t)["cd"]


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def matrix(table: pl.DataFrame, column: str = "cd") -> pl.DataFrame:
    """Source x target: one value per pair, acc_s on the diagonal (the ceiling, not conduction).

    Args:
        table: rows of ALIGN_CONDUCTIVITY of one arm, seed, step, subset and scoring.
        column: value off the diagonal.

    Returns:
        source, then one column per language; null where a pair was not run. The diagonal is the
        mean over the runs with that source.

    Raises:
        DataError: designs are mixed, or a pair occurs more than once.
    """
    designs = table["design"].unique().sort().to_list()
    if len(designs) > 1:
        raise DataError(
            f"Conductivity of the designs {' and '.join(designs)} cannot stand in one matrix; "
            "choose one."
        )
    if table.select("source", "target").is_duplicated().any():
        raise DataError(
            "A pair of languages occurs more than once; choose one arm, seed, step, subset and "
            "scoring."
        )
    langs = sorted({*table["source"], *table["target"]})
    cells = {(s, t): v for s, t, v in table.select("source", "target", column).iter_rows()}
    ceilings = dict(table.group_by("source").agg(pl.col("acc_s").mean()).iter_rows())
    rows = [
        {"source": s} | {t: ceilings.get(s) if s == t else cells.get((s, t)) for t in langs}
        for s in langs
    ]
    schema = {"source": pl.String()} | dict.fromkeys(langs, pl.Float64())
    return pl.DataFrame(rows, schema=schema)
