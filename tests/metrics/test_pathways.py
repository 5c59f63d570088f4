"""Pathways: rules, fits, and what they say where the truth is known (`trace`, 2.4 and 2.5)."""

from itertools import product
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from polylore import metrics
from polylore.errors import ConfigError, DataError
from polylore.metrics import pathways as ways
from polylore.metrics.logistic import logistic_fit
from polylore.metrics.pathways.labels import LabelInputs
from polylore.metrics.pathways.shuffle import alike_groups, exchange
from polylore.metrics.ranking import auc
from polylore.metrics.weighted_logistic import Design, fit
from polylore.tables.raw import CANDIDATE_SCORES
from polylore.text.similarity import edit_distance, similarity

LANGS = ("en", "fr", "ru", "zh")
RULES = ways.PathwayRules("en", string_level=False)


def label(
    y, p, g, same_pair, same_object, in_subject, donor, *, foreign=True, string_level=True
) -> tuple[str, str]:
    one = {
        "y": y,
        "p": p,
        "g": g,
        "guess_why": "prior",
        "same_pair": bool(same_pair),
        "same_object": bool(same_object),
        "answer_in_subject": bool(in_subject),
        "alike": bool(same_object),
        "foreign": foreign,
        "donor": bool(donor),
    }
    cells = LabelInputs(**{k: np.array([v]) for k, v in one.items()})
    names, whys = ways.hard_labels(cells, string_level=string_level)
    return str(names[0]), str(whys[0])


def test_hard_labels():
    """T15."""
    assert label(0, 0.9, 0.9, 1, 1, 1, 1) == ("unknown", "wrong")
    assert label(1, 0.9, 0.1, 0, 0, 0, 1) == ("known-by-frequency", "exposure")
    assert label(1, 0.9, 0.6, 0, 0, 0, 1) == ("guess", "prior")
    assert label(1, 0.9, 0.1, 1, 1, 0, 1) == ("copied-string", "same_pair")
    conditioned = label(1, 0.9, 0.1, 1, 1, 0, 1, string_level=False)
    assert conditioned == ("known-by-frequency", "exposure")
    assert label(1, 0.1, 0.1, 0, 1, 0, 1) == ("copied-string", "same_object")
    assert label(1, 0.1, 0.1, 0, 0, 1, 1) == ("copied-string", "answer_in_subject")
    assert label(1, 0.1, 0.1, 0, 0, 0, 1) == ("transfer-candidate", "donor")
    assert label(1, 0.1, 0.1, 0, 0, 0, 0) == ("unknown", "unexplained")
    assert label(1, 0.1, 0.1, 0, 0, 0, 1, foreign=False) == ("unknown", "unexplained")
    assert label(np.nan, 0.9, 0.1, 0, 0, 0, 1) == ("null", "missing")
    # Without a probability frequency explains nothing, and without a guess strength nothing is one.
    assert label(1, np.nan, np.nan, 0, 0, 0, 1) == ("transfer-candidate", "donor")


# A made-up world -------------------------------------------------------------------------


def make_world(
    make, seed: int, *, planted: float = 0.0, facts: int = 160, steps=(100,), curve: float = 2.0
) -> SimpleNamespace:
    """Facts of four languages; the others are read less than English, and alike."""
    rng = np.random.default_rng(seed)
    ids = [f"{i:03d}" for i in range(facts)]
    table = make.facts(
        [
            {
                "fact_id": fact,
                "relation": f"r{i % 6}",
                "lang": lang,
                "subject": f"{lang} s{i}",
                # Every fifth French object is the English one.
                "object": f"o{i % 30}" if lang == "fr" and i % 5 == 0 else f"{lang} o{i % 30}",
            }
            for lang in LANGS
            for i, fact in enumerate(ids)
        ]
    )
    popular = rng.normal(size=(facts, 1))
    level = 1.3 + 0.45 * popular + 0.45 * rng.normal(size=(facts, len(LANGS)))
    level[:, 0] += 0.8
    dose = np.round(10 ** np.clip(level, 0, 4))
    dose[:, 1:][rng.random((facts, len(LANGS) - 1)) < 0.15] = 0
    u, brought = rng.random((2, facts, len(LANGS)))
    exposure, grades = [], []
    for step in steps:
        e = np.floor(dose * step / max(steps))
        y = u < 1 / (1 + np.exp(-(curve * np.log10(1 + e) - 3.5)))
        y[:, 1:] |= y[:, :1] & (brought[:, 1:] < planted)
        for (at, lang), (row, fact) in product(enumerate(LANGS), enumerate(ids)):
            key = {"ckpt_id": f"c{step}", "fact_id": fact, "relation": f"r{row % 6}", "lang": lang}
            exposure.append(key | {"exposure": e[row, at], "exposure_kind": "exact"})
            grades.append(key | {"y": bool(y[row, at])})
    return SimpleNamespace(
        facts=table,
        checkpoints=make.checkpoints(list(steps)),
        exposure=pl.DataFrame(exposure),
        grades=make.grades(grades),
        dose=dose,
    )


