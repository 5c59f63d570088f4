"""Every derived table of a simulated study, from raw tables alone."""

import math

import polars as pl
import pytest

from polylore.errors import DataError, RunError
from polylore.runs import RunFolder
from polylore.studies.inject.analyse import DERIVED, analyse
from polylore.studies.inject.factors import pair_factors
from polylore.studies.inject.raw import open_inject
from polylore.tables import ALL
from polylore.tables.injection import KERNEL_LAGS


@pytest.fixture(scope="module")
def tables(study, quick):
    return analyse(open_inject(study), quick)


def one(frame, **which):
    rows = frame.filter(**which)
    assert rows.height == 1
    return rows.row(0, named=True)


def test_every_table_is_stored_and_can_be_made_again(tables, study, quick):
    assert set(tables) == set(DERIVED)
    stored = RunFolder.load(study)
    for name, frame in tables.items():
        assert stored.table(name).equals(frame)
        (stored.path / "tables" / f"{name}.parquet").unlink()
    again = analyse(open_inject(study), quick)
    for name, frame in tables.items():
        assert again[name].equals(frame), name


def test_gains_are_those_that_were_put_in(tables):
    gains = tables["inject_effectivity"].filter(
        pl.col("exposure").is_null(), preset="default", depth="memorization"
    )
    pooled = gains.filter(run_id="main")
    own = one(pooled, arm="once", inject_lang="en", probe_lang="en")
    assert own["lo"] < own["estimate"] < own["hi"]
    assert own["estimate"] == pytest.approx(1.1, rel=0.25)
    across = one(pooled, arm="once", inject_lang="en", probe_lang="de")
    assert across["estimate"] == pytest.approx(0.4 * own["estimate"], rel=0.35)
    assert set(gains["run_id"]) == {"main", "main seed 0", "main seed 1"}
    alone = gains.filter(pl.col("run_id") != "main")
    assert alone["lo"].null_count() == alone.height
    first = tables["inject_effectivity"].filter(
        run_id="main", preset="default", arm="duplication", depth="memorization",
        inject_lang="de", probe_lang="de",
    )  # fmt: skip
    assert one(first, exposure=0)["lo"] > one(first, exposure=3)["hi"]


def test_transfer_holds_every_quantity(tables):
    found = tables["inject_transfer"].filter(run_id="main", arm="duplication", depth="memorization")
    expected = {
        "effectivity", "effectivity_per_byte", "a_kernel", "kappa",
        "source_normalised", "target_normalised", "retention_transfer", "fact_specific_gain",
    }  # fmt: skip
    assert expected <= set(found["quantity"])
    ratio = one(found, inject_lang="en", probe_lang="de", quantity="source_normalised")
    assert ratio["lo"] < 0.4 < ratio["hi"]
    assert ratio["same_script"] is True
    assert ratio["name_form"] == "shared"
    margin = one(found, inject_lang="en", probe_lang="en", quantity="fact_specific_gain")
    whole = one(found, inject_lang="en", probe_lang="en", quantity="effectivity")
    assert margin["value"] == pytest.approx(0.7 * whole["value"], rel=0.3)


def test_clocks_stand_beside_steps(tables):
    rows = tables["inject_retention"].filter(run_id="main", preset="default", lag=8)
    assert set(rows["lag_tokens"]) == {8 * 32 * 64}
    assert rows["lag_sum_lr"].to_list() == pytest.approx([8 * 5e-4] * rows.height)
    wide = tables["inject_threshold"].row(0, named=True)
    assert wide["lag_tokens"] == wide["interval"] * 32 * 64


@pytest.mark.parametrize("run_id", ["main", "main seed 1"])
def test_half_life_and_zero_stand_by_three_clocks(tables, run_id):
    rows = tables["inject_kernels"].filter(run_id=run_id, depth="memorization")
    seen = set()
    for row in rows.iter_rows(named=True):
        for name in KERNEL_LAGS:
            if row[name] is None:
                assert (row[f"{name}_tokens"], row[f"{name}_sum_lr"]) == (None, None)
            else:
                seen.add(name)
                assert row[f"{name}_tokens"] == pytest.approx(row[name] * 32 * 64)
                assert row[f"{name}_sum_lr"] == pytest.approx(row[name] * 5e-4)
    assert "observed" in seen


def test_controls_answers_and_shuffles(tables):
    controls = tables["inject_controls"].filter(run_id="main", depth="semantic", probe_lang="de")
    assert one(controls, quantity="noise_sd")["value"] == pytest.approx(0.15, rel=0.1)
    assert one(controls, quantity="ceiling")["value"] == pytest.approx(-1, abs=0.1)
    assert one(controls, quantity="ceiling_exact")["value"] == 1
    answers = tables["inject_answer_transfer"].filter(
        arm="paraphrase", depth="memorization", inject_lang="en", probe_lang="en", quantity="right"
    )
    before, after = (one(answers, lag=lag)["value"] for lag in (-1, 10))
    assert before < 0.1 < 0.6 < after
    shuffled = tables["inject_permuted"].filter(
        arm_a="duplication", arm_b="once", depth="memorization", inject_lang="en", probe_lang="en",
        quantity="at_peak",
    )  # fmt: skip
    assert shuffled["estimate"][0] > shuffled["null_hi"][0]


