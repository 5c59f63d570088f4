"""Pathways on labels whose truth is known (specification of `trace`: T6 and T7)."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from polylore import metrics
from polylore.metrics import pathways as ways
from polylore.metrics.logistic import logistic_fit
from polylore.metrics.ranking import auc

SEVEN = ("en", "fr", "ar", "zh", "ru", "ja", "ko")
SIX = SEVEN[1:]
WORLDS = ("null", "planted")


@pytest.fixture(scope="module")
def worlds(klar) -> SimpleNamespace:
    """Both sets of labels, analysed with 1,000 draws."""
    facts = klar.facts.filter(pl.col("lang").is_in(SEVEN))
    exposure = klar.exposure.filter(pl.col("lang").is_in(SEVEN))
    draws = metrics.cluster_draws(facts)
    labels = {
        "null": metrics.null_labels(exposure),
        "planted": metrics.planted_labels(exposure, pivot="en"),
    }

    def analyse(curve: str, draws: metrics.Draws | None) -> ways.Pathways:
        rules = ways.PathwayRules("en", curve=curve)
        courses = [
            ways.Course.of(
                grades,
                facts,
                klar.checkpoints,
                exposure,
                ways.guesses(grades, facts),
                rules,
                draws=draws,
            )
            for grades in labels.values()
        ]
        return ways.pathways(courses, klar.checkpoints, draws=draws)

    return SimpleNamespace(
        facts=facts,
        checkpoints=klar.checkpoints,
        draws=draws,
        labels=labels,
        analyse=analyse,
        found=analyse("pooled", draws),
    )


def rates(found: ways.Pathways, world: str) -> dict[str, dict]:
    rows = found.rates.filter(matcher=world, relation="all")
    return {row["lang"]: row for row in rows.iter_rows(named=True)}


def test_the_curve(worlds):
    rows = worlds.found.curves.filter(form="main")
    assert rows["matcher"].to_list() == list(WORLDS)
    for row in rows.iter_rows(named=True):
        assert (row["n"], row["right"]) == (1893, 1006)
        assert row["intercept"] == pytest.approx(-4.182476, abs=1e-3)
        assert row["slope"] == pytest.approx(1.561335, abs=1e-3)
        assert row["half_exposure"] == pytest.approx(476.29, abs=0.01)
        assert row["slope_lo"] < 1.5 < row["slope_hi"]


T = {
    "null": (0.0430, 0.0134, 0.0090, -0.0017, 0.0126, 0.0054),
    "planted": (0.2912, 0.2638, 0.2435, 0.2416, 0.2584, 0.2535),
}


@pytest.mark.parametrize("world", WORLDS)
def test_transfer_rates(worlds, world):
    rows = rates(worlds.found, world)
    assert [rows[c]["n"] for c in SIX] == [650, 973, 1003, 1009, 999, 990]
    assert rows["all"]["n"] == 5624
    assert [rows[c]["t"] for c in SIX] == pytest.approx(T[world], abs=5e-5)
    pooled = {"null": (0.0106, -0.008, 0.029), "planted": (0.2554, 0.238, 0.273)}[world]
    assert rows["all"]["t"] == pytest.approx(pooled[0], abs=5e-5)
    assert [rows["all"]["t_lo"], rows["all"]["t_hi"]] == pytest.approx(pooled[1:], abs=0.005)


def test_nothing_is_supported_without_transfer(worlds):
    rows = rates(worlds.found, "null")
    for row in rows.values():
        assert row["t_lo"] < 0 < row["t_hi"]
        assert row["supported"] is False
        assert row["claimed"] is False
    widest = max((row["t_hi"] - row["t_lo"], lang) for lang, row in rows.items())
    assert widest[1] == "fr"
    assert [rows["fr"]["t_lo"], rows["fr"]["t_hi"]] == pytest.approx([-0.024, 0.103], abs=0.01)
    cells = worlds.found.cells.filter(matcher="null")
    assert not cells["supported"].any()


def test_planted_transfer_is_found(worlds):
    rows = rates(worlds.found, "planted")
    assert all(row["t_lo"] > 0 and row["supported"] for row in rows.values())
    assert rows["all"]["t_lo"] < 0.25 < rows["all"]["t_hi"]
    # The second curve knows far fewer cells, and agrees.
    assert rows["all"]["t_second_lo"] < 0.25 < rows["all"]["t_second_hi"]
    assert all(row["claimed"] for row in rows.values())


RIGHT = {"null": (562, 62, 93, 93, 76, 42), "planted": (685, 315, 322, 327, 318, 290)}
HARD = {
    "null": [
        (208, 240, 107, 7), (4, 4, 51, 3), (15, 5, 71, 2), (11, 27, 52, 3), (7, 4, 60, 5),
        (0, 2, 36, 4), (245, 282, 377, 24),
    ],
    "planted": [
        (228, 257, 193, 7), (5, 24, 283, 3), (17, 17, 286, 2), (11, 31, 282, 3), (7, 14, 292, 5),
        (0, 12, 274, 4), (268, 355, 1610, 24),
    ],
}  # fmt: skip
PAPER_FN = {
    "null": (100, 48, 68, 53, 56, 40, 365),
    "planted": (105, 294, 288, 272, 297, 288, 1544),
}


@pytest.mark.parametrize("world", WORLDS)
def test_hard_labels(worlds, world):
    rows = worlds.found.composition.filter(matcher=world, relation="all", stratum="all")
    by_lang = {row["lang"]: row for row in rows.iter_rows(named=True)}
    assert [by_lang[c]["right"] for c in SIX] == list(RIGHT[world])
    names = ("n_frequency", "n_copied", "n_transfer", "n_unexplained")
    found = [tuple(by_lang[c][n] for n in names) for c in (*SIX, "all")]
    assert found == HARD[world]
    assert [by_lang[c]["n_paper_fn"] for c in (*SIX, "all")] == list(PAPER_FN[world])
    english = by_lang["en"]
    assert tuple(english[n] for n in names) == (969, 65, 0, 11)
    assert (english["right"], english["n_wrong"]) == (1045, 152)
    assert by_lang["all"]["n_guess"] == 0
    assert worlds.found.cells["g"].max() == pytest.approx(0.483871, abs=1e-6)


def test_labels_are_no_evidence_without_transfer(worlds):
    cells = worlds.found.cells.filter(pl.col("lang") != "en", matcher="null")
    known, unknown = (
        cells.filter(pl.col("k") == k)["y"].cast(pl.Float64()).mean() for k in (True, False)
    )
    assert known - unknown == pytest.approx(0.055064, abs=1e-6)
    apart = worlds.found.composition.filter(
        matcher="null", relation="all", stratum="apart", lang="all"
    ).row(0, named=True)
    assert apart["e_transfer"] == pytest.approx(48.6, abs=0.05)
    assert apart["e_transfer_lo"] == 0
    assert apart["n_transfer"] == 377


def test_shares_find_the_planted_cells(worlds):
    truth = worlds.labels["null"].select("fact_id", "lang", by_frequency="y")
    right = (
        worlds.found.cells.filter(pl.col("lang") != "en", pl.col("y"), matcher="planted")
        .join(truth, on=["fact_id", "lang"])
        .with_columns(brought=~pl.col("by_frequency"))
    )
    assert right["brought"].sum() == 1329
    shares = right.select(pl.sum_horizontal("e_freq", "e_transfer", "e_floor")).to_series()
    assert shares.to_numpy() == pytest.approx(1)
    labelled = right["label"] == "transfer-candidate"
    hits = (labelled & right["brought"]).sum()
    assert hits == 1233
    assert hits / labelled.sum() == pytest.approx(0.765839, abs=1e-6)
    assert hits / right["brought"].sum() == pytest.approx(0.927765, abs=1e-6)
    frequency = right["label"] == "known-by-frequency"
    assert ((frequency & ~right["brought"]).sum(), frequency.sum()) == (245, 268)
    assert (~right["brought"]).sum() == 928
    assert auc(right["e_transfer"].to_numpy(), right["brought"].to_numpy()) == pytest.approx(
        0.914634, abs=1e-5
    )
    apart = right.filter(~pl.col("shared"))
    assert (apart.height, apart["brought"].sum()) == (1835, 1254)
    assert apart["e_transfer"].sum() == pytest.approx(1303.35, abs=0.01)
    assert auc(apart["e_transfer"].to_numpy(), apart["brought"].to_numpy()) == pytest.approx(
        0.873613, abs=1e-5
    )
    assert (apart["label"] == "transfer-candidate").sum() == 1610
    recall = ((apart["label"] == "transfer-candidate") & apart["brought"]).sum() / 1254
    assert recall == pytest.approx(0.983254, abs=1e-6)


def test_a_curve_with_relations_agrees(worlds):
    found = worlds.analyse("relation", None)
    assert rates(found, "null")["all"]["t"] == pytest.approx(0.0124, abs=5e-5)
    assert rates(found, "planted")["all"]["t"] == pytest.approx(0.2567, abs=5e-5)
    assert rates(found, "null")["all"]["supported"] is None  # nothing is, without an interval
    sizes = found.rates.filter(pl.col("relation") != "all")["n"]
    assert sizes.min() >= 30


AUC = {
    "null": (0.898188, 0.898695, 0.897266, 0.898135, 0.897926),
    "planted": (0.664825, 0.666696, 0.667927, 0.668367, 0.699513),
}
LOGLOSS = {"null": (0.209470, 0.211415), "planted": (0.550908, 0.534187)}


@pytest.mark.parametrize("world", WORLDS)
def test_only_planted_donors_help_to_predict(worlds, world):
    """T7."""
    cells = worlds.found.cells.filter(matcher=world)
    fewer = metrics.Draws(worlds.draws.index, worlds.draws.weights_DF[:100])
    ladder = ways.classifier_ladder(
        cells, worlds.facts, worlds.checkpoints, pivot="en", draws=fewer
    )
    assert ladder["model"].to_list() == ["M0", "M1", "M2", "M3", "M4", "M5"]
    assert ladder["auc"][0] == 0.5
    # Pairs of equal scores hang on the last digit of a fit.
    assert ladder["auc"].to_list()[1:] == pytest.approx(AUC[world], abs=2e-6)
    assert [ladder["logloss"][1], ladder["logloss"][5]] == pytest.approx(LOGLOSS[world], abs=2e-6)
    last = ladder.row(5, named=True)
    if world == "planted":
        assert last["delta_auc_lo"] > 0
    else:
        assert last["delta_auc_lo"] < 0 < last["delta_auc_hi"]
        assert last["delta_auc_hi"] < 0.005


@pytest.mark.parametrize(("world", "coefficient"), [("null", -0.106), ("planted", 1.955)])
def test_coefficient_of_the_donor(worlds, world, coefficient):
    cells = worlds.found.cells.filter(pl.col("lang") != "en", matcher=world)

    def dummies(column: str) -> list[np.ndarray]:
        levels = cells[column].unique(maintain_order=True).to_list()
        return [(cells[column] == level).to_numpy().astype(float) for level in levels[1:]]

    design = np.column_stack(
        [
            np.ones(cells.height),
            np.log10(1 + cells["E_l"].to_numpy()),
            *dummies("lang"),
            *dummies("relation"),
            cells["same_object"].cast(pl.Float64()).to_numpy(),
            cells["answer_in_subject"].cast(pl.Float64()).to_numpy(),
            cells["g"].to_numpy(),
            np.log10(1 + cells["E_p"].to_numpy()),
            cells["donor_known"].cast(pl.Float64()).to_numpy(),
        ]
    )
    penalty = np.full(design.shape[1], 1e-3)
    penalty[0] = 0
    y = cells["y"].cast(pl.Float64()).to_numpy()
    assert logistic_fit(design, y, penalty)[-1] == pytest.approx(coefficient, abs=1e-3)
