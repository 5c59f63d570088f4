"""The page on pathways: its parts, its caution, and verdicts only where there are intervals."""

import polars as pl
import pytest

from polylore import metrics
from polylore.report import export_figures, render
from polylore.runs import RunFolder
from polylore.studies.trace.config import AnalyseConfig
from polylore.studies.trace.pages import build_report
from polylore.studies.trace.pathways import pathway_matcher, pathway_tables, rules_of


def follow(run: RunFolder, *, draws: int = 40, **changes: object) -> RunFolder:
    """Add the tables about pathways to a made-up run."""
    facts, checkpoints, grades = (run.table(n) for n in ("facts", "checkpoints", "grades"))
    counted = run.table("exposure") if run.has_table("exposure") else None
    config = AnalyseConfig(**changes)
    matcher = pathway_matcher(grades, "default")
    assert matcher is not None
    tables = pathway_tables(
        grades=grades,
        facts=facts,
        checkpoints=checkpoints,
        exposure=None if counted is None else metrics.exposure_at(counted, checkpoints, facts),
        rules=rules_of(config, counted),
        matcher=matcher,
        scores=None,
        copied=None,
        draws=metrics.cluster_draws(facts, n=draws) if draws else None,
        seed=0,
    )
    for name, frame in tables.items():
        run.write_table(name, frame)
    return run


@pytest.fixture(scope="module")
def spec(synthetic):
    return synthetic.Spec(
        languages=("en", "fr", "ru", "ja"),
        facts=90,
        relations=("capital_of", "continent"),
        steps=(0, 10, 100, 1000, 5000),
        variants=(0,),
        matchers=("default", "paper"),
    )


@pytest.fixture(scope="module")
def followed(synthetic, spec, tmp_path_factory) -> RunFolder:
    run = synthetic.write_run(tmp_path_factory.mktemp("pathways") / "run", spec)
    return follow(run, sustained=1)


def pathways(report):
    return next(page for page in report.pages if page.id == "pathways")


def test_the_page_has_its_parts(followed, tmp_path) -> None:
    report = build_report(followed)
    page = pathways(report)
    ids = [getattr(block, "id", "caution") for block in page.blocks]
    assert ids == [
        "caution", "transfer-rate", "transfer-relations", "composition", "transfer-over-training",
        "ladder", "lag-expected", "labels", "transfer-controls", "hazard", "balance",
    ]  # fmt: skip
    for block in page.blocks[1:]:
        assert "pivot English" in block.caption
        assert "matcher default" in block.caption
    rates = page.blocks[1].frame
    assert rates["lo"].null_count() == 0
    # The made-up French objects are spelled like the English ones: no fact of it can tell.
    assert set(rates["language"]) == {"Russian", "Japanese", "All languages"}
    assert "<script" in render(report)
    charts = [b for b in page.blocks if hasattr(b, "spec")]
    made = export_figures(report, tmp_path / "figures", formats=("svg",))
    assert {c.id for c in charts} <= {path.stem for path in made}


def test_parts_of_right_answers_are_stacked(followed) -> None:
    chart = next(
        b for b in pathways(build_report(followed)).blocks if getattr(b, "id", "") == "composition"
    )
    frame = chart.frame
    composition = followed.table("composition").filter(
        pl.col("lang") == "ja", relation="all", stratum="all"
    )
    top = frame.filter(language="Japanese").group_by("step").agg(pl.col("end").max())
    expected = composition.select("step", share=pl.col("right") / pl.col("n"))
    both = top.join(expected, on="step").filter(pl.col("end") > 0)
    assert both.height
    assert both["end"].to_numpy() == pytest.approx(both["share"].to_numpy())
    assert (frame["end"] >= frame["start"]).all()


def transfer(report):
    return next(f for f in report.findings if "leaves unexplained" in f.text)


def test_a_verdict_needs_an_interval(synthetic, spec, followed, tmp_path) -> None:
    finding = transfer(build_report(followed))
    assert finding.verdict in ("confirmed", "not confirmed", "undecided")
    assert "Against the second curve" in finding.detail
    bare = follow(synthetic.write_run(tmp_path / "bare", spec), draws=0)
    without = transfer(build_report(bare))
    assert without.verdict == "undecided"
    assert "no interval" in without.text
    assert not any("in AUC" in f.text for f in build_report(bare).findings)


def test_without_counts_no_transfer_is_claimed(synthetic, spec, tmp_path) -> None:
    from dataclasses import replace

    changed = replace(spec, exposure=False, taught=False)
    run = follow(synthetic.write_run(tmp_path / "run", changed), draws=20)
    report = build_report(run)
    caution = pathways(report).blocks[0]
    assert "frequency and transfer cannot be told apart" in " ".join(caution.paragraphs)
    assert not any("leaves unexplained" in f.text for f in report.findings)
    assert not any("after English on average" in f.text for f in report.findings)


def test_one_checkpoint_shows_bars(synthetic, spec, tmp_path) -> None:
    from dataclasses import replace

    run = follow(synthetic.write_run(tmp_path / "run", replace(spec, steps=(5000,))), draws=20)
    ids = [getattr(block, "id", "") for block in pathways(build_report(run)).blocks]
    assert "composition" in ids
    assert not {"transfer-over-training", "lag-expected", "hazard"} & set(ids)
    assert len(export_figures(build_report(run), tmp_path / "figures", formats=("svg",)))


def test_missing_pathways_are_named(synthetic, spec, tmp_path) -> None:
    report = build_report(synthetic.write_run(tmp_path / "run", spec))
    assert "pathways" not in [page.id for page in report.pages]
    method = next(p for p in report.pages if p.id == "method")
    said = " ".join(t for b in method.blocks for t in getattr(b, "paragraphs", ()))
    assert "Pathways: they need the pivot" in said


def test_rules_follow_the_counts() -> None:
    from polylore.tables.raw import EXPOSURE

    row = {
        "source": "s",
        "fact_id": "1",
        "lang": "en",
        "count": 1,
        "unit": "document",
        "exposure_kind": "total",
        "lang_conditioned": True,
        "policy_id": "default",
    }
    config = AnalyseConfig()
    assert rules_of(config, None).string_level
    assert not rules_of(config, EXPOSURE.build([row])).string_level
    assert rules_of(config, EXPOSURE.build([row | {"lang_conditioned": False}])).string_level
    assert rules_of(config, EXPOSURE.build([row | {"policy_id": "paper"}])).string_level
