"""The trace report when parts of a run are missing, tiny or strange."""

import polars as pl
import pytest

from polylore.report import export_figures, render
from polylore.runs import RunFolder
from polylore.studies.trace.pages import build_report
from polylore.tables import derived, raw

EXPOSURE = ("exposure", "freq_curve", "freq_corr", "threshold", "design")


def ids(report) -> list[str]:
    return [page.id for page in report.pages]


def charts(report) -> set[str]:
    return {chart.id for chart in report.charts()}


def test_a_whole_run_has_every_part(evil_report) -> None:
    assert ids(evil_report) == [
        "overview", "recall", "exposure", "consistency", "acquisition", "facts", "data", "method",
    ]  # fmt: skip
    assert charts(evil_report) == {
        "recall-over-training", "recall-map-taught", "recall-map-held-out", "recall-final",
        "recall-relations", "matchers", "wordings", "exposure-curve", "exposure-auc",
        "exposure-gain", "consistency-over-training", "consistency-summary", "rankc",
        "consistency-matrix", "consistency-norm", "acquired", "acquisition-order",
    }  # fmt: skip


def test_pivot_first_is_never_shown_without_its_warning(evil_report) -> None:
    page = next(p for p in evil_report.pages if p.id == "acquisition")
    words = [getattr(b, "paragraphs", ("",))[0] for b in page.blocks]
    warning = next(i for i, text in enumerate(words) if "expected without any transfer" in text)
    order = next(
        i for i, b in enumerate(page.blocks) if getattr(b, "id", "") == "acquisition-order"
    )
    assert warning < order


def test_wordings_say_what_was_seen(evil_report, evil_run) -> None:
    chart = next(c for c in evil_report.charts() if c.id == "wordings")
    assert set(chart.frame["series"]) == {"wording 0 (seen)", "wording 2 (unseen)"}
    unknown = next(c for c in build_report(evil_run).charts() if c.id == "wordings")
    assert set(unknown.frame["series"]) == {"wording 0", "wording 2"}


CASES = {
    "one checkpoint": ({"steps": (100,)}, {"overview", "recall", "exposure", "consistency"}),
    "one language": ({"languages": ("en",)}, {"overview", "recall", "exposure", "acquisition"}),
    "no exposure": (
        {"exposure": False, "taught": False, "leave_out": EXPOSURE},
        {"overview", "recall", "consistency", "acquisition", "facts", "data"},
    ),
    "no candidates": ({"matchers": ("default", "paper")}, {"overview", "recall"}),
    "no generation": ({"matchers": ("candidates",), "generate": False}, {"overview", "recall"}),
    "one fact": (
        {"facts": 1, "relations": ("a",), "intervals": False, "taught": False},
        {"overview", "recall", "facts"},
    ),
    "no tokens": ({"tokens_per_step": None}, {"overview", "recall", "acquisition"}),
    "other pivot": ({"pivot": "fr"}, {"overview", "consistency"}),
    "unknown languages": ({"languages": ("en", "x-made-up")}, {"overview", "facts"}),
}


@pytest.mark.parametrize("name", CASES)
def test_degenerate_runs_still_make_a_report(name: str, small, synthetic, tmp_path) -> None:
    changes, wanted = CASES[name]
    run = synthetic.write_run(tmp_path / "run", small(**changes))
    report = build_report(run)
    assert wanted <= set(ids(report))
    page = render(report)
    assert page.startswith("\n<!doctype html>") or page.lstrip().startswith("<!doctype html>")
    assert len(export_figures(report, tmp_path / "figures", formats=("svg",))) == len(
        charts(report)
    )


def test_what_cannot_be_shown_is_left_out_and_said(small, synthetic, tmp_path) -> None:
    run = synthetic.write_run(
        tmp_path / "run", small(exposure=False, taught=False, leave_out=EXPOSURE)
    )
    report = build_report(run)
    assert "exposure" not in ids(report)
    assert not any("read more often" in f.text for f in report.findings)
    method = next(p for p in report.pages if p.id == "method")
    said = " ".join(t for b in method.blocks for t in getattr(b, "paragraphs", ()))
    assert "no exposure counts" in said
    assert "exposure none" in next(iter(report.charts())).caption


def test_one_checkpoint_has_no_trajectories(small, synthetic, tmp_path) -> None:
    report = build_report(synthetic.write_run(tmp_path / "run", small(steps=(100,))))
    assert not {"recall-over-training", "consistency-over-training", "acquired"} & charts(report)
    overview = report.pages[0]
    assert "only one checkpoint" in overview.blocks[0].paragraphs[0]
    assert "recall-final" in charts(report)


