"""Recall, its strata, its baselines and its intervals."""

import numpy as np
import polars as pl
import pytest

from polylore import metrics
from polylore.errors import DataError
from polylore.tables import raw

N = 12
LANGS = ("en", "fr")


@pytest.fixture(scope="module")
def facts(make):
    rows = []
    for lang in LANGS:
        for i in range(N):
            same = i < 4
            rows.append(
                {
                    "fact_id": str(i),
                    "relation": "even" if i % 2 == 0 else "odd",
                    "lang": lang,
                    "subject": f"Subject {i}" if same else f"{lang} subject {i}",
                    "object": f"Object {i // 4}" if same else f"{lang} object {i // 4}",
                    "candidate_ids": list("abcd"),
                    "candidates": list("ABCD"),
                    "gold_pos": 0,
                }
            )
    return make.facts(rows)


@pytest.fixture(scope="module")
def checkpoints(make):
    return make.checkpoints([1, 2])


@pytest.fixture(scope="module")
def grades(make, facts):
    rng = np.random.default_rng(1)
    rows = []
    for step in (1, 2):
        for fact, lang, relation in facts.select("fact_id", "lang", "relation").iter_rows():
            for variant in (0, 1):
                y = bool(rng.random() < 0.3 * step)
                if (fact, lang, variant) == ("3", "fr", 1):
                    y = None
                rows.append(
                    {
                        "ckpt_id": f"c{step}",
                        "fact_id": fact,
                        "lang": lang,
                        "relation": relation,
                        "variant": variant,
                        "y": y,
                    }
                )
    return make.grades(rows)


def pick(table, **keys):
    for key, value in keys.items():
        table = table.filter(pl.col(key) == value)
    assert table.height == 1
    return table.row(0, named=True)


def test_accuracy_is_the_mean_over_facts_of_the_share_of_wordings(grades, facts, checkpoints):
    table = metrics.recall(grades, facts, checkpoints)
    for ckpt in ("c1", "c2"):
        for lang in LANGS:
            own = grades.filter((pl.col("ckpt_id") == ckpt) & (pl.col("lang") == lang))
            shares = own.group_by("fact_id", "relation").agg(pl.col("y").cast(pl.Float64()).mean())
            keys = {"ckpt_id": ckpt, "lang": lang, "stratum": "all"}
            row = pick(table, relation="all", **keys)
            assert row["acc"] == pytest.approx(shares["y"].mean())
            assert (row["n"], row["step"]) == (N, int(ckpt[1:]))
            odd = shares.filter(pl.col("relation") == "odd")["y"].mean()
            assert pick(table, relation="odd", **keys)["acc"] == pytest.approx(odd)
            worded = own.filter(pl.col("variant") == 1)["y"]
            row = pick(table, relation="all", **(keys | {"stratum": "wording:1"}))
            assert row["acc"] == pytest.approx(worded.mean())
            assert row["n"] == worded.len() - worded.null_count()


def test_intervals_equal_a_loop(grades, facts, checkpoints):
    draws = metrics.cluster_draws(facts, n=60, seed=2)
    strata = metrics.strata(facts, pivot="en")
    credits = metrics.baseline_credits(facts, n_shot=1)
    table = metrics.recall(grades, facts, checkpoints, strata=strata, credits=credits, draws=draws)
    ids = draws.index.fact_ids
    for stratum, members in (("all", range(N)), ("same_pair", range(4)), ("neither", range(4, N))):
        row = pick(table, ckpt_id="c2", lang="fr", relation="all", stratum=stratum)
        own = grades.filter((pl.col("ckpt_id") == "c2") & (pl.col("lang") == "fr"))
        shares = dict(
            own.group_by("fact_id").agg(pl.col("y").cast(pl.Float64()).mean()).iter_rows()
        )
        credit = dict(
            credits.filter((pl.col("baseline") == row["baseline_name"]) & (pl.col("lang") == "fr"))
            .select("fact_id", "credit")
            .iter_rows()
        )
        accs, corrected = [], []
        for weights in draws.weights_DF:
            drawn = [i for i, w in zip(ids, weights, strict=True) for _ in range(int(w))]
            drawn = [i for i in drawn if int(i) in members]
            if not drawn:
                continue
            acc = np.mean([shares[i] for i in drawn])
            floor = np.mean([credit[i] for i in drawn])
            accs.append(acc)
            if floor < 1:
                corrected.append((acc - floor) / (1 - floor))
        expected = [*np.percentile(accs, (2.5, 97.5)), *np.percentile(corrected, (2.5, 97.5))]
        assert [row[k] for k in ("lo", "hi", "gc_lo", "gc_hi")] == pytest.approx(expected, abs=1e-5)
        floor = np.mean([credit[str(i)] for i in members])
        assert row["baseline"] == pytest.approx(floor)
        assert row["acc_guess_corrected"] == pytest.approx((row["acc"] - floor) / (1 - floor))