def follow(world, *, rules=RULES, draws=None, grades=None, exposure=None) -> ways.Course:
    answers = world.grades if grades is None else grades
    return ways.Course.of(
        answers,
        world.facts,
        world.checkpoints,
        world.exposure if exposure is None else exposure,
        ways.guesses(answers, world.facts),
        rules,
        draws=draws,
    )


def analyse(world, *, draws=None, **changes) -> ways.Pathways:
    course = follow(world, draws=draws, **changes)
    return ways.pathways([course], world.checkpoints, draws=draws)


def whole(found: ways.Pathways) -> dict[str, dict]:
    rows = found.rates.filter(relation="all")
    return {row["lang"]: row for row in rows.iter_rows(named=True)}


@pytest.mark.parametrize(("planted", "at_most", "at_least"), [(0.0, 0.05, 0.8), (0.25, 1, 0.8)])
def test_intervals_hold_the_truth(make, planted, at_most, at_least):
    """Nothing is supported without transfer, and the interval holds the rate that was planted."""
    supported, held, claimed, n = 0, 0, 0, 24
    for seed in range(n):
        world = make_world(make, seed, planted=planted)
        draws = metrics.cluster_draws(world.facts, n=100, seed=seed)
        row = whole(analyse(world, draws=draws))["all"]
        supported += row["supported"]
        claimed += row["claimed"]
        held += row["t_lo"] <= planted <= row["t_hi"]
    assert held / n >= at_least
    assert supported / n <= at_most
    assert claimed <= supported
    if planted:
        assert supported == n


def test_shares_of_right_cells_sum_to_one(make):
    world = make_world(make, 1, planted=0.3, steps=(10, 100))
    found = analyse(world)
    right = found.cells.filter(pl.col("y"))
    total = right.select(pl.sum_horizontal("e_freq", "e_transfer", "e_floor")).to_series()
    assert total.to_numpy() == pytest.approx(1)
    assert (
        found.cells.filter(~pl.col("y"))["e_transfer"].null_count()
        == found.cells.filter(~pl.col("y")).height
    )
    assert (right.filter(lang="en")["e_transfer"] == 0).all()
    apart = found.composition.filter(stratum="apart", relation="all", lang="all")
    mine = right.filter((pl.col("lang") != "en") & ~pl.col("shared"))
    sums = mine.group_by("ckpt_id", maintain_order=True).agg(pl.col("e_transfer").sum())
    assert apart["e_transfer"].to_numpy() == pytest.approx(sums["e_transfer"].to_numpy())
    # The parts of a row add up to its right cells.
    parts = found.composition.select(pl.sum_horizontal("e_freq", "e_transfer", "e_floor"))
    assert parts.to_series().to_numpy() == pytest.approx(found.composition["attributed"].to_numpy())
    labels = [c for c in found.composition.columns if c.startswith("n_") and c != "n_paper_fn"]
    everything = found.composition.filter(stratum="all").select(pl.sum_horizontal(labels))
    cells = found.composition.filter(stratum="all")["n"]
    assert everything.to_series().to_list() == cells.to_list()


def test_a_second_curve_guards_against_counts_that_miss(make):
    """Half of the reading in every language is missed where English reads much."""
    world = make_world(make, 3, curve=2.5)
    home = world.exposure.filter(lang="en").select("ckpt_id", "fact_id", _p="exposure")
    missed = world.exposure.join(home, on=["ckpt_id", "fact_id"]).with_columns(
        exposure=pl.when(pl.col("lang") == "en")
        .then("exposure")
        .otherwise((pl.col("exposure") / (1 + pl.col("_p")).sqrt()).floor())
    )
    draws = metrics.cluster_draws(world.facts, n=100)
    row = whole(analyse(world, draws=draws, exposure=missed.drop("_p")))["all"]
    assert row["supported"]
    assert row["t_second"] < row["t"]
    assert row["t_second_lo"] < row["t_lo"]


