"""Schedules, Latin squares and the rows that exposures get."""

import numpy as np
import polars as pl
import pytest

from polylore.corpus.injection import (
    STANDARD,
    ArmConfig,
    Injector,
    RowFormat,
    arm_doses,
    batch_matched,
    check_matched,
    crossed,
    interval_sweep,
    latin_square,
    make_schedule,
    place,
    runs_to_meet,
)
from polylore.corpus.injection.arms import DUPLICATION, MIXED_LANGUAGE, ONCE
from polylore.errors import ConfigError, DataError
from polylore.tables.inject import ARMS, PASSAGES

ITEMS = [f"i{n:02d}" for n in range(24)]
PASSAGE_ROWS = [
    {
        "passage_id": f"{item}/{lang}/{variant}",
        "item_id": item,
        "lang": lang,
        "variant": variant,
        "kind": "paraphrase" if variant else "original",
        "text": f"{item} {lang} {variant}",
        "probes_covered": [],
    }
    for item in ITEMS
    for lang in ("de", "en")
    for variant in range(10)
]
TEXTS = PASSAGES.build(PASSAGE_ROWS)
TOKENS = {row["passage_id"]: np.arange(2, 7) for row in PASSAGE_ROWS}
FORM = RowFormat(16, 0)


def assigned(arm, items=ITEMS, lang="en"):
    return ARMS.build([{"item_id": i, "arm": arm, "inject_lang": lang} for i in items])


def steps(table, item="i00"):
    return table.filter(item_id=item).sort("exposure")["step"].to_list()


def test_the_published_arms():
    names = [arm.name for arm in STANDARD]
    arms = ARMS.build(
        [
            {"item_id": item, "arm": names[n % 4], "inject_lang": "en"}
            for n, item in enumerate(ITEMS)
        ]
    )
    table = make_schedule(arms, TEXTS, STANDARD, stagger=False)
    by_arm = {name: table.filter(arm=name) for name in names}
    assert steps(by_arm["duplication"]) == [100 * k for k in range(10)]
    assert by_arm["duplication"]["variant"].unique().to_list() == [0]
    assert steps(by_arm["once"], "i02") == [0]
    assert by_arm["never"].is_empty()
    shown = by_arm["paraphrase"].filter(item_id="i01").sort("exposure")["variant"].to_list()
    assert shown[0] == 0
    assert sorted(shown) == list(range(10))


def test_stagger_spreads_the_dose_and_the_seed_decides():
    arms = assigned("duplication")
    table = make_schedule(arms, TEXTS, STANDARD, first=8, seed=3)
    starts = table.filter(exposure=0)["step"]
    assert starts.min() == 8
    assert starts.max() < 108
    assert starts.n_unique() == len(ITEMS)
    assert table.group_by("step").len()["len"].max() == 1
    gaps = table.sort("item_id", "exposure").group_by("item_id").agg(pl.col("step").diff())
    assert gaps["step"].explode().drop_nulls().unique().to_list() == [100]
    assert make_schedule(arms, TEXTS, STANDARD, first=8, seed=3).equals(table)
    assert not make_schedule(arms, TEXTS, STANDARD, first=8, seed=4).equals(table)
    turned = make_schedule(arms.reverse(), TEXTS.reverse(), STANDARD, first=8, seed=3)
    assert turned.equals(table)


def test_arms_and_languages_start_one_after_the_other():
    names = ("duplication", "paraphrase", "once", "never")
    conditions = [(arm, lang) for arm in names for lang in ("de", "en")]
    arms = latin_square(ITEMS, conditions, 0)
    table = make_schedule(arms, TEXTS, STANDARD)
    # Three items in each of six groups that are injected: all eighteen at steps of their own.
    assert table.filter(exposure=0)["step"].n_unique() == 18
    assert table.group_by("step").len()["len"].max() == 1


