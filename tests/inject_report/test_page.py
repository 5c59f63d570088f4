"""The page: every figure with its data, findings with verdicts, and odd runs that read well."""

import shutil

import polars as pl
import pytest
from click.testing import CliRunner

from polylore.cli.inject import inject
from polylore.files import read_json
from polylore.report import Chart, Prose, TableView, render
from polylore.studies.inject.analyse import DERIVED, analyse, main_condition
from polylore.studies.inject.context import InjectContext, short
from polylore.studies.inject.findings import findings, verdict_of
from polylore.studies.inject.pages import build_report
from polylore.studies.inject.raw import open_inject
from polylore.studies.inject.report import _beside, _exposures, _windows
from polylore.studies.inject.sections.forgetting import _reaches
from polylore.studies.inject.sections.trust import trust_page

FIGURES = {
    "inject-course", "inject-effectivity", "inject-by-exposure", "inject-retention",
    "inject-kernels", "inject-forms", "inject-kappa", "inject-matrix-effectivity",
    "inject-matrix-source-normalised", "inject-matrix-target-normalised", "inject-matrix-a-kernel",
    "inject-pairs-duplication", "inject-dose", "inject-false", "inject-dedup", "inject-answers",
}  # fmt: skip


def page(raw, made):
    tables = {**made, **_beside(raw), "_exposures": _exposures(raw)}
    gone = raw.planned.filter(~pl.col("run_id").is_in(raw.runs["run_id"].implode()))
    return build_report(tables, main=main_condition(raw), missing=gone)


def analysed(folder, config):
    raw = open_inject(folder)
    return page(raw, analyse(raw, config))


def charts(report):
    return {b.id: b for p in report.pages for b in p.blocks if isinstance(b, Chart)}


