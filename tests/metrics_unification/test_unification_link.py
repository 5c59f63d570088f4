"""Score against transfer over runs, and over facts of real models (2.10, 10.2)."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from polylore.metrics.unification import (
    LinkFacts,
    adjusted,
    cluster_weights,
    correlation,
    isotonic_mae,
    link,
    link_covariates,
    link_items,
    spearman_draws,
)


def test_golden_spearman_with_mid_ranks() -> None:
    x, y = np.array([0.1, 0.2, 0.2, 0.4, 0.5]), np.array([0.05, 0.06, 0.3, 0.3, 1])
    assert spearman_draws(x, y, np.ones((1, 5)))[0] == pytest.approx(0.9211, abs=1e-4)


def test_weights_are_repetitions() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.integers(0, 6, (2, 20)) * 1.0
    given = generator.normal(size=(20, 2))
    weights = cluster_weights([f"c{i // 2}" for i in range(20)], draws=5)
    plain, partial = spearman_draws(x, y, weights), spearman_draws(x, y, weights, given)
    for row, p, q in zip(weights.astype(int), plain, partial, strict=True):
        drawn = np.repeat(np.arange(20), row)
        assert p == pytest.approx(stats.spearmanr(x[drawn], y[drawn]).statistic)
        ranks = [stats.rankdata(v[drawn]) for v in (x, y, *given.T)]
        z = np.column_stack([np.ones(len(drawn)), *ranks[2:]])
        left = [r - z @ np.linalg.lstsq(z, r, rcond=None)[0] for r in ranks[:2]]
        assert q == pytest.approx(stats.pearsonr(*left).statistic)
    assert np.isnan(spearman_draws(np.ones(20), y, weights)).all()
    assert np.isnan(spearman_draws(x, y, np.ones((1, 20)), x[:, None])).all()


def test_isotonic_error_is_on_the_other_half() -> None:
    x = np.linspace(0, 1, 40)
    fit = np.arange(40) % 2 == 0
    assert isotonic_mae(x, x**3, fit) < 0.05
    assert isotonic_mae(x, 1 - x, fit) == pytest.approx(0.25, abs=0.02)
    assert np.isnan(isotonic_mae(x, x, np.ones(40, bool)))


def runs(n=48, seed=0):
    generator = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        family = "AB"[i // 2 % 2]
        acc = generator.random()
        for position, spread in (("subject", 1.0), ("answer", 0.1)):
            rows.append(
                {
                    "run_hash": f"r{i}",
                    "condition": f"c{i // 2}",
                    "family": family,
                    "status": "done",
                    "leaky": i < 2,
                    "score": "u_norm",
                    "layer": "last",
                    "position": position,
                    "value": acc + spread * generator.normal() + (family == "B"),
                    "acc_x": acc,
                    "u_step0": float(family == "B"),
                    "i_design": 1.0,
                    "i_uni": None,
                    "p": generator.random(),
                }
            )
    return pl.DataFrame(rows, schema_overrides={"i_uni": pl.Float64})


def test_readings_of_a_correlation() -> None:
    table = correlation(runs(), draws=200)
    key = {"position": "answer", "selected_on": "none"}
    pooled = table.filter(reading="pooled", **key).row(0, named=True)
    family = table.filter(reading="family", family="A", **key).row(0, named=True)
    without = table.filter(reading="without", family="B", **key).row(0, named=True)
    assert (pooled["n"], pooled["n_conditions"], pooled["n_leaky"]) == (46, 23, 2)
    # Pooling families that differ in level hides what each of them shows.
    assert family["spearman"] > 0.9 > 0.7 > pooled["spearman"]
    assert pooled["partial"] > 0.85
    assert pooled["given"] == "u_step0,p"
    assert pooled["lo"] < pooled["spearman"] < pooled["hi"]
    assert without["spearman"] == family["spearman"]
    everyone = correlation(runs(), draws=0, leaky=True)
    assert everyone["n"][0] == 48
    assert everyone["lo"].null_count() == everyone.height


def test_half_of_the_conditions_chooses() -> None:
    table = correlation(runs(), draws=50)
    chosen, other = (table.filter(selected_on=f"{h}_half") for h in ("chosen", "other"))
    assert chosen["position"].to_list() == other["position"].to_list() == ["answer"]
    assert chosen["n_conditions"][0] + other["n_conditions"][0] == 23


def test_constant_scores_are_null_with_a_reason() -> None:
    flat = correlation(runs().with_columns(value=pl.lit(0.5)), draws=50)
    assert flat["spearman"].null_count() == flat.height
    assert set(flat["reason"]) == {"score is constant"}
    still = correlation(runs().with_columns(acc_x=pl.lit(0.5)), draws=50)
    assert set(still["reason"]) == {"acc_x is constant"}
    few = correlation(runs(6), draws=50, leaky=True).filter(reading="family", family="B")
    assert set(few["reason"]) == {"fewer than 3 runs with both values"}
    trivial = correlation(runs().with_columns(value=pl.lit(None, pl.Float64)), draws=50)
    assert trivial["n"].max() == 0


def test_adjusted_coefficient() -> None:
    generator = np.random.default_rng(0)
    score, other = generator.normal(size=(2, 400))
    right = generator.random(400) < 1 / (1 + np.exp(-(1.2 * score + other)))
    facts = [f"f{i // 2}" for i in range(400)]
    found = adjusted(score, right, other[:, None], facts, draws=100)
    assert found.lo < 1.2 < found.hi
    assert found.lo > 0.5
    assert found.delta_auc > 0.05
    noise = adjusted(generator.normal(size=400), right, other[:, None], facts, draws=100)
    assert noise.lo < 0 < noise.hi
    assert abs(noise.delta_auc) < 0.02


N = 240


def model(ckpts=3, languages=("a", "b"), shared=1.0, seed=0, n=N, layers=(0, 8)):
    """States whose closeness says who is right in b, in two places, one of them noise."""
    generator = np.random.default_rng(seed)
    n_l = len(languages)
    facts = LinkFacts(
        [f"f{i}" for i in range(n)],
        [f"r{i % 6}" for i in range(n)],
        np.arange(n) // 6 % 10,
        np.zeros((n, n_l, n_l), dtype=bool),
    )
    items, answers = [], []
    for ckpt in [*range(ckpts), "fresh:1"]:
        close = generator.random(n)
        states = generator.normal(size=(n, n_l, 2, 1, 12))
        if ckpt != "fresh:1":
            states[:, 1:, 1] += 4 * shared * close[:, None, None, None] * states[:, :1, 1]
            for k, lang in enumerate(languages):
                right = generator.random(n) < (0.9 if k == 0 else close)
                answers.append(
                    pl.DataFrame(
                        {"model": "m", "ckpt_id": str(ckpt), "fact_id": facts.fact_ids,
                         "lang": lang, "right": right}
                    )
                )  # fmt: skip
        items.append(
            link_items(
                states[:, :, 2 - len(layers) :],
                facts,
                model="m",
                ckpt_id=str(ckpt),
                languages=languages,
                layers=layers,
                positions=["subject_last"],
                step=None if ckpt == "fresh:1" else 10 * ckpt,
            )
        )
    return pl.concat(items), pl.concat(answers), facts


@pytest.fixture(scope="module")
def linked():
    items, answers, _ = model()
    generator = np.random.default_rng(1)
    covariates = [
        pl.DataFrame(
            {
                "fact_id": [f"f{i}" for i in range(N)] * 2,
                "lang_a": ["a"] * N + ["b"] * N,
                "lang_b": ["b"] * N + ["a"] * N,
                "length": generator.normal(size=2 * N),
                "same_script": [True] * (2 * N),
            }
        )
    ]
    return link(items, answers, covariates, draws=100)


def test_item_level_is_chosen_on_one_half_and_reported_on_the_other(linked) -> None:
    rows = linked.filter(level="item", control="none", lang_a="a", selected_on="other_half")
    assert rows["layer"].unique().to_list() == [8]
    assert rows["n"].to_list() == [N // 2] * 3
    assert (rows["auc"] > 0.6).all()
    assert (rows["lo"] > 0.5).sum() >= 2
    assert (rows["coef"] > 0).all()
    assert set(rows["given"]) == {"length"}
    every = linked.filter(level="item", selected_on="none", lang_a="a")
    assert every.height == 6
    assert every["lo"].null_count() == 6
    noise = every.filter(layer=0)
    assert noise["auc"].mean() == pytest.approx(0.5, abs=0.08)
    assert every.filter(layer=8)["u_corrected"].min() > 0.3
    together = linked.filter(lang_a="all", level="item", control="none", selected_on="other_half")
    assert together.height == 3


def test_negative_controls_hold_a_half(linked) -> None:
    rows = linked.filter(level="item", lang_a="a", selected_on="other_half")
    # What relations differ in stays: outcomes are exchanged within them.
    permuted = rows.filter(control="permuted_accuracy")
    assert permuted["auc"].to_list() == pytest.approx([0.5] * 3, abs=0.05)
    assert (permuted["lo"] < 0.5).all()
    assert (permuted["hi"] > 0.5).all()
    for control in ("shuffled_pairs", "fresh_init"):
        assert rows.filter(control=control)["auc"].mean() == pytest.approx(0.5, abs=0.1)


def test_too_little_is_null_with_a_reason() -> None:
    items, answers, _ = model(1)
    rare = answers.with_columns(
        right=pl.when(pl.col("lang") == "a").then(pl.lit(True)).otherwise(pl.lit(False))
    )
    table = link(items, rare, draws=0)
    assert table["auc"].null_count() == table.height
    assert "fewer than 10 of each outcome" in set(table["reason"])
    assert "fewer than 30 facts known in lang_a" in set(table["reason"])
    assert table.filter(level="pair")["reason"][0] == "fewer than 8 pairs of languages"
    assert set(table.filter(level="time")["reason"]) == {
        "fewer than 8 intervals between checkpoints"
    }
    unfresh = link(items.filter(~pl.col("ckpt_id").str.starts_with("fresh")), answers, draws=0)
    rows = unfresh.filter(control="fresh_init", lang_a="a")
    assert set(rows["reason"]) == {"no fresh initialisation"}
    assert unfresh["u_corrected"].null_count() == unfresh.height


def test_pairs_and_time() -> None:
    languages = [f"l{k}" for k in range(5)]
    items, answers, _ = model(10, languages, n=84, layers=(8,))
    table = link(items, answers, draws=20)
    pairs = table.filter(level="pair", score="u_corrected")
    assert pairs["n"].to_list() == [10] * 10
    assert pairs["reason"].null_count() == 10
    assert pairs.select((pl.col("lo") <= pl.col("spearman")).all()).item()
    time = table.filter(level="time")
    assert set(time["score"]) == {"differences", "lead"}
    assert time["n"].unique().to_list() == [9]
    assert time["spearman"].null_count() == 0


def test_overlaps_can_be_the_score() -> None:
    items, answers, _ = model(1, shared=3.0)
    table = link(items, answers, score="neighbours", draws=0)
    assert set(table.filter(level="item")["score"]) == {"neighbours"}
    assert "shuffled_pairs" not in set(table["control"])
    assert items.filter(layer=8, ckpt_id="0")["neighbours_i"].mean() > 0.05
    assert items.filter(layer=0, ckpt_id="0")["neighbours_i"].mean() == pytest.approx(0, abs=0.01)


def test_identical_facts_are_a_stratum_of_their_own() -> None:
    generator = np.random.default_rng(0)
    identical = np.zeros((40, 2, 2), dtype=bool)
    identical[:10] = True
    facts = LinkFacts([f"f{i}" for i in range(40)], ["r"] * 40, np.arange(40), identical)
    states = generator.normal(size=(40, 2, 1, 1, 4))
    states[39] = np.nan
    table = link_items(
        states, facts, model="m", ckpt_id="c", languages=["a", "b"], layers=[3],
        positions=["prompt_end"],
    )  # fmt: skip
    assert table.height == 39
    assert table.group_by("stratum").len().sort("stratum")["len"].to_list() == [10, 29]
    unit = states[:39, 0, 0, 0] / np.linalg.norm(states[:39, 0, 0, 0], axis=1, keepdims=True)
    cosines = unit @ unit.T
    within = dict(table.select("fact_id", "within_i_a").iter_rows())
    among = [j for j in range(10, 39) if j != 12]
    assert within["f12"] == pytest.approx(cosines[12, among].mean())
    assert within["f3"] == pytest.approx(np.delete(cosines[3], 3).mean())


def test_parts_give_the_table_of_the_whole() -> None:
    items, answers, _ = model(3)
    parts = [items.filter(ckpt_id=name) for name in ("fresh:1", "0", "1", "2")]
    whole = link(items, answers, draws=20)
    assert link(lambda: iter(parts), answers, draws=20).equals(whole)
    assert link(lambda: iter(parts[:1]), answers).height == 0


def test_covariates_of_a_direction() -> None:
    prompts = pl.DataFrame(
        {
            "ckpt_id": ["c"] * 3,
            "fact_id": ["f"] * 3,
            "relation": ["r"] * 3,
            "lang": ["en", "de", "ja"],
            "subject": ["Munich", "Munchen", "ミュンヘン"],
            "prompt": ["Munich is in", "Munchen liegt in", "ミュンヘンは"],
            "n_tokens": [6, 9, 12],
        }
    )
    answers = pl.DataFrame(
        {"model": ["m"] * 4, "ckpt_id": ["c"] * 4, "fact_id": ["f", "f", "f", "f"],
         "lang": ["en", "de", "ja", "ru"], "right": [True, False, None, True]}
    )  # fmt: skip
    exposure = pl.DataFrame(
        {"ckpt_id": ["c"], "fact_id": ["f"], "lang": ["en"], "exposure": [99.0]}
    )
    strings, lengths, accuracy, known, asked = link_covariates(prompts, answers, exposure)
    found = {(a, b): (s, x) for _, a, b, s, x in strings.iter_rows()}
    assert found["en", "de"] == (1, pytest.approx(1 - 3 / 7))
    assert found["ja", "en"][0] == 0
    per_word = dict(lengths.select("lang_b", "tokens_per_word").iter_rows())
    assert per_word == {"en": 2, "de": 3, "ja": 2}
    assert dict(accuracy.select("lang_a", "source_accuracy").iter_rows()) == {
        "en": 1, "de": 0, "ru": 1
    }  # fmt: skip
    assert known.row(0) == ("c", "f", "en", pytest.approx(2))
    assert asked.columns == ["ckpt_id", "fact_id", "lang_b", "log_exposure_b"]