def test_timings():
    expanding = ArmConfig(name="x", n=5, interval=4, ratio=2.0, timing="expanding")
    table = make_schedule(assigned("x"), TEXTS, [expanding], stagger=False)
    assert steps(table) == [0, 4, 12, 28, 60]
    drawn = ArmConfig(name="x", n=6, interval=20, timing="random")
    table = make_schedule(assigned("x"), TEXTS, [drawn], stagger=False)
    for item in ITEMS:
        found = steps(table, item)
        assert found == sorted(set(found))
        assert found[0] == 0
        assert len(found) == 6
        assert found[-1] <= 100
    assert steps(table, "i00") != steps(table, "i01")
    poisson = ArmConfig(name="x", n=40, interval=20, timing="poisson")
    table = make_schedule(assigned("x"), TEXTS, [poisson], stagger=False)
    gaps = np.concatenate([np.diff(steps(table, item)) for item in ITEMS])
    assert gaps.min() >= 1
    assert gaps.mean() == pytest.approx(20, rel=0.1)
    assert gaps.std() == pytest.approx(20, rel=0.15)


def test_a_sweep_ends_at_the_same_step():
    arms = interval_sweep([4, 16, 64], n=5)
    rows = [
        {"item_id": item, "arm": arms[n % 3].name, "inject_lang": "en"}
        for n, item in enumerate(ITEMS)
    ]
    table = make_schedule(ARMS.build(rows), TEXTS, arms, first=8)
    last = table.filter(exposure=4)
    assert last["step"].min() == 8 + 64 * 4
    assert last["step"].max() < 8 + 64 * 4 + 4
    by_arm = {a.name: table.filter(arm=a.name, exposure=0)["step"].min() for a in arms}
    assert by_arm == {"interval_4": 248, "interval_16": 200, "interval_64": 8}
    with pytest.raises(ConfigError, match="needs 256 steps before its last exposure at 100"):
        make_schedule(ARMS.build(rows), TEXTS, arms, first=8, last=100)


@pytest.mark.parametrize("timing", ["random", "poisson", "expanding"])
def test_drawn_gaps_end_at_the_same_step(timing):
    drawn = ArmConfig(name="x", timing=timing, n=6, interval=40, anchor="last")
    even = ArmConfig(name="y", n=6, interval=7, anchor="last")
    half = len(ITEMS) // 2
    arms = pl.concat([assigned("x", ITEMS[:half]), assigned("y", ITEMS[half:])])
    for seed in range(10):
        table = make_schedule(arms, TEXTS, [drawn, even], first=8, stagger=False, seed=seed)
        ends = table.filter(exposure=5)["step"].unique().to_list()
        assert len(ends) == 1
        # As early as possible: whoever takes longest begins at the first step.
        assert table["step"].min() == 8
        assert table.group_by("item_id").len()["len"].unique().to_list() == [6]
        gaps = table.filter(arm="x").sort("item_id", "exposure")["step"].diff().to_list()
        own = [gaps[k : k + 6][1:] for k in range(0, len(gaps), 6)]
        assert (len({tuple(one) for one in own}) == 1) == (timing == "expanding")
    # The gaps are those of the item, wherever its exposures are anchored.
    forward = drawn.model_copy(update={"anchor": "first"})
    begun = make_schedule(arms, TEXTS, [forward, even], first=8, stagger=False, seed=seed)
    for item in ITEMS[:half]:
        assert np.diff(steps(begun, item)).tolist() == np.diff(steps(table, item)).tolist()
    with pytest.raises(ConfigError, match="choose a later last step"):
        make_schedule(arms, TEXTS, [drawn, even], first=8, last=ends[0] - 1, stagger=False,
                      seed=seed)  # fmt: skip


def test_languages_take_turns():
    table = make_schedule(assigned("mixed_language", lang="mixed"), TEXTS, [MIXED_LANGUAGE])
    for item in ITEMS:
        shown = table.filter(item_id=item).sort("exposure")["lang"].to_list()
        assert shown in (["de", "en"] * 5, ["en", "de"] * 5)
    assert table.filter(exposure=0)["lang"].n_unique() == 2


def test_what_a_schedule_needs():
    with pytest.raises(ConfigError, match="arm x, which is not described"):
        make_schedule(assigned("x"), TEXTS, STANDARD)
    with pytest.raises(ConfigError, match="same name"):
        make_schedule(assigned("once"), TEXTS, [ONCE, ONCE])
    few = TEXTS.filter(pl.col("variant") < 9)
    with pytest.raises(DataError, match="9 passages in en, but the arm paraphrase needs 10"):
        make_schedule(assigned("paraphrase"), few, STANDARD)
    with pytest.raises(DataError, match="one language; mixed_language needs two"):
        make_schedule(assigned("mixed_language"), TEXTS.filter(lang="en"), [MIXED_LANGUAGE])
    with pytest.raises(ConfigError, match="control and must have n = 0"):
        ArmConfig.parse({"name": "never", "n": 1})