@pytest.fixture(scope="module")
def written(study):
    done = CliRunner().invoke(
        inject,
        ["report", str(study), "-q", "--resamples", "60", "--form-resamples", "5",
         "--shuffles", "20"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert f"Report: {study / 'report.html'}" in done.output
    return study


def test_the_command_writes_page_figures_and_tables(written):
    study = written
    text = (study / "report.html").read_text(encoding="utf-8")
    assert "How a fact comes and goes" in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    drawn = {path.stem for path in (study / "figures").glob("*.svg")}
    assert drawn >= FIGURES
    for name in DERIVED:
        assert (study / "tables" / f"{name}.csv").is_file()
        assert (study / "tables" / f"{name}.parquet").is_file()
    noted = read_json(study / "manifest.json")["analysis"]["analyse"]
    assert noted["resamples"] == 60
    assert noted["seed"] == 0


def test_every_trajectory_holds_the_control_and_its_exposures(written):
    raw = open_inject(written)
    found = charts(page(raw, {name: raw.folder.table(name) for name in DERIVED}))
    for name in ("inject-course", "inject-pairs-duplication"):
        frame = found[name].frame
        marks = frame.drop_nulls("at")
        assert marks.height
        assert frame.filter(pl.col("rise").is_not_null())["control"].null_count() == 0
    panel = found["inject-course"].frame.filter(panel="duplication, memorization")
    assert panel.drop_nulls("at")["at"].to_list() == [24.0 * k for k in range(6)]
    beside = found["inject-effectivity"].frame
    assert beside["control_estimate"].null_count() == 0


def test_half_life_and_zero_stand_by_three_clocks_on_the_page(written):
    raw = open_inject(written)
    report = page(raw, {name: raw.folder.table(name) for name in DERIVED})
    blocks = {b.id: b for p in report.pages for b in p.blocks if isinstance(b, TableView)}
    view = blocks["inject-kernels-table"]
    assert [view.labels[f"zero{clock}_said"] for clock in ("", "_tokens", "_sum_lr")] == [
        "Zero, steps", "Zero, tokens", "Zero, Σ LR",
    ]  # fmt: skip
    row = view.frame.drop_nulls("a").row(0, named=True)
    steps, tokens = row["observed"], short(row["observed"] * 32 * 64)
    assert (row["zero"], row["zero_said"]) == (None, f"> {steps}")
    assert row["zero_tokens_said"] == f"> {tokens}"
    assert row["zero_sum_lr_said"] == f"> {steps * 5e-4:.3g}"
    # The study was read at every fourth state.
    text = render(report)
    missing = raw.folder.table("inject_decay").filter(run_id="main")["n_missing"].max()
    assert f"{missing} states are missing in" in text


def test_a_lag_is_shown_with_its_ends():
    row = {"a": 0.4, "lo": 0.3, "observed": 60, "zero": 20_000.4, "zero_lo": 8.2, "zero_hi": None}
    frame = pl.DataFrame([row, row | {"a": None}, row | {"lo": None}], infer_schema_length=None)
    assert _reaches(frame, "zero", "") == ["20K [8, > 60]", None, "20K"]


def test_thresholds_stand_in_tokens_beside_steps():
    bracket = {
        "run_id": "sweep", "depth": "memorization", "inject_lang": "en", "probe_lang": "en",
        "bracket_lo": 16, "bracket_hi": 64, "tokens_lo": 32_768.0, "tokens_hi": 131_072.0,
        "censored": "none", "x_intercept": 100.0, "x_intercept_tokens": 204_800.0,
    }  # fmt: skip
    tables = {"inject_brackets": pl.DataFrame([bracket]),
              "inject_effectivity": gains(("en", 0.5, 0.4, 0.6))}  # fmt: skip
    found = findings(InjectContext(tables, "main"))[-1]
    assert found.text == (
        "Exposures stop accumulating at an interval of 16 to 64 steps, 32.8K to 131K tokens (en)."
    )
    assert "(x-intercept 100 steps, 205K tokens)" in found.detail


def test_scores_of_target_and_suffix_together_are_marked(tmp_path, made, quick):
    """All probes in German, and half of the semantic ones in English, end in a verb."""
    study = made.small(facts=2, states=120, seeds=2)
    run = made.write(tmp_path / "run", study)
    ends = (pl.col("probe_lang") == "de") | (
        (pl.col("depth") == "semantic") & pl.col("fact_id").str.ends_with("rel1")
    )
    for seed in range(study.seeds):
        name, tables = made.tables_of(study, seed)
        tables["inject_log"] = tables["inject_log"].with_columns(
            flags=pl.when(ends).then(pl.lit(["target_suffix"])).otherwise("flags")
        )
        shutil.rmtree(run.unit_path(name))
        run.write_unit(name, tables)
    raw = open_inject(run.path)
    found = analyse(raw, quick)
    for name in (
        "inject_effectivity", "inject_kernels", "inject_kernel_gains", "inject_transfer"
    ):  # fmt: skip
        for run_id in ("main", "main seed 1"):
            own = found[name].filter(run_id=run_id)
            if name == "inject_transfer" and run_id != "main":
                continue
            shares = {
                (depth, lang): set(rows["suffixed"])
                for (depth, lang), rows in own.group_by("depth", "probe_lang")
            }
            assert shares["memorization", "de"] == {1.0}
            assert shares["memorization", "en"] == {0.0}
            assert shares["semantic", "en"] == {0.5}
    report = page(raw, found)
    text = render(report)
    assert "24 of 36 cells (asked in de, en) hold probes" in text
    assert "With suffix (de, en)" in text
    blocks = {b.id: b for p in report.pages for b in p.blocks if isinstance(b, TableView)}
    for name in ("inject-effectivity-table", "inject-transfer-table", "inject-margins"):
        assert blocks[name].labels["suffixed"] == "With suffix"
        assert "distractors with the same suffix" in blocks[name].caption


def test_the_page_says_that_windows_are_cut(written):
    """Gaps of 24 steps in a window of 50: two languages, two seeds, twelve items of an arm."""
    text = (written / "report.html").read_text(encoding="utf-8")
    for arm in ("duplication", "paraphrase"):
        assert f"120 of 120 in {arm} (100\N{NO-BREAK SPACE}%; at the shortest to 24 of 50 " in text


def cautions(raw, config):
    tables = {"inject_runs": raw.runs, "_windows": _windows(raw, config)}
    blocks = trust_page(InjectContext(tables, "main")).blocks
    said = [p for b in blocks if isinstance(b, Prose) for p in b.paragraphs]
    return [p for p in said if "it is cut so after" in p]


def test_cut_windows_are_counted_where_gaps_are_drawn(tmp_path, made, quick):
    """No two items share a gap, so no time is that of most items."""
    study = made.small(seeds=1, langs=("en",), states=40)
    name, tables = made.tables_of(study, 0)
    place = pl.col("item_id").str.slice(4).str.to_integer()
    # Gaps of one item are equal: of 4, 5, ... steps, and of 1 step once.
    step = 8 + pl.col("exposure") * (place + 4) - 3 * (place == 0) * (pl.col("exposure") > 2)
    drawn = pl.col("arm") == "duplication"
    tables["inject_schedule"] = tables["inject_schedule"].with_columns(
        step=pl.when(drawn).then(step).otherwise("step")
    )
    run = made.write(tmp_path / "run", study)
    shutil.rmtree(run.unit_path(name))
    run.write_unit(name, tables)
    raw = open_inject(run.path)
    (said,) = cautions(raw, quick.model_copy(update={"window": 20}))
    assert (
        "Of the exposures that another one follows, it is cut so after 30 of 60 in duplication "
        "(50 %; at the shortest to 1 of 20 steps). A gain"
    ) in said
    (said,) = cautions(raw, quick)
    assert "60 of 60 in duplication (100 %; at the shortest to 1 of 50 steps); 60 of 60 in " in said
    # The smallest gap of all is 1 step: nothing is cut, and nothing said.
    assert not cautions(raw, quick.model_copy(update={"window": 1}))


def test_nothing_is_said_of_suffixes_where_there_are_none(written):
    raw = open_inject(written)
    report = page(raw, {name: raw.folder.table(name) for name in DERIVED})
    assert "With suffix (" not in render(report)
    assert "hold probes whose target" not in render(report)
    for block in (b for p in report.pages for b in p.blocks if isinstance(b, TableView)):
        assert "suffixed" not in block.labels


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"langs": ("en",), "seeds": 1}, "One seed only"),
        ({"per_arm": 2, "controls": 2, "seeds": 1}, "fewer than ten items"),
        ({"controls": 0, "seeds": 1, "langs": ("en",)}, "nothing there can be corrected"),
    ],
)
def test_odd_runs_read_well(tmp_path, made, quick, changes, words):
    run = made.write(tmp_path / "run", made.small(facts=1, states=120, **changes))
    config = quick.model_copy(update={"no_control": changes.get("controls") == 0})
    report = analysed(run.path, config)
    text = render(report)
    assert words in text
    assert "NaN" not in "".join(f.text + f.detail for f in report.findings)
    titles = [p.title for p in report.pages]
    assert ("Across languages" in titles) == ("langs" not in changes)


