"""Golden values of the published data (specification of `trace`: T4 and T5)."""

import numpy as np
import polars as pl
import pytest

from polylore import metrics
from polylore.metrics import pathways as ways
from polylore.metrics.bins import binned_r, paper_edges
from polylore.metrics.logistic import logistic_fit
from polylore.metrics.ranking import auc, pearson, spearman

SEVEN = ("en", "fr", "ar", "zh", "ru", "ja", "ko")


def by_lang(values):
    return dict(zip(SEVEN, values, strict=True))


def test_frequency_counts(klar):
    columns = {lang: klar.f[:, klar.column[lang]] for lang in SEVEN}
    assert by_lang([4, 95, 782, 593, 681, 676, 866]) == {
        k: int((f == 0).sum()) for k, f in columns.items()
    }
    assert by_lang([25193, 274, 0, 1, 0, 0, 0]) == {k: np.median(f) for k, f in columns.items()}
    assert by_lang([9, 228, 1049, 922, 931, 1006, 1109]) == {
        k: int((f < 10).sum()) for k, f in columns.items()
    }
    assert by_lang([1104, 439, 4, 14, 37, 6, 1]) == {
        k: int((f >= 1000).sum()) for k, f in columns.items()
    }
    english = columns.pop("en")
    low = {k: int(((f < 10) & (english >= 1000)).sum()) for k, f in columns.items()}
    assert low == {"fr": 175, "ar": 958, "zh": 829, "ru": 848, "ja": 915, "ko": 1016}
    assert int((columns["fr"] == english).sum()) == 213
    assert int((columns["fr"] > english).sum()) == 44


def test_frequency_statistics(klar):
    golden = klar.golden["reference_stats"]
    for lang, expected in golden["wimbd"].items():
        f = klar.f[:, klar.column[lang]]
        assert (f.max(), f.sum(), np.median(f)) == (
            expected["max"],
            expected["sum"],
            expected["median"],
        )
        assert np.log10(1 + f).mean() == pytest.approx(expected["mean_log10_1p"], abs=1e-6)
    for a, row in golden["pearson_log10_1p_wimbd_matrix"].items():
        for b, expected in row.items():
            x, y = (np.log10(1 + klar.f[:, klar.column[k]]) for k in (a, b))
            assert pearson(x, y) == pytest.approx(expected, abs=1e-6)
    assert (klar.f.size, int((klar.f == 0).sum())) == (14364, 6518)
    assert (klar.f.sum(), klar.f.max()) == (970_247_979, 59_735_284)
    zero = klar.exposure.filter((pl.col("lang") == "en") & (pl.col("exposure") == 0))
    objects = zero.join(klar.facts, on=["fact_id", "lang"])["object"].to_list()
    assert objects == ["Airbus basic"] * 4


def test_published_histogram(klar):
    golden = klar.golden["pseudo_label_analysis"]
    curve = metrics.freq_curve(*klar.tables, klar.exposure, bins="paper")
    pooled = curve.filter(pl.col("lang") == "all").sort("bin")
    assert pooled["n"].to_list() == golden["total_hist"]
    assert (
        pooled["n"].to_list()
        == klar.golden["reference_stats"]["total_hist_30edges_logspace_1_to_maxplus1"]
    )
    assert pooled["right"].to_list() == golden["correct_hist"]
    assert pooled["n"].sum() == 7846
    english = curve.filter(pl.col("lang") == "en")
    empty = english.filter(pl.col("n") == 0)
    assert empty.height
    assert empty["p"].null_count() == empty.height


def test_default_curve_keeps_the_zeros(klar):
    curve = metrics.freq_curve(*klar.tables, klar.exposure).filter(pl.col("lang") == "all")
    zero = curve.filter(pl.col("bin") == -1).row(0, named=True)
    assert (zero["n"], zero["right"]) == (6518, 112)
    assert zero["p"] == pytest.approx(0.017183, abs=1e-6)
    assert curve["n"].sum() == 14364
    assert curve["lo_edge"].to_list()[:5] == [0, 1, 3, 10, 30]