def test_latin_square_takes_every_item_through_every_condition():
    conditions = [
        (a, lang) for a in ("duplication", "paraphrase", "never") for lang in ("de", "en")
    ]
    runs = [latin_square(ITEMS[:20], conditions, run, controls=ITEMS[20:]) for run in range(6)]
    for table in runs:
        assert table["item_id"].to_list() == ITEMS
        counts = table.filter(pl.col("item_id") < "i20").group_by("arm", "inject_lang").len()["len"]
        assert counts.max() <= 8  # two conditions of `never` are one
        assert table.filter(pl.col("item_id") >= "i20")["arm"].unique().to_list() == ["never"]
    for item in ITEMS[:20]:
        seen = [t.filter(item_id=item).select("arm", "inject_lang").row(0) for t in runs]
        injected = [s for s in seen if s[0] != "never"]
        assert len(set(injected)) == 4
        assert seen.count(("never", "none")) == 2
    sizes = runs[0].filter(pl.col("arm") == "paraphrase").group_by("inject_lang").len()["len"]
    assert set(sizes) <= {3, 4}
    assert latin_square(ITEMS[:20], conditions, 0, controls=ITEMS[20:]).equals(runs[0])
    with pytest.raises(ConfigError, match="2 items cannot be shared by 6"):
        latin_square(ITEMS[:2], conditions, 0)
    with pytest.raises(ConfigError, match="items that differ"):
        latin_square(ITEMS, conditions, 0, controls=ITEMS[:1])


SIZES = [(a, n) for a in (1, 2, 3, 4, 6) for n in (1, 2, 3, 4, 6, 9)]


@pytest.mark.parametrize(("arms", "langs"), SIZES)
def test_few_runs_cross_items_with_arms_and_languages(arms, langs):
    names, tongues = [f"a{k}" for k in range(arms)], [f"l{k}" for k in range(langs)]
    order = crossed(names, tongues)
    assert sorted(order) == [(a, lang) for a in names for lang in tongues]  # every pair, once
    assert runs_to_meet([a for a, _ in order]) == arms
    assert runs_to_meet(order) == arms * langs
    apart = np.gcd(arms, langs) > 1
    within = runs_to_meet([lang for _, lang in order])
    assert within < 2 * langs if apart else within == langs
    for begin in range(len(order)):
        around = [*order, *order][begin : begin + len(order)]
        assert {a for a, _ in around[:arms]} == set(names)
        assert {lang for _, lang in around[:within]} == set(tongues)


def test_three_runs_take_every_item_through_three_arms_and_both_languages():
    order = crossed(["dup", "para", "once"], ["A", "B"])
    assert order == [
        ("dup", "A"), ("para", "B"), ("once", "A"), ("dup", "B"), ("para", "A"), ("once", "B"),
    ]  # fmt: skip
    items = [f"i{n:02d}" for n in range(96)]
    runs = [latin_square(items, order, run) for run in range(6)]
    for n, of_arms, of_pairs in ((2, 2, 2), (3, 3, 3), (6, 3, 6)):
        seen = pl.concat(runs[:n]).group_by("item_id")
        found = seen.agg(
            pl.col("arm").n_unique(),
            pl.col("inject_lang").n_unique().alias("langs"),
            pl.struct("arm", "inject_lang").n_unique().alias("pairs"),
        )
        assert found["arm"].unique().to_list() == [of_arms]
        assert found["langs"].unique().to_list() == [2]
        assert found["pairs"].unique().to_list() == [of_pairs]
    for table in runs:
        assert table.group_by("arm", "inject_lang").len()["len"].unique().to_list() == [16]


