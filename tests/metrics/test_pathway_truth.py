"""Labels and rates against the truth (specification of `trace`: 4.8, T6 and T16)."""

import numpy as np
import polars as pl
import pytest

from polylore import metrics
from polylore.metrics import pathways as ways
from polylore.tables.pathways import CELLS, TRANSFER_RATE
from polylore.tables.referee import TRUTH

LABEL_ONLY = {"exposure_kind": "exact", "guess_source": "data", "matcher": "default"}


def make_cells(rows: list[dict]) -> pl.DataFrame:
    defaults = {"ckpt_id": "c1", "relation": "r", "shared": False, "why": "donor", **LABEL_ONLY}
    return CELLS.build([defaults | row for row in rows])


def exposures(rows: list[tuple[str, str, float]]) -> pl.DataFrame:
    schema = {"fact_id": pl.String(), "lang": pl.String(), "exposure": pl.Float64()}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return frame.with_columns(ckpt_id=pl.lit("c1"), exposure_kind=pl.lit("exact"))


def test_truth_is_what_was_read():
    read = {"f1": (5, 2), "f2": (5, 0), "f3": (5, 0), "f4": (0, 0), "f5": (5, 2), "f6": (0, 3)}
    exposure = exposures(
        [
            (f, lang, e)
            for f, both in read.items()
            for lang, e in zip(("en", "fr"), both, strict=True)
        ]
    )
    cells = make_cells(
        [
            {"fact_id": f, "lang": "fr", "y": y, "shared": f == "f3", "label": "unknown"}
            for f, y in zip(read, (True, True, True, True, False, None), strict=True)
        ]
        + [{"fact_id": "f6", "lang": "en", "y": True, "label": "unknown"}]
    )
    truth = ways.truth_labels(cells, exposure)
    assert dict(truth.select("fact_id", "truth").filter(pl.col("fact_id") < "f6").iter_rows()) == {
        "f1": "known-by-frequency",
        "f2": "transfer-candidate",
        "f3": "copied-string",
        "f4": "guess",
        "f5": "unknown",
    }
    # Read in another language only; and a missing answer has no truth.
    assert truth.filter(fact_id="f6").select("lang", "truth").rows() == [
        ("en", "transfer-candidate")
    ]
    labels = cells.with_columns(label=pl.lit("guess"))
    assert ways.truth_labels(labels, exposure).equals(truth)  # blind to the labels


def held_out(right_given: int, right_none: int, per_group: int = 50) -> tuple:
    """Facts read in the pivot only, and facts never read."""
    rows, read = [], []
    for group, right in (("given", right_given), ("none", right_none)):
        for i in range(per_group):
            fact = f"{group}{i:02d}"
            rows.append({"fact_id": fact, "lang": "fr", "y": i < right, "label": "unknown"})
            read += [(fact, "en", 8.0 if group == "given" else 0.0), (fact, "fr", 0.0)]
    return make_cells(rows), exposures(read)


def test_true_rate(make):
    """T16: .40 and .10 give a third."""
    cells, exposure = held_out(20, 5)
    rates = TRANSFER_RATE.build(
        [
            {
                "ckpt_id": "c1",
                "matcher": "default",
                "lang": "fr",
                "relation": "all",
                "n": 50,
                "right": 20,
                "t": 0.3,
                "t_lo": 0.1,
                "t_hi": 0.5,
            }
        ]
    )
    draws = metrics.cluster_draws(cells, n=200)
    table = ways.true_rate(cells, exposure, rates, make.checkpoints([1]), pivot="en", draws=draws)
    row = table.filter(lang="fr").row(0, named=True)
    assert (row["n_pivot_only"], row["n_none"]) == (50, 50)
    assert (row["acc_pivot_only"], row["acc_none"]) == (0.4, 0.1)
    assert row["rate"] == pytest.approx(1 / 3, abs=1e-6)
    assert row["rate_lo"] < 1 / 3 < row["rate_hi"]
    assert row["guess_share"] == pytest.approx(0.25)
    assert row["difference"] == pytest.approx(0.3 - 1 / 3)
    assert row["held"] is True
    nothing = ways.true_rate(
        cells.filter(pl.col("fact_id") < "h"), exposure, rates, make.checkpoints([1]), pivot="en"
    ).row(0, named=True)
    assert nothing["rate"] is None
    assert "never read" in nothing["reason"]


def test_true_rate_compares_within_relations(make):
    """An easy relation that has no never-read facts must not make a transfer."""
    cells, exposure = held_out(5, 5)
    easy = make_cells(
        [
            {
                "fact_id": f"easy{i:02d}",
                "lang": "fr",
                "y": True,
                "relation": "s",
                "label": "unknown",
            }
            for i in range(20)
        ]
    )
    read = [(f"easy{i:02d}", lang, e) for i in range(20) for lang, e in (("en", 8.0), ("fr", 0.0))]
    table = ways.true_rate(
        pl.concat([cells, easy]),
        pl.concat([exposure, exposures(read)]),
        TRANSFER_RATE.empty(),
        make.checkpoints([1]),
        pivot="en",
    )
    assert table["rate"].to_list() == [0, 0]
    assert table["n_pivot_only"].to_list() == [50, 50]