def test_threshold_classifier(klar):
    golden = klar.golden["pseudo_label_analysis"]["classifier"]
    table = metrics.freq_threshold(*klar.tables, klar.exposure, rules=("paper",))
    rows = {row["lang"]: row for row in table.iter_rows(named=True)}
    for lang, expected in golden.items():
        row = rows[lang]
        assert row["t"] == expected["threshold"]
        assert [row[k] for k in ("tp", "fp", "tn", "fn")] == [
            expected[k] for k in ("TP", "FP", "TN", "FN")
        ]
        for key in ("acc", "majority", "auc"):
            assert row[key] == pytest.approx(expected[key], abs=1e-6)
    korean = rows["ko"]
    assert korean["acc"] - korean["majority"] == pytest.approx(0.0008, abs=5e-5)


INF = float("inf")
CROSS_VALIDATED = {
    "en": (1063, 0.888053, 1042, [365, 344, 187, 344, 187], 4006),
    "fr": (948, 0.791980, 633, [417, 461, 327, 329, 671], 324),
    "ar": (1150, 0.960735, 1149, [412, 412, 412, 331, 424], 4),
    "zh": (1103, 0.921470, 1099, [303, 576, 310, 388, 576], 16),
    "ru": (1125, 0.939850, 1097, [95, 110, 251, 251, 251], 12),
    "ja": (1132, 0.945698, 1130, [800, 237, 800, 1439, 237], 6),
    "ko": (1149, 0.959900, 1151, [88124, INF, 88124, 88124, 262], 4),
}


def test_cross_validated_threshold(klar):
    table = metrics.freq_threshold(*klar.tables, klar.exposure, rules=("cv", "youden"))
    rows = {(row["lang"], row["rule"]): row for row in table.iter_rows(named=True)}
    for lang, (hits, accuracy, majority, folds, youden) in CROSS_VALIDATED.items():
        row = rows[lang, "cv"]
        assert row["tp"] + row["tn"] == hits
        assert row["cv_acc"] == pytest.approx(accuracy, abs=1e-6)
        assert round(row["majority"] * row["n"]) == majority
        assert row["fold_thresholds"] == folds
        assert rows[lang, "youden"]["t"] == youden
    assert rows["ko", "cv"]["cv_acc"] < rows["ko", "cv"]["majority"]
    assert np.bincount(klar.index.folds_F).tolist() == [243, 241, 239, 238, 236]


CONSISTENT = {
    "fr": (0.440317, 0.103528, 0.478887, 0.884752),
    "ar": (0.039862, 1.0, 0.046065, 1.0),
    "zh": (0.080886, 0.288293, 0.085413, 0.908163),
    "ru": (0.082517, -0.232050, 0.080614, 0.840000),
    "ja": (0.055511, 0.768001, 0.062380, 0.970149),
    "ko": (0.038211, 0.662963, 0.042226, 0.956522),
}


def test_consistency(klar):
    golden = klar.golden["pseudo_label_analysis"]
    table = metrics.consistency(*klar.tables, pivot="en").filter(pl.col("relation") == "all")
    rows = {row["lang_b"]: row for row in table.iter_rows(named=True)}
    assert set(table["lang_a"]) == {"en"}
    for lang, expected in golden["jaccard_with_en"].items():
        if lang != "en":
            assert rows[lang]["jaccard"] == pytest.approx(expected, abs=1e-6)
    for lang, expected in CONSISTENT.items():
        found = [rows[lang][k] for k in ("j0", "j_norm", "p_b_given_a", "p_a_given_b")]
        assert found == pytest.approx(expected, abs=1e-6)
    forms = dict(
        metrics.consistency_summary(*klar.tables, pivot="en").select("form", "value").iter_rows()
    )
    assert forms["paper"] == pytest.approx(golden["overall_clc_incl_en"], abs=1e-6)
    assert forms["without_pivot"] == pytest.approx(golden["mean_clc_excl_en"], abs=1e-6)
    assert forms["all_pairs"] == pytest.approx(0.123823, abs=1e-6)
    every = metrics.consistency(*klar.tables, pivot="en", pairs="all")
    pairs = every.filter(pl.col("relation") == "all")
    assert pairs.height == 66
    assert pairs["jaccard"].mean() == pytest.approx(0.123823, abs=1e-6)