def test_without_counts_frequency_explains_nothing(make):
    world = make_world(make, 4, planted=0.2)
    draws = metrics.cluster_draws(world.facts, n=20)
    found = analyse(world, draws=draws, exposure=world.exposure.head(0))
    assert set(found.cells["exposure_kind"]) == {"none"}
    assert not (found.cells["label"] == "known-by-frequency").any()
    assert (found.cells["label"] == "transfer-candidate").any()
    assert found.rates["supported"].null_count() == found.rates.height
    assert found.curves.filter(form="main")["slope_flag"].all()
    assert found.curves.filter(form="with_donor")["reason"].unique().to_list() == [
        "no exposure known"
    ]
    ladder = ways.classifier_ladder(found.cells, world.facts, world.checkpoints, pivot="en")
    assert ladder.filter(model="M1")["auc"][0] == pytest.approx(0.5, abs=0.02)
    hazard = ways.hazard(follow(world, exposure=world.exposure.head(0)))
    assert hazard.height == 0  # one checkpoint has no trajectory


def test_a_falling_curve_is_flagged(make):
    world = make_world(make, 5, curve=-1.5)
    fewest = analyse(world)
    row = fewest.curves.filter(form="main").row(0, named=True)
    if row["reason"] is None:
        assert row["slope_flag"]
        assert row["slope"] == 0
        assert row["half_exposure"] is None
    world = make_world(make, 5)
    flipped = world.grades.with_columns(y=~pl.col("y"))
    curves = analyse(world, grades=flipped).curves.filter(form="main")
    assert curves["slope_flag"].all()
    assert set(curves["slope"]) == {0.0}
    by_relation = analyse(world, grades=flipped).cells.filter(lang="zh", relation="r1")
    assert by_relation["p_f"].n_unique() == 1


def test_too_few_answers_have_a_reason(make):
    world = make_world(make, 6)
    wrong = world.grades.with_columns(y=pl.col("y") & (pl.col("fact_id") < "003"))
    found = analyse(world, grades=wrong)
    assert found.rates["t"].null_count() == found.rates.height
    assert "fewer than 10 right answers" in found.rates["reason"][0]
    assert found.cells["p_f"].null_count() == found.cells.height
    assert (
        found.cells.filter(pl.col("y"))["label"]
        .is_in(["transfer-candidate", "unknown", "copied-string"])
        .all()
    )
    ladder = ways.classifier_ladder(found.cells, world.facts, world.checkpoints, pivot="en")
    assert ladder["reason"].null_count() == 0
    assert ladder["auc"].null_count() == ladder.height


def test_missing_answers_and_counts_are_left_out(make):
    world = make_world(make, 7, planted=0.2)
    gone = world.grades.with_columns(
        y=pl.when((pl.col("lang") == "en") & (pl.col("fact_id") < "040")).then(None).otherwise("y")
    )
    unknown = world.exposure.with_columns(
        exposure=pl.when(pl.col("fact_id") >= "150").then(None).otherwise("exposure")
    )
    found = analyse(world, grades=gone, exposure=unknown)
    cells = found.cells
    assert cells.filter(lang="en", label="null").height == 40
    assert cells.filter((pl.col("lang") != "en") & (pl.col("fact_id") < "040"))["k"].null_count()
    assert cells.filter(pl.col("fact_id") >= "150")["p_f"].null_count() == 40
    kept = (pl.col("fact_id") >= "040") & (pl.col("fact_id") < "150")
    helped = cells.filter(kept & (pl.col("lang") == "zh") & pl.col("k") & ~pl.col("shared"))
    assert whole(found)["zh"]["n"] == helped.height


def test_every_language_may_give(make):
    world = make_world(make, 8, planted=0.2)
    rules = ways.PathwayRules("en", donors="all", string_level=False)
    every, one = analyse(world, rules=rules).cells, analyse(world).cells
    known = every.filter(lang="zh")["k"].sum()
    assert known > one.filter(lang="zh")["k"].sum()
    assert every.filter(lang="en")["k"].sum() == 0
    most = every.filter(lang="zh").join(
        world.exposure.filter(pl.col("lang") != "zh")
        .group_by("fact_id")
        .agg(_e=pl.col("exposure").max()),
        on="fact_id",
    )
    assert most["E_donor_max"].to_numpy() == pytest.approx(most["_e"].to_numpy())