def test_unfinished_runs_say_what_is_missing(tmp_path, made, quick):
    run = made.write(tmp_path / "run", made.small(langs=("en",), facts=1, states=120))
    (run.unit_path("main seed 1") / "done.json").unlink()
    report = analysed(run.path, quick)
    assert report.glance[0] == ("1 of 2", "training runs")
    assert "1 of 2 training runs are not there yet" in render(report)


def claims(*verdicts):
    return pl.DataFrame(
        {"claim_id": "1a", "statement": "An exposure raises y.", "case": [f"c{k}" for k in
         range(len(verdicts))], "measure": "E_cf", "estimate": 0.5, "lo": 0.1, "hi": 0.9,
         "verdict": verdicts, "reason": None}
    )  # fmt: skip


def test_verdicts_over_cases():
    assert verdict_of(claims("shown", "shown")) == "confirmed"
    assert verdict_of(claims("contradicted", "undetermined")) == "not confirmed"
    assert verdict_of(claims("shown", "contradicted")) == "undecided"
    assert verdict_of(claims("undetermined")) == "undecided"
    context = InjectContext({"inject_claims": claims("shown", "undetermined")}, "main")
    (found,) = findings(context)
    assert found.text == "An exposure raises y."
    assert "of 2 cases: 1 shown, 1 undetermined" in found.detail
    assert "c0 0.500 [0.100, 0.900]" in found.detail


def test_a_claim_without_a_number_says_its_reason_once_and_counts_what_is_left_out():
    told = claims(*["undetermined"] * 8).with_columns(
        estimate=pl.lit(None, pl.Float64), reason=pl.lit("nothing_learned_to_be_forgotten")
    )
    (found,) = findings(InjectContext({"inject_claims": told}, "main"))
    why = "nothing was surely learned that could be forgotten"
    assert found.detail.count(why) == 6
    assert f"c0 undetermined: {why}; c1" in found.detail
    assert found.detail.endswith("; 2 more on the page of claims.")


def gains(*rows):
    """Pooled gains of one arm: pair of languages, estimate, interval, reason."""
    return pl.DataFrame(
        [
            {"run_id": "main", "arm": "once", "depth": "memorization", "inject_lang": lang,
             "probe_lang": lang, "exposure": None, "preset": "default", "estimate": value,
             "lo": lo, "hi": hi, "reason": None if lo is not None else "few_items"}
            for lang, value, lo, hi in rows
        ],
        schema_overrides={"exposure": pl.Int32, "lo": pl.Float64, "hi": pl.Float64},
    )  # fmt: skip


def headline(gained, halves=0.02):
    false = pl.DataFrame(
        {"run_id": "main", "depth": "memorization", "quantity": ["halves_false", "paper_false"],
         "value": [halves, 0.4]}
    )  # fmt: skip
    tables = {"inject_effectivity": gained, "inject_controls": false}
    return findings(InjectContext(tables, "main"))[0]


def test_the_headline_says_no_more_than_intervals_bear():
    few = headline(gains(("de", 0.01, None, None), ("en", 0.02, None, None)))
    assert few.text == (
        "Whether one exposure adds anything is undetermined: none of 2 cells has an interval "
        "(fewer than ten items)."
    )
    unsure = headline(gains(("de", 0.5, -0.1, 1.1), ("en", 0.1, 0.01, 0.2)))
    assert unsure.text == (
        "No gain per exposure is surely above what items never injected show: of 2 cells none has "
        "its interval there."
    )
    sure = headline(gains(("de", 0.9, 0.01, 1.8), ("en", 0.5, 0.4, 0.6)))
    assert sure.text.startswith(
        "One exposure adds 0.50 [0.40, 0.60] nats per token where it is surest (once, "
        "memorization, told and asked in en); 1 of 2 cells"
    )
    many = headline(gains(*((f"l{k}", 0.5, 0.4, 0.6) for k in range(9))))
    assert "; 3 more on the page of gains." in many.detail
    assert "once (l5 → l5) 0.500" in many.detail
    assert "l6" not in many.detail