def test_recall(klar):
    table = metrics.recall(*klar.tables).filter(pl.col("relation") == "all")
    found = dict(table.select("lang", "acc").iter_rows())
    for lang, expected in klar.golden["pseudo_label_analysis"]["acc"].items():
        assert found[lang] == pytest.approx(expected, abs=1e-6)
    assert [round(found[k] * 1197) for k in SEVEN] == [1042, 564, 48, 98, 100, 67, 46]


def test_pooled_correlations(klar):
    golden = klar.golden["pseudo_label_analysis"]
    table = metrics.freq_corr(*klar.tables, klar.exposure).filter(pl.col("lang") == "all")
    rows = {row["subset"]: row for row in table.iter_rows(named=True)}
    everything, positive = rows["all"], rows["positive"]
    assert everything["n"] == 14364
    expected = golden["pearson_log10(1+f)_vs_label_all"]
    assert everything["pearson"] == pytest.approx(expected, abs=1e-6)
    assert everything["pearson"] == pytest.approx(0.781242, abs=1e-6)
    assert everything["spearman"] == pytest.approx(0.660371, abs=1e-6)
    assert everything["auc"] == pytest.approx(0.943151, abs=1e-6)
    assert positive["pearson"] == pytest.approx(0.748484, abs=1e-6)
    expected = golden["pearson_logbincenter_vs_P"]
    assert everything["binned_r"] == pytest.approx(expected, abs=1e-6)
    assert everything["binned_r"] > everything["pearson"]


def test_pooled_values(klar):
    f, y = (
        klar.f.ravel(),
        klar.index.dense(klar.grades, "y", pl.DataFrame({"lang": klar.langs})).ravel(),
    )
    assert int(y.sum()) == 3061
    assert pearson(f, y) == pytest.approx(0.183151, abs=1e-6)
    assert spearman(f, y) == pytest.approx(0.660371, abs=1e-6)
    assert auc(f, y == 1) == pytest.approx(0.943151, abs=1e-6)
    edges = paper_edges(f.max())
    assert binned_r(f, y == 1, edges, empty_as_zero=True) == pytest.approx(0.935351, abs=1e-6)
    design = np.column_stack([np.ones(len(f)), np.log10(1 + f)])
    assert logistic_fit(design, y) == pytest.approx([-4.0002, 1.5014], abs=1e-3)


BASELINE_ONE_CHAR = by_lang([0.334169, 0.335004, 0.551378, 0.301587, 0.360067, 0.319967, 0.304929])


def test_baselines(klar):
    credits = metrics.baseline_credits(klar.facts, n_shot=3)
    table = metrics.baselines(credits).filter(pl.col("relation") == "all")
    found = {row["lang"] + row["baseline"]: row["acc"] for row in table.iter_rows(named=True)}
    for lang in SEVEN:
        assert found[lang + "majority"] == pytest.approx(0.296575, abs=1e-6)
        assert found[lang + "copy_random_demo"] == pytest.approx(0.167609, abs=1e-6)
        assert found[lang + "one_char"] == pytest.approx(BASELINE_ONE_CHAR[lang], abs=1e-6)


def test_surface_counts(klar):
    """T3 after NFC and case folding; the default normalisation gives the same flags there."""
    flags = metrics.surface(klar.facts, "en").group_by("lang").agg(pl.exclude("fact_id").sum())
    rows = {row["lang"]: row for row in flags.iter_rows(named=True)}
    assert [rows[k]["same_object"] for k in SEVEN[1:]] == [415, 0, 1, 17, 1, 1]
    assert [rows[k]["same_pair"] for k in SEVEN[1:]] == [213, 0, 1, 13, 0, 1]
    assert [rows[k]["answer_in_subject"] for k in SEVEN] == [75, 89, 87, 54, 45, 60, 71]
    zero = metrics.surface(klar.facts, "en").filter(pl.col("lang") == "en")
    assert zero["same_object"].null_count() == 1197


