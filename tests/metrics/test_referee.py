"""Labels against a truth that is known: hand-made cells, planted rates, planted losses (T16)."""

import numpy as np
import polars as pl
import pytest

from polylore import metrics
from polylore.metrics import cluster_draws
from polylore.metrics import pathways as ways
from polylore.metrics.referee.clusters import Clusters
from polylore.metrics.referee.counterfactual import comparison, counterfactual
from polylore.metrics.referee.paper import paper_cells
from polylore.metrics.referee.rates import true_rates
from polylore.metrics.referee.scores import average_precision, judged, score
from polylore.metrics.referee.truth import truth

CHECKPOINTS = pl.DataFrame({"ckpt_id": ["c1"], "step": [10], "tokens": [100]})
EVIDENCE = {"e_freq": 0.0, "e_transfer": 0.0, "e_copy": 0.0, "e_guess": 0.0}


def facts(rows: list[tuple[str, str, str, str]]) -> pl.DataFrame:
    columns = ["fact_id", "lang", "subject", "object"]
    return pl.DataFrame(rows, schema=columns, orient="row").with_columns(
        relation=pl.lit("r"), aliases=pl.lit([], dtype=pl.List(pl.String))
    )


def grades(rows: list[tuple[str, str, bool | None]]) -> pl.DataFrame:
    return pl.DataFrame(
        rows, schema={"fact_id": pl.String, "lang": pl.String, "y": pl.Boolean}, orient="row"
    ).with_columns(ckpt_id=pl.lit("c1"), relation=pl.lit("r"), matcher=pl.lit("default"))


def exposure(rows: list[tuple[str, str, float]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["fact_id", "lang", "exposure"], orient="row").with_columns(
        ckpt_id=pl.lit("c1"), exposure_kind=pl.lit("exact")
    )


def design(cells: pl.DataFrame, **columns) -> pl.DataFrame:
    values = {"condition": "both", "group": "A", "surface": "disjoint", "dose": 1} | columns
    return cells.select("fact_id", "lang", relation=pl.lit("r")).with_columns(
        **{
            name: value if isinstance(value, pl.Expr) else pl.lit(value)
            for name, value in values.items()
        }
    )


TRUTHS = [
    # right, E_l, E_pivot, object in xx, truth
    (False, 9, 9, "x", "unknown"),
    (True, 1, 0, "x", "known-by-frequency"),
    (True, 1, 9, "o", "known-by-frequency"),
    (True, 0, 1, "x", "transfer-candidate"),
    (True, 0, 1, "o", "copied-string"),
    (True, 0, 0, "x", "guess"),
    (None, 0, 1, "x", None),
]


def test_truth_follows_the_design() -> None:
    names = [f"f{i}" for i in range(len(TRUTHS))]
    table = facts(
        [(f, "en", f"s{f}", "o") for f in names]
        + [(f, "xx", f"z{f}", row[3]) for f, row in zip(names, TRUTHS, strict=True)]
    )
    answers = grades([(f, "xx", row[0]) for f, row in zip(names, TRUTHS, strict=True)])
    read = exposure(
        [(f, "xx", row[1]) for f, row in zip(names, TRUTHS, strict=True)]
        + [(f, "en", row[2]) for f, row in zip(names, TRUTHS, strict=True)]
    )
    found = truth(answers, table, read, design(table), pivot="en")
    assert found["truth"].to_list() == [row[4] for row in TRUTHS]


def test_answer_in_subject_is_a_copy_and_a_third_language_is_no_donor() -> None:
    table = facts([("a", "en", "s", "o"), ("a", "xx", "o of z", "o of"), ("a", "yy", "q", "w")])
    answers = grades([("a", "xx", True), ("a", "yy", True)])
    inside = exposure([("a", "en", 1.0), ("a", "xx", 0.0), ("a", "yy", 0.0)])
    found = truth(answers, table, inside, design(table), pivot="en")
    assert found["truth"].to_list() == ["copied-string", "transfer-candidate"]
    other = exposure([("a", "en", 0.0), ("a", "xx", 3.0), ("a", "yy", 0.0)])
    found = truth(answers, table, other, design(table), pivot="en")
    assert found["truth"].to_list() == ["known-by-frequency", None]
    found = truth(answers, table, other, design(table), pivot="en", donors="all")
    assert found["truth"].to_list()[1] == "transfer-candidate"
    assert found["e_donor"].to_list()[1] == 3


def planted_truth(n: int = 40) -> pl.DataFrame:
    """acc .40 of facts told in the pivot alone, .10 of facts told nowhere."""
    rows = [(f"p{i}", "pivot_only", i < 0.4 * n) for i in range(n)]
    rows += [(f"n{i}", "none", i < 0.1 * n) for i in range(n)]
    return pl.DataFrame(rows, schema=["fact_id", "condition", "y"], orient="row").with_columns(
        seed=pl.lit(0, pl.Int64),
        ckpt_id=pl.lit("c1"),
        lang=pl.lit("xx"),
        matcher=pl.lit("default"),
        relation=pl.lit("r"),
        surface=pl.lit("disjoint"),
    )


def estimate(t: float, lo: float, hi: float) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "seed": [0], "ckpt_id": ["c1"], "lang": ["xx"], "matcher": ["default"],
            "info_level": ["L3"], "t": [t], "t_lo": [lo], "t_hi": [hi],
        }
    )  # fmt: skip