def test_claims_have_verdicts_and_reasons(tables):
    claims = tables["inject_claims"]
    verdicts = {k[0]: set(rows["verdict"]) for k, rows in claims.group_by("claim_id")}
    for shown in ("1a", "1b", "1c", "2a", "2c", "5b", "T1", "T2", "T3"):
        assert verdicts[shown] == {"shown"}, shown
    for open_ in ("3c", "4a", "4b", "4c", "7b", "7c", "7d", "8a", "8d", "9", "10b", "10c"):
        assert verdicts[open_] == {"undetermined"}
        assert claims.filter(claim_id=open_)["reason"].null_count() == 0
    why = dict(claims.select("claim_id", "reason").iter_rows())
    assert why["4c"] == "no two stages of pretraining went on at one constant learning rate"
    assert (why["7d"], why["8d"]) == ("one stage of pretraining only", "one batch size only")
    assert claims.filter(claim_id="1a")["signs_by_seed"].to_list()[0] == [1, 1]
    assert "contradicted" in verdicts["3a"]  # paraphrase was made the better one
    # First exposures gain more here (5b); that is no forgetting, but a is .25 against .2 (3b).
    faster = claims.filter(claim_id="3b").rows_by_key("case", named=True, unique=True)
    assert faster["duplication minus paraphrase, memorization"]["estimate"] == pytest.approx(
        0.05, abs=0.03
    )
    assert "contradicted" not in verdicts["3b"]


def test_batches_stages_and_sweeps(tmp_path, made, quick):
    small = {"langs": ("en",), "per_arm": 10, "controls": 10, "facts": 1, "states": 140,
             "seeds": 1, "swaps": False, "ceiling": False}  # fmt: skip
    once = {"once": made.Arm(n=1)}
    sweep = {f"interval_{d}": made.Arm(n=3, interval=d, anchor_last=True) for d in (8, 32)}
    run = made.write(
        tmp_path / "run",
        made.small(**small, arms=once),
        made.small(**small, arms=once, condition="late", checkpoint_step=9000, scale=0.3),
        made.small(**small, arms=once, condition="b16", batch=16, match="none", scale=2.0),
        made.small(**small, arms=once, condition="b16s", batch=16, match="share"),
        made.small(**small, arms=once, condition="b64", batch=64, match="none"),
        made.small(**small, arms=sweep, condition="sweep"),
    )
    tables = analyse(open_inject(run.path), quick)
    batch = tables["inject_batch_contrast"].filter(
        quantity="effectivity", direction="own", depth="memorization"
    )
    by = batch.rows_by_key("match", named=True, unique=True)
    assert set(by) == {"none", "share", "none_minus_share"}
    assert by["none"]["lo"] > 0.5
    assert abs(by["share"]["estimate"]) < 0.4 < by["none_minus_share"]["estimate"]
    assert by["none"]["dose_share_small"] > by["none"]["dose_share_large"]
    claims = tables["inject_claims"]
    # Both checkpoints go on at 5e-4: what that shows is claim 4c.
    assert claims.filter(claim_id="4c")["verdict"].to_list() == ["shown"]
    (why,) = claims.filter(claim_id="4a")["reason"]
    assert why == "the stages of pretraining went on at one constant learning rate only"
    cases = claims.filter(claim_id="8a")["case"].to_list()
    assert {case.split(", ")[1] for case in cases} == {
        "memorization", "semantic", "compositional",
    }  # fmt: skip
    assert len(cases) == 6
    by_depth = claims.filter(claim_id="8d")
    assert by_depth["case"].to_list()[0] == (
        "once, compositional against memorization, match none, LR equal, restored: 16 against 64 "
        "rows"
    )
    assert by_depth.height == 4
    stages = tables["inject_stage_contrast"].filter(direction="own", depth="memorization")
    stage = one(stages, quantity="effectivity")
    assert (stage["condition_early"], stage["condition_late"]) == ("main", "late")
    assert stage["hi"] < 0 < stage["late_lo"] < stage["late_hi"] < stage["early_lo"]
    effects = tables["inject_effectivity"].filter(
        pl.col("exposure").is_null(), preset="default", depth="memorization"
    )
    for side in ("early", "late"):
        own = one(effects, run_id=stage[f"condition_{side}"])
        assert [stage[side], stage[f"{side}_lo"], stage[f"{side}_hi"]] == pytest.approx(
            [own["estimate"], own["lo"], own["hi"]]
        )
    assert stage["estimate"] == pytest.approx(stage["late"] - stage["early"])
    assert set(claims.filter(claim_id="8a")["verdict"]) <= {"shown", "undetermined"}
    brackets = tables["inject_brackets"]
    assert set(brackets["run_id"]) == {"sweep"}
    bracket = one(brackets, depth="memorization")
    assert (bracket["bracket_lo"], bracket["censored"]) == (32, "right")
    assert bracket["tokens_lo"] == 32 * 32 * 64


