"""Summaries of representations: groups, bases, intervals and matched controls, held against
numbers made by hand or by brute force."""

import numpy as np
import polars as pl
import pytest

from polylore import metrics
from polylore.tables.raw import CHECKPOINTS, FACTS
from polylore.tables.similarity import SIMILARITY, SIMILARITY_BASE

N, D = 48, 12
RELATIONS = [f"r{i % 3}" for i in range(N)]
IDS = [f"{i:02d}" for i in range(N)]


def cosines(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (x, y))
    return x @ y.T


@pytest.fixture(scope="module")
def matrix() -> dict[str, np.ndarray]:
    """All cosines of two languages with the pivot, at one layer."""
    generator = np.random.default_rng(1)
    pivot = generator.normal(size=(N, D)) + 1
    return {
        lang: cosines(pivot + noise * generator.normal(size=(N, D)), pivot)
        for lang, noise in (("fr", 0.7), ("ru", 2.0))
    }


@pytest.fixture(scope="module")
def facts() -> pl.DataFrame:
    rows = [
        {
            "fact_id": fact,
            "relation": relation,
            "lang": lang,
            "subject": f"s{fact}",
            # French objects of every fourth fact are spelled like the English ones.
            "object": f"o{fact}" if lang == "en" or (lang == "fr" and i % 4 == 0) else lang + fact,
            "aliases": [],
            "candidate_ids": [],
            "candidates": [],
            "source": "test",
            "flags": [],
        }
        for lang in ("en", "fr", "ru")
        for i, (fact, relation) in enumerate(zip(IDS, RELATIONS, strict=True))
    ]
    return FACTS.build(rows)


CHECKPOINT = CHECKPOINTS.build(
    [
        {"ckpt_id": c, "family": "f", "model": "m", "step": s, "tokens": 10 * s,
         "tokens_exact": True, "final": False, "suspect": False}
        for c, s in (("one", 1), ("two", 2))
    ]
)  # fmt: skip


def same_object(lang: str) -> np.ndarray:
    return np.array([lang == "fr" and i % 4 == 0 for i in range(N)])


def pair_mean(every: np.ndarray, weight: np.ndarray, relation: str | None) -> float:
    """Weighted mean over pairs of different facts, of one relation if it is given."""
    inside = np.array([relation in (None, r) for r in RELATIONS])
    pairs = np.outer(weight * inside, weight * inside) * ~np.eye(N, dtype=bool)
    return float((pairs * every).sum() / pairs.sum())


def tables(matrix: dict[str, np.ndarray]) -> tuple[pl.DataFrame, pl.DataFrame]:
    rows, bases = [], []
    for lang, every in matrix.items():
        cos = np.diag(every)
        place = {"ckpt_id": "one", "layer": 0, "position": "prompt_end", "lang": lang,
                 "pivot": "en"}  # fmt: skip
        for i, fact in enumerate(IDS):
            others = [j for j in range(N) if j != i and RELATIONS[j] == RELATIONS[i]]
            own = np.r_[every[i, others], every[others, i]].mean()
            rows.append(
                place
                | {
                    "after_norm": False,
                    "fact_id": fact,
                    "cos": float(cos[i]),
                    "cos_centred": float(cos[i] / 2),
                    "base": float(own),
                    "mexa_hit": i % 2 == 0,
                }
            )
        for stratum, inside in (("all", np.ones(N)), ("no_same_object", ~same_object(lang))):
            for relation in (*sorted({*RELATIONS}), None):
                n = sum(inside[i] and relation in (None, RELATIONS[i]) for i in range(N))
                bases.append(
                    place
                    | {
                        "stratum": stratum,
                        "relation": relation or "all",
                        "n": int(n),
                        "base": pair_mean(every, inside.astype(float), relation),
                    }
                )
    return SIMILARITY.build(rows), SIMILARITY_BASE.build(bases)


def cells_of(labels: dict[str, list[str]], ckpt: str = "one") -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"ckpt_id": ckpt, "lang": lang, "fact_id": fact, "label": label, "paper_class": "FN"}
            for lang, given in labels.items()
            for fact, label in zip(IDS, given, strict=True)
        ]
    )


LABELS = {
    lang: ["transfer-candidate" if i % 5 == k else "unknown" for i in range(N)]
    for k, lang in enumerate(("fr", "ru"))
}