def test_suspect_checkpoints_stay_out_and_are_named(small, synthetic, tmp_path) -> None:
    run = synthetic.write_run(tmp_path / "run", small())
    table = run.table("checkpoints")
    last = pl.col("ckpt_id") == "step-001000"
    run.write_table("checkpoints", table.with_columns(suspect=last))
    report = build_report(run)
    chart = next(iter(report.charts()))
    assert chart.frame["step"].max() == 100
    assert "step 100" in report.findings[0].text
    method = next(p for p in report.pages if p.id == "method")
    assert any("step-001000" in t for b in method.blocks for t in getattr(b, "paragraphs", ()))


def test_an_empty_run_is_a_report_too(tmp_path) -> None:
    run = RunFolder.open(tmp_path / "run", "trace", {"preset": "default"}, {})
    report = build_report(run)
    assert ids(report) == ["method"]
    assert report.findings == ()
    assert "no table from which a finding" in render(report)


def test_analysis_settings_come_from_the_run(small, synthetic, tmp_path) -> None:
    run = synthetic.write_run(tmp_path / "run", small(pivot="fr"))
    run.manifest["analysis"] = {"analyse": {"pivot": "fr", "draws": 7}}
    report = build_report(run)
    assert "pivot French" in next(iter(report.charts())).caption
    assert "draws = 7" in report.provenance["Settings: analyse"]


def test_never_read_is_counted_from_the_ledger(evil_report, evil_run) -> None:
    data = next(p for p in evil_report.pages if p.id == "data")
    card = next(b for b in data.blocks if getattr(b, "id", "") == "training-card")
    held = (
        evil_run.table("design")
        .group_by("lang")
        .agg((pl.col("condition") == "pivot_only").sum().alias("held"))
    )
    joined = card.frame.join(held, on="lang")
    assert joined["unread"].to_list() == joined["held"].to_list()


def test_different_answers_to_different_wordings_are_all_shown(evil_run, tmp_path) -> None:
    run = RunFolder.open(tmp_path / "run", "trace", {"preset": "default"}, {})
    for name in ("facts", "grades", "recall", "checkpoints"):
        run.write_table(name, evil_run.table(name))
    other = pl.when(pl.col("variant") == 2).then(pl.lit("\n Two \nx")).otherwise(pl.lit(" One"))
    run.write_table("answers", evil_run.table("answers").with_columns(raw_text=other))
    facts = next(p for p in build_report(run).pages if p.id == "facts")
    assert set(facts.blocks[0].answers["answer"]) == {"One / Two"}


def test_the_series_is_silent_about_nothing(evil_run: RunFolder) -> None:
    blocks = {getattr(b, "id", "") for b in _page(evil_run, "data").blocks}
    assert not blocks & {"gaps", "odd-checkpoints"}


def test_gaps_duplicates_and_downloads_are_shown(synthetic, small, tmp_path) -> None:
    run = synthetic.write_run(tmp_path / "run", small())
    checkpoints = run.table("checkpoints").to_dicts()
    ids = [row["ckpt_id"] for row in checkpoints]
    checkpoints[1] |= {"duplicate_of": ids[2], "suspect": True}
    checkpoints[2] |= {"flags": ["prefix_missing"], "requested_step": 99, "used_step": 100}
    run.write_table("checkpoints", raw.CHECKPOINTS.build(checkpoints))
    gap = {"model": "m", "from_step": 1, "to_step": 9, "affected_requests": [4, 5]}
    steps = [[2, 3], list(range(10, 20))]
    gaps = [gap | {"n_missing": len(s), "missing_steps": s} for s in steps]
    run.write_table("gaps", derived.GAPS.build(gaps))
    downloads = {"checkpoints": 3, "downloads": 5, "bytes": 4_200_000_000, "seconds": 61.4}
    run.annotate("downloads", downloads)
    skipped = [[f"folder{i}", "it holds no weights"] for i in range(25)]
    run.annotate("resolved", {"skipped": skipped, "missing": [7]})
    page = _page(run, "data")
    tables = {b.id: b.frame for b in page.blocks if hasattr(b, "frame")}
    assert tables["gaps"]["steps"].to_list() == ["2, 3", "10 to 19"]
    assert tables["gaps"]["asked"].to_list() == ["4, 5", "4, 5"]
    odd = dict(tables["odd-checkpoints"].select("ckpt_id", "remark").iter_rows())
    assert odd == {
        ids[1]: "left out of trajectories",
        ids[2]: "stands for step 99; prefix missing",
    }
    words = " ".join(page.blocks[-1].paragraphs)
    assert "3 checkpoints from the hub, 4.2B bytes in 61 s" in words
    assert "2 had to be fetched again" in words
    assert "not there: 7." in words
    assert "folder19 (it holds no weights) and 5 more." in words
    render(build_report(run))


def _page(run: RunFolder, id: str):
    return next(page for page in build_report(run).pages if page.id == id)