def test_baselines_fit_the_matcher(make, facts, checkpoints):
    rows = [
        {"fact_id": f, "lang": lang, "relation": r, "matcher": m, "y": True}
        for f, lang, r in facts.select("fact_id", "lang", "relation").iter_rows()
        for m in ("default", "paper", "candidates")
    ]
    credits = metrics.baseline_credits(facts, n_shot=3)
    table = metrics.recall(make.grades(rows), facts, checkpoints, credits=credits)
    own = {"lang": "en", "relation": "all", "stratum": "all"}
    # Every relation has three objects with two facts each; all objects begin with "o" or "e".
    assert pick(table, matcher="default", **own)["baseline"] == pytest.approx(1 / 3)
    assert pick(table, matcher="default", **own)["baseline_name"] == "majority"
    assert pick(table, matcher="paper", **own)["baseline_name"] == "one_char"
    assert pick(table, matcher="paper", **own)["baseline"] == pytest.approx(2 / 3)
    assert pick(table, matcher="candidates", **own)["baseline_name"] == "majority"
    without = metrics.recall(make.grades(rows), facts, checkpoints)
    assert without["baseline"].null_count() == without.height
    # A control graded at the checkpoint is a floor too, for its own matcher only.
    free = make.grades([row for row in rows if row["matcher"] == "default"])
    credits = metrics.baseline_credits(facts, controls={"content_free": free})
    table = metrics.recall(make.grades(rows), facts, checkpoints, credits=credits)
    row = pick(table, matcher="default", **own)
    assert (row["baseline_name"], row["acc_guess_corrected"]) == ("content_free", None)
    assert pick(table, matcher="paper", **own)["baseline_name"] == "one_char"
    listed = metrics.baselines(credits)
    row = pick(listed, baseline="content_free", lang="en", relation="all", stratum="all")
    assert (row["ckpt_id"], row["matcher"], row["acc"]) == ("c1", "default", 1.0)
    row = pick(listed, baseline="chance", lang="en", relation="all", stratum="all")
    assert (row["acc"], row["n"], row["ckpt_id"]) == (0.25, N, None)


def test_copying_the_demonstrations_shown(facts):
    prompts = raw.PROMPTS.build(
        [
            {
                "prompt_id": str(i),
                "fact_id": "0",
                "lang": "en",
                "variant": i,
                "n_shot": 2,
                "demo_fact_ids": demos,
                "delimiter": " ",
                "bos": False,
                "text": "",
                "sha256": "",
            }
            for i, demos in enumerate((["2", "4"], ["4", "6"]))
        ]
    )
    credits = metrics.baseline_credits(facts, n_shot=2, prompts=prompts)
    shown = credits.filter(pl.col("baseline") == "copy_demo")
    assert shown.select("fact_id", "credit").rows() == [("0", 0.25)]
    random = credits.filter((pl.col("baseline") == "copy_random_demo") & (pl.col("lang") == "en"))
    assert random["credit"].to_list() == pytest.approx([1 / 5] * N)
    none = metrics.baseline_credits(facts)
    assert "copy_random_demo" not in none["baseline"]


def test_exposure_strata(make, facts, checkpoints, grades):
    cells = facts.filter(pl.col("lang") == "fr")["fact_id"].to_list()
    values = [0, 0, 1, 9, 10, 99, 100, 999, 1000, 5000, 2, 3]
    exposure = pl.DataFrame(
        {
            "ckpt_id": ["c2"] * N,
            "fact_id": cells,
            "relation": "r",
            "lang": "fr",
            "exposure": [float(v) for v in values],
            "exposure_kind": "exact",
        }
    )
    strata = metrics.strata(facts, pivot="en", exposure=exposure)
    table = metrics.recall(grades, facts, checkpoints, strata=strata)
    own = table.filter(
        (pl.col("relation") == "all") & pl.col("stratum").str.starts_with("exposure")
    )
    assert set(own["ckpt_id"]) == {"c2"}
    assert dict(own.select("stratum", "n").iter_rows()) == {
        "exposure:0": 2,
        "exposure:1-9": 4,
        "exposure:10-99": 2,
        "exposure:100-999": 2,
        "exposure:>=1000": 2,
        "exposure_upper_half": 5,
        "exposure_lower_half": 5,
    }


def test_given_strata(facts, checkpoints, grades):
    design = facts.select("fact_id", "lang", stratum=pl.lit("held_out")).filter(
        (pl.col("lang") == "fr") & (pl.col("fact_id") == "1")
    )
    strata = metrics.strata(facts, design=design)
    draws = metrics.cluster_draws(facts, n=20)
    table = metrics.recall(grades, facts, checkpoints, strata=strata, draws=draws)
    row = pick(table, ckpt_id="c1", relation="all", stratum="held_out")
    assert (row["n"], row["lang"]) == (1, "fr")
    assert row["lo"] is None
    assert not table.filter(pl.col("stratum") == "same_object").height
    with pytest.raises(DataError, match="stratum"):
        metrics.strata(facts, design=design.drop("stratum"))


def test_unknown_checkpoint_is_named(make, facts, checkpoints):
    grades = make.grades([{"fact_id": "0", "relation": "even", "ckpt_id": "c9", "y": True}])
    with pytest.raises(DataError, match="c9"):
        metrics.recall(grades, facts, checkpoints)


def test_no_answers_no_rows(make, facts, checkpoints):
    grades = make.grades([{"fact_id": "0", "relation": "even", "y": None}])
    assert metrics.recall(grades, facts, checkpoints).height == 0
    assert metrics.recall(grades.clear(), facts, checkpoints).height == 0