@pytest.fixture(scope="module")
def summary(matrix: dict[str, np.ndarray], facts: pl.DataFrame) -> pl.DataFrame:
    cells = pl.concat([cells_of(LABELS), cells_of({"fr": ["guess"] * N}, "two")])
    draws = metrics.cluster_draws(facts, n=400, seed=1)
    return metrics.similarity_summary(
        *tables(matrix), facts, CHECKPOINT, cells, final="two", draws=draws
    )


def one(summary: pl.DataFrame, **where: str) -> dict[str, float]:
    where = {"groups_of": "own", "kind": "all", "group": "all", "stratum": "all"} | where
    return summary.filter(**where).row(0, named=True)


def test_all_facts(summary: pl.DataFrame, matrix: dict[str, np.ndarray]) -> None:
    row = one(summary, lang="fr")
    cos = np.diag(matrix["fr"])
    base = np.mean([pair_mean(matrix["fr"], np.ones(N), r) for r in RELATIONS])
    assert row["n"] == N
    assert row["step"] == 1
    assert row["cos"] == pytest.approx(cos.mean(), abs=2e-6)
    assert row["cos_centred"] == pytest.approx(cos.mean() / 2, abs=2e-6)
    assert row["cos_clipped"] == pytest.approx(cos.clip(0, 1).mean(), abs=2e-6)
    assert row["base_all"] == pytest.approx(pair_mean(matrix["fr"], np.ones(N), None), abs=2e-6)
    assert row["base_relation"] == pytest.approx(base, abs=2e-6)
    assert row["excess"] == pytest.approx(cos.mean() - base, abs=2e-6)
    assert row["mexa"] == 0.5
    for name in ("cos", "excess", "cos_centred", "mexa"):
        assert row[f"{name}_lo"] < row[name] < row[f"{name}_hi"]


def test_groups_and_strata(summary: pl.DataFrame, matrix: dict[str, np.ndarray]) -> None:
    for stratum in ("all", "no_same_object"):
        tops, sizes = [], []
        for lang in ("fr", "ru"):
            inside = np.ones(N, dtype=bool) if stratum == "all" else ~same_object(lang)
            chosen = inside & (np.array(LABELS[lang]) == "transfer-candidate")
            every = matrix[lang]
            bases = {r: pair_mean(every, inside.astype(float), r) for r in {*RELATIONS}}
            excess = [every[i, i] - bases[RELATIONS[i]] for i in np.flatnonzero(chosen)]
            row = one(summary, lang=lang, kind="label", group="transfer-candidate", stratum=stratum)
            assert row["n"] == chosen.sum()
            assert row["excess"] == pytest.approx(np.mean(excess), abs=2e-6)
            tops.append(np.sum(excess))
            sizes.append(len(excess))
        both = one(summary, lang="all", kind="label", group="transfer-candidate", stratum=stratum)
        assert both["n"] == sum(sizes)
        assert both["excess"] == pytest.approx(sum(tops) / sum(sizes), abs=2e-6)


def test_the_groups_of_the_last_checkpoint_stand_beside(summary: pl.DataFrame) -> None:
    final = summary.filter(groups_of="final", kind="label")
    assert set(final["group"]) == {"guess"}
    assert final.filter(lang="fr", stratum="all")["n"].to_list() == [N]
    assert "guess" not in set(summary.filter(groups_of="own")["group"])
    assert set(summary.filter(kind="paper_class")["group"]) == {"FN"}


def test_the_interval_lets_the_base_move(
    summary: pl.DataFrame, matrix: dict[str, np.ndarray], facts: pl.DataFrame
) -> None:
    """As if the base had been computed anew from all pairs in every draw."""
    every, draws = matrix["fr"], metrics.cluster_draws(facts, n=400, seed=1)
    order = [IDS.index(fact) for fact in draws.index.fact_ids]
    found = []
    for drawn in draws.weights_DF.astype(float):
        weight = np.zeros(N)
        weight[order] = drawn
        base = {r: pair_mean(every, weight, r) for r in {*RELATIONS}}
        excess = np.diag(every) - np.array([base[r] for r in RELATIONS])
        found.append((weight * excess).sum() / weight.sum())
    lo, hi = np.quantile(found, [0.025, 0.975])
    row = one(summary, lang="fr")
    assert row["excess_lo"] == pytest.approx(lo, abs=0.1 * (hi - lo))
    assert row["excess_hi"] == pytest.approx(hi, abs=0.1 * (hi - lo))
    still = np.diag(every) @ draws.weights_DF[:, np.argsort(order)].T / N
    assert np.ptp(np.quantile(still, [0.025, 0.975])) != pytest.approx(hi - lo, rel=0.1)