def test_lag_without_transfer(klar):
    """T8: English leads everywhere although nothing transfers."""
    steps = list(range(1, 11))
    rows = [
        {"ckpt_id": f"c{c}", "step": c, "tokens": c, "final": False, "suspect": False}
        for c in steps
    ]
    checkpoints = pl.concat(
        [
            klar.checkpoints.drop("ckpt_id", "step", "tokens", "final", "suspect").with_columns(
                **{k: pl.lit(v) for k, v in row.items()}
            )
            for row in rows
        ]
    )
    exposure = pl.concat(
        [
            klar.exposure.with_columns(
                ckpt_id=pl.lit(f"c{c}"), exposure=pl.col("exposure") * c / 10
            )
            for c in steps
        ]
    ).filter(pl.col("lang").is_in(SEVEN))
    grades = metrics.null_labels(exposure)
    right = grades.filter("y").group_by("lang", "ckpt_id").len()
    found = {(lang, ckpt): n for lang, ckpt, n in right.iter_rows()}
    for ckpt, expected in {
        "c1": [814, 344, 39, 45, 51, 32, 21],
        "c5": [997, 487, 53, 69, 73, 59, 32],
        "c10": [1045, 562, 62, 93, 93, 76, 42],
    }.items():
        assert [found[lang, ckpt] for lang in SEVEN] == expected
    lag = metrics.lag(metrics.acquisition(grades, checkpoints), pivot="en", event="first")
    summary = lag.group_by("lang").agg(
        pl.col("lag_steps").mean(),
        *((pl.col("order") == o).sum().alias(o) for o in ("pivot_first", "tie", "language_first")),
    )
    rows = {row["lang"]: row for row in summary.iter_rows(named=True)}
    curve = checkpoints.select("ckpt_id", intercept=pl.lit(-4.0), slope=pl.lit(1.5))
    worlds = metrics.simulated_lag(
        exposure, checkpoints, curve, pivot="en", event="first", n=1000, seed=0
    )
    simulated = {row["lang"]: row for row in worlds.iter_rows(named=True)}
    ranges = {"fr": (0.69, 1.16), "ar": (0.87, 2.46), "zh": (1.42, 2.72), "ru": (0.91, 2.05)}
    ranges |= {"ja": (1.17, 2.76), "ko": (0.32, 2.37)}
    for lang, first, tie, last, mean in (
        ("fr", 190, 273, 51, 1.0506),
        ("ar", 23, 30, 5, 1.1379),
        ("zh", 48, 39, 4, 2.2088),
        ("ru", 39, 38, 5, 1.8415),
        ("ja", 43, 24, 4, 1.9155),
        ("ko", 20, 15, 3, 1.7895),
    ):
        row = rows[lang]
        assert (row["pivot_first"], row["tie"], row["language_first"]) == (first, tie, last)
        assert row["lag_steps"] == pytest.approx(mean, abs=1e-4)
        assert simulated[lang]["lo"] <= mean <= simulated[lang]["hi"]
        assert [simulated[lang][k] for k in ("lo", "hi")] == pytest.approx(ranges[lang], abs=0.15)
    # The same beside curves that were fitted to the answers themselves.
    facts = klar.facts.filter(pl.col("lang").is_in(SEVEN))
    course = ways.Course.of(
        grades,
        facts,
        checkpoints,
        exposure,
        ways.guesses(grades, facts),
        ways.PathwayRules("en", curve="pooled"),
    )
    curves = ways.pathways([course], checkpoints).curves
    table = ways.lag_expected(
        grades, checkpoints, exposure, curves, pivot="en", event="first", n=300
    )
    assert table.height == 6
    for row in table.iter_rows(named=True):
        assert row["observed"] == pytest.approx(rows[row["lang"]]["lag_steps"])
        assert row["difference_lo"] <= 0 <= row["difference_hi"]


def test_uniform_numbers(klar):
    from polylore.metrics.pseudo import uniform

    assert uniform("null", "fr", "3750") == pytest.approx(0.524117, abs=1e-6)
    assert uniform("transfer", "fr", "3750") == pytest.approx(0.380525, abs=1e-6)