def test_what_lasts_counts_as_known(make):
    world = make_world(make, 9, steps=(10, 20, 30, 40, 50))
    first = world.grades.filter(lang="en")["fact_id"][0]
    home = (pl.col("lang") == "en") & (pl.col("fact_id") == first)
    right = pl.col("ckpt_id").is_in(["c20", "c30", "c40"])
    changed = world.grades.with_columns(y=pl.when(home).then(right).otherwise("y"))
    cells = analyse(world, grades=changed).cells.filter(lang="zh", fact_id=first)
    assert cells["ckpt_id"].to_list() == ["c10", "c20", "c30", "c40", "c50"]
    assert cells["donor_known"].to_list() == [False, True, True, True, False]
    assert cells["k"].to_list() == [False, True, True, True, True]
    assert cells["donor_first_step"].to_list() == [None, 20, 20, 20, 20]


def test_the_pivot_is_needed(make):
    world = make_world(make, 1, facts=20)
    with pytest.raises(ConfigError, match="'de'"):
        follow(world, rules=ways.PathwayRules("de"))
    both = pl.concat([world.grades, world.grades.with_columns(matcher=pl.lit("other"))])
    with pytest.raises(DataError, match="one matcher"):
        follow(world, grades=both)


# Fits --------------------------------------------------------------------------------------


def test_weighted_fits_equal_plain_ones(rng):
    n, draws = 400, 5
    x = np.column_stack([np.ones(n), rng.normal(size=n)])
    level = np.sort(rng.integers(0, 4, n))
    y = rng.random(n) < 1 / (1 + np.exp(-(x[:, 1] + 0.5 * level - 1)))
    weights = rng.multinomial(n, np.full(n, 1 / n), size=draws).T.astype(float)
    design = Design(x, level, 4, np.zeros(2), 1.0)
    found = fit(design, weights, weights * y[:, None], None)
    hot = np.eye(4)[level]
    for d in range(draws):
        rows = np.repeat(np.arange(n), weights[:, d].astype(int))
        plain = logistic_fit(
            np.column_stack([x, hot])[rows],
            y[rows].astype(float),
            np.array([0, 0, 1, 1, 1, 1.0]),
        )
        assert found.dense_PD[:, d] == pytest.approx(plain[:2], abs=1e-6)
        assert found.effect_RD[:, d] == pytest.approx(plain[2:], abs=1e-6)
    one_class = fit(design, weights, weights, None)
    assert np.isnan(one_class.dense_PD).all()


def test_draws_of_the_ladder_are_nearly_refits(make):
    """One Newton step gives the interval that new fits would give."""
    world = make_world(make, 10, planted=0.3, facts=200)
    cells = analyse(world).cells
    draws = metrics.cluster_draws(world.facts, n=60, seed=3)
    ladder = ways.classifier_ladder(cells, world.facts, world.checkpoints, pivot="en", draws=draws)
    row = ladder.filter(model="M1").row(0, named=True)
    usable = cells.filter(pl.col("lang") != "en")
    place = {f: i for i, f in enumerate(draws.index.fact_ids)}
    fact = np.array([place[f] for f in usable["fact_id"]])
    x = np.column_stack([np.ones(len(fact)), np.log10(1 + usable["E_l"].to_numpy())])
    y = usable["y"].to_numpy().astype(float)
    values = []
    for weights in draws.weights_DF:
        rows = np.repeat(np.arange(len(fact)), weights[fact].astype(int))
        fold = draws.index.folds_F[fact[rows]]
        p = np.empty(len(rows))
        for f in range(5):
            beta = logistic_fit(x[rows][fold != f], y[rows][fold != f], np.array([0, 1e-3]))
            p[fold == f] = x[rows][fold == f] @ beta
        values.append(auc(p, y[rows] == 1))
    lo, hi = np.quantile(values, [0.025, 0.975])
    assert [row["auc_lo"], row["auc_hi"]] == pytest.approx([lo, hi], abs=0.004)