def test_true_rate() -> None:
    t16 = planted_truth()
    clusters = Clusters.of(t16, cluster_draws(t16, n=200, seed=1))
    row = true_rates(t16, estimate(0.3, 0.2, 0.4), CHECKPOINTS, clusters, pivot="en").row(
        0, named=True
    )
    assert row["true_rate"] == pytest.approx(1 / 3)
    assert row["guess_contamination"] == pytest.approx(0.25)
    assert row["error"] == pytest.approx(0.3 - 1 / 3)
    assert row["covered"] is True
    assert row["true_rate_lo"] < 1 / 3 < row["true_rate_hi"]
    far = true_rates(t16, estimate(0.1, 0.0, 0.2), CHECKPOINTS, clusters, pivot="en")
    assert far["covered"].to_list() == [False]


def test_true_rate_weighs_relations_alike() -> None:
    # In relation a guessing is easy (acc none 1/2) and told facts are few; b is the reverse.
    cells = planted_truth(20).with_columns(
        relation=pl.when(pl.col("fact_id").str.slice(1).cast(pl.Int64) % 4 == 0)
        .then(pl.lit("a"))
        .otherwise(pl.lit("b"))
    )
    shape = cells.group_by("relation", "condition").agg(pl.col("y").mean(), pl.len())
    acc = {(r, c): y for r, c, y, _ in shape.iter_rows()}
    size = {(r, c): n for r, c, _, n in shape.iter_rows()}
    more = cells.filter(relation="a", condition="none").with_columns(
        fact_id="x" + pl.col("fact_id"), y=pl.lit(value=True)
    )
    cells = pl.concat([cells, more])
    found = true_rates(cells, estimate(0, 0, 0), CHECKPOINTS, Clusters.of(cells, None), pivot="en")
    a = (acc["a", "none"] * 5 + 5) / 10
    told = size["a", "pivot_only"], size["b", "pivot_only"]
    expected = (a * told[0] + acc["b", "none"] * told[1]) / sum(told)
    assert found["acc_none"][0] == pytest.approx(expected)


