"""One row per run and step: transfer, its baselines and the run label (section 2.5)."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from polylore.errors import DataError
from polylore.metrics.unification.transfer import HELD_OUT, SEEN, cells_of, known_anywhere
from polylore.metrics.unification.transfer import with_sources as sources_of
from polylore.metrics.unification.used import used_association
from polylore.tables.unify_results import COURSE

UNIFIED = 0.9
"""Share of acc_src that acc_X must reach."""


@dataclass(frozen=True)
class Baselines:
    """What a model without knowledge of a fact reaches."""

    chance: float
    """1/V."""
    loss_uniform: float
    """H(V|r), nats."""
    loss_language: float
    """H(V|r,language) of the training stream, nats."""
    own_block: float
    """P(the value is owned by l | language l) in the training stream."""


def baselines(
    values: int,
    languages: int,
    *,
    lam: float = 0.0,
    p: float = 0.0,
    exposure: Literal["steps", "cell", "fact", "dup"] = "steps",
) -> Baselines:
    """Baselines of a balanced world with a uniform prior, by its design (sections 2.3 and 2.5).

    A language's presentations are about facts of its own home with probability s = 1/(1 + p(L-1))
    (`steps`, `cell`), 1 - p(L-1)/L (`fact`) or 1 (`dup`), and evenly about the others otherwise.

    Args:
        values: V, values of a relation.
        languages: L.
        lam: attribute skew.
        p: parallel fraction.
        exposure: mode of presentations.
    """
    n = languages
    if n < 1 or values % n or not 0 <= lam <= 1 or not 0 <= p <= 1:
        raise DataError(
            f"{values} values, {n} languages, lam {lam} and p {p} make no world: values must be "
            "divisible by languages, lam and p in [0, 1]."
        )
    own = {"fact": 1 - p * (n - 1) / n, "dup": 1.0}.get(exposure, 1 / (1 + p * (n - 1)))
    rest = (1 - own) / (n - 1) if n > 1 else 0.0
    blocks = [lam * own + (1 - lam) / n] + [lam * rest + (1 - lam) / n] * (n - 1)
    within = math.log(values / n)
    entropy = -sum(q * math.log(q) for q in blocks if q > 0)
    return Baselines(1 / values, math.log(values), within + entropy, blocks[0])


def label(acc_x: float | None, acc_src: float | None, values: int) -> str | None:
    """unified, separated or partial; null without held-out cells.

    At most 2/V is `separated` whatever the recall: an untrained model unifies nothing.
    """
    if acc_x is None or acc_src is None:
        return None
    if acc_x <= 2 / values:
        return "separated"
    return "unified" if acc_x >= UNIFIED * acc_src else "partial"


def course(
    answers: pl.DataFrame,
    facts: pl.DataFrame,
    base: Baselines,
    *,
    values: pl.DataFrame | None = None,
    languages: list[str] | None = None,
) -> pl.DataFrame:
    """Table COURSE of runs on one world.

    Args:
        answers: table ANSWERS.
        facts: frame with fact_id and value_index.
        base: baselines of the world.
        values: table VALUES, for used association; absent if not measured.
        languages: languages of the world in its order, needed with `values`.
    """
    known = facts.select("fact_id", "value_index").unique("fact_id")
    cells = cells_of(answers).join(known, on="fact_id", how="left", maintain_order="left")
    cells = cells.with_columns(right=pl.col("restricted") == pl.col("value_index"))
    used = _used(values, languages)
    errors = _errors(answers, known)
    rows = []
    for (run, step), own in cells.group_by(["run_hash", "step"], maintain_order=True):
        row = {"run_hash": run, "step": step, "tokens": own["tokens"][0]} | _transfer(own)
        row |= used.get((run, step), {})
        row["pref_error_share"] = errors.get((run, step))
        row |= {
            "chance": base.chance,
            "loss_uniform": base.loss_uniform,
            "loss_language": base.loss_language,
            "label": label(row["acc_x"], row["acc_src"], round(1 / base.chance)),
        }
        row["reason"] = None if row["acc_x"] is not None else "there are no held-out cells"
        rows.append(row)
    return COURSE.build(rows)


def _transfer(own: pl.DataFrame) -> dict[str, Any]:
    train = own.filter(pl.col("population").is_in(SEEN))
    x = known_anywhere(own)
    # Sources are the seen cells of facts that have a held-out one.
    src = train.join(x.select("fact_id").unique(), on="fact_id", how="semi")
    acc_x, acc_src = x["acc"].mean(), src["acc"].mean()
    found = x.filter(pl.col("known_any"))
    pairs = sources_of(own).drop_nulls(["restricted", "restricted_source"])
    return {
        "acc_train": train["acc"].mean(),
        "acc_src": acc_src,
        "acc_x": acc_x,
        "acc_x_known": found["acc"].mean(),
        "n_known": found.height if x.height else None,
        "acc_x_restricted": x["right"].mean(),
        "wrong_language": x["wrong_language"].mean(),
        "gap": None if acc_x is None or acc_src is None else acc_src - acc_x,  # type: ignore[operator]
        "agreement": (pairs["restricted"] == pairs["restricted_source"]).mean(),
        "acc_never": own.filter(population="never_seen")["acc"].mean(),
        "loss_train": train["loss"].mean(),
        "loss_x": x["loss"].mean(),
        "pref_mass": x["pref_mass"].mean(),
    }


def _errors(answers: pl.DataFrame, known: pl.DataFrame) -> dict[tuple[object, object], float]:
    """Share of wrong restricted answers on X that lie in the asked language's block."""
    wrong = answers.filter(population=HELD_OUT).join(known, on="fact_id")
    wrong = wrong.filter(pl.col("restricted_pred") != pl.col("value_index"))
    shares = wrong.group_by("run_hash", "step").agg(pl.col("in_pref_block").mean())
    return {(run, step): share for run, step, share in shares.iter_rows()}


def _used(
    values: pl.DataFrame | None, languages: list[str] | None
) -> dict[tuple[object, object], dict[str, float]]:
    """used_info by run and step, of never-seen entities and of held-out cells."""
    if values is None:
        return {}
    if languages is None:
        raise DataError("Used association needs the languages of the world; pass `languages`.")
    names = {"never_seen": "used_info", HELD_OUT: "used_info_x"}
    table = used_association(values, languages).filter(
        (pl.col("quantity") == "used_info")
        & (pl.col("relation") == "all")
        & pl.col("population").is_in(list(names))
    )
    out: dict[tuple[object, object], dict[str, float]] = {}
    for row in table.iter_rows(named=True):
        found = out.setdefault((row["run_hash"], row["step"]), {})
        found[names[row["population"]]] = row["value"]
    return out


def entropy_of(probs: np.typing.ArrayLike) -> float:
    """Entropy in nats of a distribution, for baselines of worlds with another prior."""
    p = np.asarray(probs, dtype=np.float64)
    p = p[p > 0] / p.sum()
    return float(-(p * np.log(p)).sum())