def bring_along(world, share: float, seed: int) -> pl.DataFrame:
    """Grades in which what the pivot knew at one checkpoint may come along by the next, to stay."""
    rng = np.random.default_rng(seed)
    ids = sorted(world.facts["fact_id"].unique())
    order = {"fact_id": ids, "lang": list(LANGS)}
    rows = world.grades.sort(
        pl.col("ckpt_id").str.slice(1).cast(pl.Int64()),
        *(pl.col(c).cast(pl.Enum(values)) for c, values in order.items()),
    )
    y = rows["y"].to_numpy().reshape(-1, len(ids), len(LANGS)).copy()
    came = np.zeros(y.shape[1:], dtype=bool)
    for t in range(1, len(y)):
        came[:, 1:] |= y[t - 1][:, :1] & (rng.random(came[:, 1:].shape) < share)
        y[t] |= came
    return rows.with_columns(y=pl.Series(y.ravel()))


def test_hazard_sees_donors_only_where_they_help(make):
    steps = (10, 20, 40, 60, 80, 100)
    world = make_world(make, 11, facts=200, steps=steps)
    draws = metrics.cluster_draws(world.facts, n=100)
    for grades, seen in ((world.grades, False), (bring_along(world, 0.2, 1), True)):
        table = ways.hazard(follow(world, grades=grades, draws=draws), draws=draws)
        assert table["lang"].to_list() == ["all", "fr", "ru", "zh"]
        row = table.row(0, named=True)
        assert row["beta_lo"] > 0
        assert (row["gamma_lo"] > 0) is seen
        assert (row["gamma"] > row["permuted_hi"]) is seen
        assert row["events"] == sum(table["events"].to_list()[1:])


def test_alike_facts_are_exchanged():
    relation = np.repeat([0, 1], [60, 12])
    x = np.arange(72, dtype=float)
    groups = alike_groups(relation, x)
    assert [len(np.unique(groups[relation == r])) for r in (0, 1)] == [10, 2]
    generator = np.random.default_rng(0)
    partner = exchange(groups, generator)
    assert sorted(partner) == list(range(72))
    assert (groups[partner] == groups).all()
    assert (partner != np.arange(72)).any()


def test_lag_is_held_against_what_frequency_gives(make):
    world = make_world(make, 12, facts=200, steps=(10, 20, 30, 40, 50, 60, 70, 80))
    curves = analyse(world).curves
    table = ways.lag_expected(
        world.grades, world.checkpoints, world.exposure, curves, pivot="en", n=200
    )
    assert table["lang"].to_list() == ["fr", "ru", "zh"]
    for row in table.iter_rows(named=True):
        assert row["difference_lo"] <= 0 <= row["difference_hi"]
        assert row["pivot_first"] + row["tie"] + row["language_first"] == row["both"]


# Controls ----------------------------------------------------------------------------------


def test_controls_are_alike_and_near(make):
    world = make_world(make, 13, planted=0.3)
    cells = analyse(world).cells
    pairs, balance = ways.matched_controls(cells, world.checkpoints, pivot="en")
    keys = ["ckpt_id", "matcher", "lang"]
    facts = cells.select(*keys, "fact_id", "relation", "label", "y", "k", "shared", "E_l")
    other = facts.rename({c: f"{c}_c" for c in facts.columns if c not in keys})
    both = (
        pairs.filter(case_set="transfer", control_set="donor_knows")
        .drop_nulls("control_fact_id")
        .join(facts, on=[*keys, "fact_id", "relation"])
        .join(other, left_on=[*keys, "control_fact_id"], right_on=[*keys, "fact_id_c"])
    )
    assert both.height
    assert (both["label"] == "transfer-candidate").all()
    assert not both["y_c"].any()
    assert both["k_c"].all()
    assert (both["relation"] == both["relation_c"]).all()
    assert (both["shared"] == both["shared_c"]).all()
    gap = ((1 + both["E_l"]).log10() - (1 + both["E_l_c"]).log10()).abs()
    assert gap.max() <= 0.25 + 1e-9
    assert both["distance"].to_numpy() == pytest.approx(gap.to_numpy())
    sizes = (
        both.sort("place")
        .group_by("lang", "fact_id")
        .agg(pl.len(), pl.col("distance").is_sorted().alias("nearest_first"))
    )
    assert sizes["len"].max() == 5
    assert sizes["nearest_first"].all()
    cases = pairs.filter(case_set="transfer", control_set="donor_knows").n_unique("fact_id")
    assert cases > 0
    row = balance.filter(
        lang="all", case_set="transfer", control_set="donor_knows", variable="log_E_l"
    ).row(0, named=True)
    labelled = cells.filter(pl.col("lang") != "en", label="transfer-candidate").height
    assert row["n_cases"] == labelled
    assert abs(row["smd_after"]) < abs(row["smd_before"])
    assert row["p_value"] is None
    unmatched = pairs.filter(pl.col("control_fact_id").is_null(), control_set="donor_knows")
    assert unmatched.height == labelled - row["n_matched"]