def test_languages_without_controls_are_refused_or_left_empty(tmp_path, made, quick):
    run = made.write(
        tmp_path / "run", made.small(controls=0, seeds=1, langs=("en",), facts=1, per_arm=10)
    )
    with pytest.raises(DataError, match="No never-injected item is probed in en"):
        analyse(open_inject(run.path), quick)
    tables = analyse(open_inject(run.path), quick.model_copy(update={"no_control": True}))
    ours = tables["inject_effectivity"].filter(preset="default")
    assert ours["estimate"].null_count() == ours.height
    assert set(ours["reason"]) == {"no_control_items"}


def test_other_folders_are_refused(tmp_path):
    RunFolder.open(tmp_path / "a", "trace", {}, {})
    with pytest.raises(RunError, match="polylore inject run"):
        open_inject(tmp_path / "a")
    RunFolder.open(tmp_path / "b", "inject", {}, {})
    with pytest.raises(RunError, match="no finished training run"):
        open_inject(tmp_path / "b")


def test_margins_over_distractors_gain_like_the_fact(tables):
    found = tables["inject_transfer"].filter(run_id="main", arm="once", depth="memorization")
    for target in ("en", "de"):
        own = found.filter(inject_lang="en", probe_lang=target)
        margin, whole = (one(own, quantity=q) for q in ("margin_gain", "effectivity"))
        # The simulated margin is y + 5: controls' drift, which is in both, is taken off.
        assert margin["value"] == pytest.approx(whole["value"])
        assert [margin["lo"], margin["hi"]] == pytest.approx([whole["lo"], whole["hi"]], rel=0.1)
        assert one(own, quantity="margin_at_peak")["lo"] > 0


def test_losses_of_the_background_are_factors_of_a_pair(tmp_path, made, quick):
    run = made.write(tmp_path / "run", made.small(seeds=1, facts=1, states=60, per_arm=3))
    rows = [
        {"run_id": "main seed 0", "seed": 0, "t": t, "lang": lang, "n_tokens": 9, "loss": loss + t}
        for lang, loss in (("en", 2.0), ("de", 3.0))
        for t in (4, 0)
    ]
    raw = open_inject(run.path)
    read = raw.table
    told = ALL["inject_eval_loss"].build(rows)
    object.__setattr__(
        raw, "table", lambda name, runs: told if name == "inject_eval_loss" else read(name, runs)
    )
    found = pair_factors(raw, ["main seed 0"], raw.log(["main seed 0"]))
    pair = one(found, inject_lang="en", probe_lang="de")
    assert (pair["background_loss_a"], pair["background_loss_b"]) == (2.0, 3.0)


def test_tokens_are_those_that_were_read(tmp_path, made, quick):
    """Every number in tokens leaves padding out, and they all agree."""
    arms = {"once": made.Arm(n=1)}
    sweep = {f"interval_{d}": made.Arm(n=3, interval=d, anchor_last=True) for d in (8, 32)}
    shared = {"langs": ("en",), "per_arm": 10, "controls": 10, "facts": 1, "states": 160,
              "seeds": 1, "swaps": False, "ceiling": False, "stagger": False}  # fmt: skip
    sizes = {"b16": (16, 500), "b64": (64, 600)}
    studies = [made.small(**shared, arms=sweep, every=1, padding=648)]
    for name, (rows, padding) in sizes.items():
        batch = {"condition": name, "match": "none", "batch": rows, "padding": padding}
        studies.append(made.small(**shared, arms=arms, **batch))
    tables = analyse(open_inject(made.write(tmp_path / "run", *studies).path), quick)
    per_step = 32 * 64 - 648
    lines = tables["inject_decay"].filter(run_id="main").drop_nulls("x_intercept_log10")
    assert lines.height
    apart = lines["x_intercept_tokens_log10"] - lines["x_intercept_log10"]
    assert apart.to_list() == pytest.approx([math.log10(per_step)] * lines.height)
    brackets = tables["inject_brackets"].drop_nulls("x_intercept")
    assert brackets.height
    ratio = brackets["x_intercept_tokens"] / brackets["x_intercept"]
    assert ratio.to_list() == pytest.approx([per_step] * brackets.height)
    batch = tables["inject_batch_contrast"].filter(direction="own", depth="memorization")
    by = batch.rows_by_key("quantity", named=True, unique=True)
    for side, (rows, padding) in zip(("small", "large"), sizes.values(), strict=True):
        zero = 1 / by["a_kernel"][side] + math.log10(rows * 64 - padding)
        assert by["zero_tokens_log10"][side] == pytest.approx(zero)