def twin(cells: pl.DataFrame, lost: set[str], make) -> pl.DataFrame:
    return make.grades(
        [
            {"fact_id": r["fact_id"], "lang": "fr", "y": bool(r["y"]) and r["fact_id"] not in lost}
            for r in cells.iter_rows(named=True)
        ]
    )


def test_causal_precision_and_recall(make):
    """T16: 15 of 20 against 5 of 20, and 24 of 60 against 8 of 60."""
    rows, lost, treated = [], set(), set()
    for group, lost_labelled, lost_all in (("a", 15, 24), ("b", 5, 8)):
        for i in range(60):
            fact = f"{group}{i:02d}"
            label = "transfer-candidate" if i < 20 else "known-by-frequency"
            rows.append(
                {"fact_id": fact, "lang": "fr", "y": True, "label": label,
                 "e_transfer": 0.8 if i < 20 else 0.1}
            )  # fmt: skip
            if i < lost_labelled or 20 <= i < 20 + lost_all - lost_labelled:
                lost.add(fact)
            if group == "a":
                treated.add(fact)
    rows.append({"fact_id": "c", "lang": "fr", "y": False, "label": "unknown"})
    cells = make_cells(rows)
    draws = metrics.cluster_draws(cells, n=100)
    table = ways.counterfactual(
        cells,
        twin(cells, lost, make),
        treated,
        make.checkpoints([1]),
        pivot="en",
        arm="A",
        seed=0,
        draws=draws,
    ).filter(lang="fr")
    by_label = {row["label"]: row for row in table.iter_rows(named=True)}
    found = by_label["transfer-candidate"]
    assert (found["lost_treated"], found["n_treated"]) == (15, 20)
    assert (found["lost_untouched"], found["n_untouched"]) == (5, 20)
    assert found["causal_precision"] == pytest.approx(2 / 3, abs=1e-6)
    assert found["causal_precision_lo"] < 2 / 3 < found["causal_precision_hi"]
    assert found["causal_recall"] == pytest.approx(0.625)
    assert by_label["guess"]["causal_precision"] is None
    whole = by_label["all"]
    assert whole["effect"] == pytest.approx(24 / 60 - 8 / 61)
    assert whole["auc"] > whole["auc_untouched"] > 0.5
    assert whole["effect_lo"] < whole["effect"] < whole["effect_hi"]
    same = ways.counterfactual(
        cells, twin(cells, set(), make), treated, make.checkpoints([1]), pivot="en", arm="A", seed=0
    )
    assert same.filter(label="transfer-candidate")["causal_recall"].null_count() == 2
    assert same.filter(label="all")["effect"].to_list() == [0, 0]


def test_scores_of_the_planted_labels(klar):
    """T6 by way of the referee: what was planted is the truth."""
    seven = ("en", "fr", "ar", "zh", "ru", "ja", "ko")
    facts = klar.facts.filter(pl.col("lang").is_in(seven))
    exposure = klar.exposure.filter(pl.col("lang").is_in(seven))
    null = metrics.null_labels(exposure)
    grades = metrics.planted_labels(exposure, pivot="en")
    course = ways.Course.of(
        grades,
        facts,
        klar.checkpoints,
        exposure,
        ways.guesses(grades, facts),
        ways.PathwayRules("en", curve="pooled"),
    )
    cells = ways.pathways([course], klar.checkpoints).cells
    by_frequency = null.select("fact_id", "lang", _freq="y")
    named = cells.join(by_frequency, on=["fact_id", "lang"])
    how = (
        pl.when(~pl.col("y"))
        .then(pl.lit("unknown"))
        .when("_freq")
        .then(pl.lit("known-by-frequency"))
        .otherwise(pl.lit("transfer-candidate"))
    )
    truth = TRUTH.validate(
        named.select(
            "ckpt_id", "step", "tokens", "fact_id", "relation", "lang", "matcher", truth=how
        )
    )
    draws = metrics.cluster_draws(facts, n=50)
    table = ways.score_against_truth(
        cells, truth, klar.checkpoints, pivot="en", run="planted", info_level="L1", draws=draws
    )
    rows = {(r["lang"], r["method"], r["label"]): r for r in table.iter_rows(named=True)}
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
    assert paper["precision"] < 1
    assert paper["brier"] is None
    guess = rows["all", "pathways", "guess"]
    assert (guess["n_truth"], guess["precision"], guess["recall"]) == (0, None, None)
    macro = rows["macro", "pathways", "transfer-candidate"]
    single = [rows[c, "pathways", "transfer-candidate"]["recall"] for c in seven[1:]]
    assert macro["recall"] == pytest.approx(np.mean(single))
    counted = ways.confusion(cells, truth, pivot="en")
    assert counted["n"].sum() == 6 * 1197
    hits = counted.filter(truth="transfer-candidate", label="transfer-candidate")
    assert hits["n"].to_list() == [1233]