def labelled(rows: list[tuple[str, str, bool, float]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Truths and labelled cells from (truth, label, right, evidence for transfer)."""
    frame = pl.DataFrame(
        [(f"f{i}", *row) for i, row in enumerate(rows)],
        schema=["fact_id", "truth", "label", "y", "e"],
        orient="row",
    ).with_columns(
        seed=pl.lit(0, pl.Int64),
        ckpt_id=pl.lit("c1"),
        lang=pl.lit("xx"),
        matcher=pl.lit("default"),
        relation=pl.lit("r"),
    )
    cells = frame.drop("truth").with_columns(
        method=pl.lit("pathways"),
        info_level=pl.lit("L3"),
        **{**{k: pl.lit(v) for k, v in EVIDENCE.items()}, "e_transfer": pl.col("e")},
    )
    return frame.drop("label", "e"), cells.drop("e")


def test_planted_precision_and_recall_are_recovered() -> None:
    transfer, known = "transfer-candidate", "known-by-frequency"
    rows = [(transfer, transfer, True, 0.9)] * 30 + [(known, transfer, True, 0.6)] * 10
    rows += [(transfer, known, True, 0.3)] * 20 + [(known, known, True, 0.1)] * 40
    rows += [("unknown", "unknown", False, 0.0)] * 25
    truths, cells = labelled(rows)
    draws = cluster_draws(truths, n=300, seed=0)
    made = score(judged(truths, cells, "en"), CHECKPOINTS, Clusters.of(truths, draws))
    row = made.scores.filter(lang="xx", label=transfer).row(0, named=True)
    assert (row["n"], row["n_right"], row["n_truth"], row["n_label"]) == (125, 100, 50, 40)
    assert row["precision"] == pytest.approx(0.75)
    assert row["recall"] == pytest.approx(0.6)
    assert row["f1"] == pytest.approx(2 / 3)
    # Of 50 x 50 pairs, only (20 missed) x (10 false) are in the wrong order.
    assert row["auc"] == pytest.approx(1 - 200 / 2500)
    assert row["auc_all_cells"] > row["auc"]
    assert row["precision_lo"] < 0.75 < row["precision_hi"]
    assert row["brier"] == pytest.approx((30 * 0.01 + 10 * 0.36 + 20 * 0.49 + 40 * 0.01) / 100)
    guess = made.scores.filter(lang="xx", label="guess").row(0, named=True)
    assert guess["precision"] is guess["recall"] is guess["auc"] is None
    assert guess["reason"] == "nowhere the truth"
    macro = made.scores.filter(lang="macro", label=transfer).row(0, named=True)
    assert macro["precision"] == pytest.approx(0.75)
    counts = made.confusion.filter(lang="xx", truth=known, label=transfer)["n"].to_list()
    assert counts == [10]
    assert made.confusion.filter(lang="xx").height == 25
    bins = made.reliability.filter(lang="xx", bin=9).row(0, named=True)
    assert (bins["n"], bins["truth"], bins["evidence"]) == (30, 1.0, pytest.approx(0.9))


def test_average_precision_by_hand() -> None:
    # Order of evidence: hit, miss, (hit and miss at once), miss.
    evidence = np.array([0.9, 0.8, 0.5, 0.5, 0.1])
    positive = np.array([True, False, True, False, False])
    value = average_precision(evidence, positive, np.ones((5, 1)))[0]
    assert value == pytest.approx((1 + 2 / 4) / 2)


def test_paper_classes_become_labels() -> None:
    cells = pl.DataFrame(
        {
            "fact_id": ["a", "b", "c", "d", "e"],
            "paper_class": ["TP", "FN", "FP", "TN", None],
            "E_l": [9.0, 3.0, 9.0, 0.0, None],
        }
    )
    found = paper_cells(cells)
    assert found["label"].to_list() == [
        "known-by-frequency", "transfer-candidate", "unknown", "unknown"
    ]  # fmt: skip
    assert found["e_transfer"].to_list() == [0.1, 0.25, 0.1, 1.0]


def arms(seeds: tuple[int, ...] = (0,)) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """T16: treated lost 24 of 60 (15 of 20 labelled), untouched lost 8 of 60 (5 of 20)."""
    rows = []
    for group, lost_labelled, lost_others in (("A", 15, 9), ("B", 5, 3)):
        for i in range(60):
            mine = i < 20
            lost = i < lost_labelled if mine else i - 20 < lost_others
            rows.append((f"{group}{i}", group, mine, lost))
    frame = pl.DataFrame(rows, schema=["fact_id", "group", "mine", "lost"], orient="row")
    shared = frame.join(pl.DataFrame({"seed": seeds}, schema={"seed": pl.Int64}), how="cross")
    shared = shared.with_columns(
        ckpt_id=pl.lit("c1"), lang=pl.lit("xx"), matcher=pl.lit("default"), relation=pl.lit("r")
    )
    truths = shared.with_columns(
        y=pl.lit(value=True), condition=pl.lit("both"), surface=pl.lit("disjoint"), dose=pl.lit(4)
    )
    removed = shared.with_columns(y=~pl.col("lost"), arm=pl.lit("A"))
    label = pl.when("mine").then(pl.lit("transfer-candidate")).otherwise(pl.lit("guess"))
    cells = shared.with_columns(
        label=label,
        e_transfer=pl.when("mine").then(0.9).otherwise(0.1),
        method=pl.lit("pathways"),
        info_level=pl.lit("L3"),
        truth=label,
        y=pl.lit(value=True),
    )
    return truths, removed, cells


def told(truths: pl.DataFrame) -> pl.DataFrame:
    whole = truths.unique("fact_id").select("fact_id", "relation", "group")
    return whole.with_columns(
        lang=pl.lit("en"), condition=pl.lit("both"), surface=pl.lit(None, pl.String), dose=pl.lit(8)
    )


def test_causal_precision_and_recall_by_hand() -> None:
    truths, removed, cells = arms()
    compared = comparison(truths, removed, told(truths), "en")
    clusters = Clusters.of(truths, cluster_draws(truths, n=200, seed=0))
    table = counterfactual(compared, cells, CHECKPOINTS, clusters)
    row = table.filter(arm="A", lang="xx", label="transfer-candidate").row(0, named=True)
    assert (row["n"], row["lost"]) == (20, 15)
    assert (row["n_untouched"], row["lost_untouched"]) == (20, 5)
    assert row["causal_precision"] == pytest.approx(2 / 3)
    assert row["causal_recall"] == pytest.approx(0.625)
    assert row["causal_precision_lo"] < 2 / 3 < row["causal_precision_hi"]
    whole = table.filter(arm="A", lang="xx", label="all", method="pathways").row(0, named=True)
    assert whole["effect"] == pytest.approx(24 / 60 - 8 / 60)
    assert whole["fall_untouched"] == pytest.approx(8 / 60)
    assert whole["auc"] > 0.7
    assert set(table["stratum"]) == {
        "all", "dose:4-15", "pivot_dose:4-15", "surface:disjoint", "condition:both"
    }  # fmt: skip
    no_loss = removed.with_columns(y=pl.lit(value=True))
    table = counterfactual(
        comparison(truths, no_loss, told(truths), "en"), cells, CHECKPOINTS, clusters
    )
    row = table.filter(arm="A", lang="xx", label="transfer-candidate").row(0, named=True)
    assert row["causal_recall"] is None
    assert row["causal_precision"] == 0


def test_several_runs_are_drawn_as_wholes() -> None:
    truths, removed, cells = arms((0, 1, 2))
    # In one run everything is kept: the pooled interval must know that runs differ.
    removed = removed.with_columns(y=pl.when(pl.col("seed") == 2).then(True).otherwise("y"))
    compared = comparison(truths, removed, told(truths), "en")
    draws = cluster_draws(truths, n=300, seed=0)
    table = counterfactual(compared, cells, CHECKPOINTS, Clusters.of(truths, draws, (0, 1, 2)))
    row = table.filter(
        pl.col("seed").is_null() & pl.col("method").is_null(), arm="A", lang="xx", stratum="all"
    ).row(0, named=True)
    assert row["n"] == 180
    assert row["effect"] == pytest.approx((24 / 60 - 8 / 60) * 2 / 3)
    assert row["effect_lo"] < 0.05  # a draw may hold the third run alone
    single = table.filter(
        pl.col("method").is_null(), arm="A", lang="xx", stratum="all", seed=0
    ).row(0, named=True)
    assert single["effect_hi"] - single["effect_lo"] < row["effect_hi"] - row["effect_lo"]


def test_scores_of_the_planted_labels(klar) -> None:
    """T6: labels made by the ordinary pipeline, held against what was planted."""
    seven = ("en", "fr", "ar", "zh", "ru", "ja", "ko")
    facts = klar.facts.filter(pl.col("lang").is_in(seven))
    exposure = klar.exposure.filter(pl.col("lang").is_in(seven))
    null = metrics.null_labels(exposure)
    grades = metrics.planted_labels(exposure, pivot="en")
    rules = ways.PathwayRules("en", curve="pooled")
    strengths = ways.guesses(grades, facts)
    course = ways.Course.of(grades, facts, klar.checkpoints, exposure, strengths, rules)
    cells = ways.pathways([course], klar.checkpoints).cells
    how = (
        pl.when(~pl.col("y"))
        .then(pl.lit("unknown"))
        .when("by_frequency")
        .then(pl.lit("known-by-frequency"))
        .otherwise(pl.lit("transfer-candidate"))
    )
    seed = pl.lit(0, pl.Int64).alias("seed")
    truths = cells.join(
        null.select("fact_id", "lang", by_frequency="y"), on=["fact_id", "lang"]
    ).select("ckpt_id", "fact_id", "relation", "lang", "matcher", "y", seed, truth=how)
    made = [
        frame.with_columns(seed, method=pl.lit(method), info_level=pl.lit("L1"))
        for method, frame in (("pathways", cells), ("paper", paper_cells(cells)))
    ]
    clusters = Clusters.of(facts, metrics.cluster_draws(facts, n=50))
    found = score(judged(truths, pl.concat(made), "en"), klar.checkpoints, clusters)
    rows = {(r["lang"], r["method"], r["label"]): r for r in found.scores.iter_rows(named=True)}
    ours = rows["all", "pathways", "transfer-candidate"]
    assert (ours["tp"], ours["n_truth"], ours["n_label"]) == (1233, 1329, 1610)
    assert ours["precision"] == pytest.approx(0.765839, abs=1e-6)
    assert ours["recall"] == pytest.approx(0.927765, abs=1e-6)
    assert ours["auc"] == pytest.approx(0.914634, abs=1e-5)
    assert ours["auc_lo"] < ours["auc"] < ours["auc_hi"]
    assert ours["auc_all_cells"] > ours["auc"]
    frequency = rows["all", "pathways", "known-by-frequency"]
    assert (frequency["tp"], frequency["n_label"], frequency["n_truth"]) == (245, 268, 928)
    paper = rows["all", "paper", "transfer-candidate"]
    assert paper["n_label"] == 1544
    assert paper["brier"] is None
    guess = rows["all", "pathways", "guess"]
    assert (guess["n_truth"], guess["precision"], guess["recall"]) == (0, None, None)
    macro = rows["macro", "pathways", "transfer-candidate"]
    single = [rows[c, "pathways", "transfer-candidate"]["recall"] for c in seven[1:]]
    assert macro["recall"] == pytest.approx(np.mean(single))
    whole = found.confusion.filter(lang="all", method="pathways")
    assert whole["n"].sum() == 6 * 1197
    hits = whole.filter(truth="transfer-candidate", label="transfer-candidate")
    assert hits["n"].to_list() == [1233]