def test_an_arm_of_turning_languages_is_as_large_as_the_others():
    names = ["dup", "mix", "once"]
    order = crossed(names, ["A", "B", "C", "D"], mixed=["mix"])
    assert order.count(("mix", "mixed")) == 4
    assert {lang for arm, lang in order if arm != "mix"} == {"A", "B", "C", "D"}
    assert (runs_to_meet([a for a, _ in order]), runs_to_meet(order)) == (3, 12)
    runs = [latin_square(ITEMS, order, run) for run in range(3)]
    for table in runs:
        assert table.group_by("arm").len()["len"].to_list() == [8, 8, 8]
    seen = pl.concat(runs).group_by("item_id").agg(pl.col("arm").sort())
    assert seen["arm"].to_list() == [names] * len(ITEMS)
    alone = crossed(["mix"], ["A", "B"], mixed=["mix"])
    assert runs_to_meet(alone) == 1
    assert runs_to_meet([]) == 0


def test_nothing_takes_two_places_by_mistake():
    for arms, langs in ((["x", "x"], ["A"]), (["x"], ["A", "A"]), ([], ["A"]), (["x"], [])):
        with pytest.raises(ConfigError, match="at least one of each, and none twice"):
            crossed(arms, langs)
    with pytest.raises(ConfigError, match="there is none"):
        latin_square(ITEMS, [], 0)


def test_rows_are_drawn_anew_at_every_step():
    table = make_schedule(assigned("duplication"), TEXTS, STANDARD, stagger=False)
    plan = place(table, TEXTS, TOKENS, FORM, 64, seed=1)
    assert plan.height == 240
    rows = [plan.filter(step=s, item_id="i00")["row"][0] for s in range(0, 1000, 100)]
    assert len(set(rows)) > 5
    assert plan["slot"].max() == 0
    assert place(table, TEXTS, TOKENS, FORM, 64, seed=1).equals(plan)
    Injector(plan, TOKENS, FORM, 64, allow_dose=True)
    with pytest.raises(ConfigError, match="24 passages, but 20 rows"):
        place(table, TEXTS, TOKENS, FORM, 20)
    shared = place(table, TEXTS, TOKENS, FORM, 12, per_row=2)
    assert shared["slot"].max() == 1


def test_long_passages_are_refused_or_split():
    table = make_schedule(assigned("once", ITEMS[:1]), TEXTS, STANDARD, stagger=False)
    long = TOKENS | {"i00/en/0": np.arange(2, 42)}
    with pytest.raises(DataError, match="40 tokens, but a row of 16 holds 15"):
        place(table, TEXTS, long, FORM, 8)
    with pytest.warns(UserWarning, match="1 exposures are longer"):
        plan = place(table, TEXTS, long, FORM, 8, split=True)
    assert plan.sort("offset")["offset"].to_list() == [0, 15, 30]
    assert plan["n_tokens"].sum() == 40
    Injector(plan, long, FORM, 8, allow_dose=True)


def test_batches_of_equal_dose():
    small, large = batch_matched(DUPLICATION, "share", 16, 64)
    assert (small.loss_weight, large.loss_weight) == (0.25, 1.0)
    small, large = batch_matched(DUPLICATION, "count", 16, 64)
    assert (small.copies, large.copies) == (1, 4)
    assert batch_matched(DUPLICATION, "none", 16, 64) == (DUPLICATION, DUPLICATION)
    with pytest.raises(ConfigError, match="no multiple"):
        batch_matched(DUPLICATION, "count", 16, 40)
    table = make_schedule(assigned("duplication"), TEXTS, [large], stagger=False)
    plan = place(table, TEXTS, TOKENS, FORM, 128)
    assert plan.filter(step=0, item_id="i00")["row"].n_unique() == 4
    assert arm_doses(plan)["tokens"].to_list() == [200.0]


def test_unequal_doses_are_refused():
    rows = [
        {"item_id": item, "arm": ("duplication", "paraphrase")[n % 2], "inject_lang": "en"}
        for n, item in enumerate(ITEMS)
    ]
    table = make_schedule(ARMS.build(rows), TEXTS, STANDARD)
    check_matched(place(table, TEXTS, TOKENS, FORM, 64), ["duplication", "paraphrase"])
    longer = {name: np.arange(2, 7 if name.endswith("/0") else 9) for name in TOKENS}
    plan = place(table, TEXTS, longer, FORM, 64)
    with pytest.raises(DataError, match="50 tokens in the arm duplication and 68 in paraphrase"):
        check_matched(plan, ["duplication", "paraphrase"])
    with pytest.raises(DataError, match="no passage of the arm once"):
        check_matched(plan, ["duplication", "once"])