def test_rounding_is_no_difference(facts: pl.DataFrame) -> None:
    constant = {"fr": np.ones((N, N))}
    rows, base = tables(constant)
    base = base.with_columns(pl.col("base") + 1e-9)
    draws = metrics.cluster_draws(facts, n=20)
    row = one(metrics.similarity_summary(rows, base, facts, CHECKPOINT, draws=draws), lang="fr")
    assert (row["excess"], row["excess_lo"], row["excess_hi"]) == (0, 0, 0)


def test_nulls_stay_nulls(facts: pl.DataFrame, matrix: dict[str, np.ndarray]) -> None:
    rows, base = tables({"fr": matrix["fr"]})
    gone = pl.col("fact_id") == "00"
    rows = rows.with_columns(
        cos=pl.when(~gone).then("cos"),
        cos_centred=pl.lit(None, pl.Float32()),
        mexa_hit=pl.when(~gone).then("mexa_hit"),
    )
    row = one(metrics.similarity_summary(rows, base, facts, CHECKPOINT), lang="fr")
    assert row["n"] == N - 1
    assert row["cos"] == pytest.approx(np.diag(matrix["fr"])[1:].mean(), abs=2e-6)
    assert row["cos_centred"] is None
    assert row["cos_lo"] is None
    empty = metrics.similarity_summary(rows.clear(), base, facts, CHECKPOINT)
    assert empty.height == 0


def matched(sets: dict[str, dict[str, list[str]]], ckpt: str = "one") -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"ckpt_id": ckpt, "lang": lang, "case_set": "transfer", "control_set": "donor_knows",
             "fact_id": case, "control_fact_id": control}
            for lang, own in sets.items()
            for case, controls in own.items()
            for control in controls or [None]
        ]
    )  # fmt: skip


def test_matched_facts(facts: pl.DataFrame, matrix: dict[str, np.ndarray]) -> None:
    every = {lang: m.copy() for lang, m in matrix.items()}
    cases = [IDS[i] for i in range(0, 24)]
    sets = {c: [IDS[24 + k], IDS[24 + (k + 3) % 24]] for k, c in enumerate(cases)} | {"47": []}
    for i in range(24):
        every["fr"][i, i] += 0.5  # only the French cases are closer
    pairs = matched({"fr": sets, "ru": dict(list(sets.items())[:3])})
    draws = metrics.cluster_draws(facts, n=200)
    rows, _ = tables(every)
    found = metrics.similarity_controls(rows, pairs, facts, CHECKPOINT, draws=draws)
    row = found.filter(lang="fr", stratum="all").row(0, named=True)
    cos = np.diag(every["fr"])
    expected = np.mean([cos[k] - (cos[24 + k] + cos[24 + (k + 3) % 24]) / 2 for k in range(24)])
    assert row["n_matched"] == 24
    assert row["n_controls"] == 24
    assert row["difference"] == pytest.approx(expected, abs=2e-6)
    assert row["cos_cases"] == pytest.approx(cos[:24].mean(), abs=2e-6)
    assert 0 < row["difference_lo"] < row["difference"] < row["difference_hi"]
    assert row["p_value"] < 0.01
    few = found.filter(lang="ru", stratum="all").row(0, named=True)
    assert few["n_matched"] == 3
    assert few["difference"] is None
    assert "fewer than 5" in few["reason"]
    assert found.filter(lang="all", stratum="all")["n_matched"].to_list() == [27]
    apart = found.filter(lang="fr", stratum="no_same_object").row(0, named=True)
    assert apart["n_matched"] < 24


def test_where_nothing_differs_nothing_is_found(
    facts: pl.DataFrame, matrix: dict[str, np.ndarray]
) -> None:
    rows, _ = tables(matrix)
    generator = np.random.default_rng(0)
    draws = metrics.cluster_draws(facts, n=100)
    covered = []
    for _ in range(40):
        order = generator.permutation(N)
        sets = {IDS[order[k]]: [IDS[order[24 + k]]] for k in range(24)}
        found = metrics.similarity_controls(
            rows, matched({"fr": sets}), facts, CHECKPOINT, draws=draws
        )
        row = found.filter(lang="fr", stratum="all").row(0, named=True)
        covered.append(row["difference_lo"] <= 0 <= row["difference_hi"] and row["p_value"] > 0.05)
    assert sum(covered) >= 32