def test_controls_of_the_rate_find_what_was_planted(make):
    world = make_world(make, 14, planted=0.0, facts=200)
    draws = metrics.cluster_draws(world.facts, n=100)
    table = ways.transfer_controls(
        follow(world, draws=draws), world.checkpoints, ckpt_id="c100", draws=draws
    )
    rows = {(r["control"], r["lang"]): r for r in table.iter_rows(named=True)}
    assert rows["null_labels", "all"]["t_lo"] < 0 < rows["null_labels", "all"]["t_hi"]
    planted = rows["planted_labels", "all"]
    assert planted["truth"] == 0.25
    assert 0 < planted["t_lo"] < 0.25 < planted["t_hi"]
    assert {lang for control, lang in rows if control == "reverse"} == {"fr", "ru", "zh"}
    assert rows["permuted_donor", "all"]["t_lo"] < 0 < rows["permuted_donor", "all"]["t_hi"]


# Parts -------------------------------------------------------------------------------------


def test_guess_strength(make):
    objects = ["a", "a", "a", "b", "c"]
    facts = make.facts(
        [
            {"fact_id": str(i), "relation": "r", "lang": "en", "object": o}
            for i, o in enumerate(objects)
        ]
    )
    plain = make.grades([{"fact_id": str(i), "y": i == 0} for i in range(5)])
    by_data = ways.guesses(plain, facts)
    assert by_data["g"].to_list() == [0.5, 0.5, 0.5, 0, 0]
    assert set(by_data["guess_source"]) == {"data"}
    # Both other facts and one of its own were answered with b; nobody said a or c.
    said = ["3", None, "3", "3", "3"]
    named = make.grades(
        [{"fact_id": str(i), "y": s == str(i), "answer_id": s} for i, s in enumerate(said)]
    )
    by_answers = ways.guesses(named, facts)
    assert by_answers["g_bias"].to_list() == [0, 0, 0, 0.75, 0]
    assert set(by_answers["guess_source"]) == {"answers"}
    paper = pl.concat(
        [named, named.with_columns(matcher=pl.lit("paper"), answer_id=pl.lit(None, pl.String))]
    )
    borrowed = ways.guesses(paper, facts).filter(matcher="paper")
    assert borrowed["g_bias"].to_list() == [0, 0, 0, 0.75, 0]
    copied = pl.DataFrame(
        {
            "ckpt_id": "c1",
            "fact_id": [str(i) for i in range(5)],
            "relation": "r",
            "lang": "en",
            "variant": 0,
            "copied": [True, True, False, False, False],
            "gold_in_demos": [True, False, False, False, False],
        }
    )
    with_demos = ways.guesses(named, facts, copied=copied)
    assert with_demos["g_demo"].to_list() == [0.25, 0, 0, 0, 0]


def test_prior_of_the_gold(make):
    facts = make.facts(
        [
            {
                "fact_id": "1",
                "relation": "r",
                "lang": "en",
                "candidate_ids": ["x", "y"],
                "candidates": ["X", "Y"],
                "gold_pos": 1,
            }
        ]
    )
    scores = CANDIDATE_SCORES.build(
        [
            {
                "ckpt_id": "c1",
                "fact_id": "1",
                "lang": "en",
                "variant": 0,
                "candidate_id": c,
                "logprob_sum": s,
                "n_tokens": 1,
                "n_bytes": 1,
                "content_free_logprob": np.log(q),
            }
            for c, s, q in (("x", -1.0, 0.1), ("y", -2.0, 0.3))
        ]
    )
    grades = metrics.grade_candidates(scores, facts)
    found = ways.guesses(grades, facts, scores=scores).row(0, named=True)
    assert found["g_prior"] == pytest.approx(0.75)
    assert found["g"] == pytest.approx(0.75)
    gold = metrics.gold_evidence(grades, scores, facts).row(0, named=True)
    assert gold["gold_rank"] == 2
    assert gold["pmi"] == pytest.approx(-2 - np.log(0.3))


def test_similarity_of_strings():
    assert edit_distance("kitten", "sitting") == 3
    assert edit_distance("", "abc") == 3
    assert similarity("abcd", "abce") == 0.75
    assert similarity("", "") == 1
