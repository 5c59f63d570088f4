"""The rule of verdicts, and the findings of a trace that rest on it."""

import polars as pl
import pytest

from polylore.report import Case, judge, tally
from polylore.studies.trace.pages import build_report

FOR, AGAINST, OPEN, BLIND = (0.1, 0.3), (-0.3, 0.0), (-0.1, 0.2), (None, None)


def cases(*intervals: tuple[float | None, float | None]) -> list[Case]:
    return [Case(f"L{i}", low, high, 0.0) for i, (low, high) in enumerate(intervals)]


@pytest.mark.parametrize(
    ("intervals", "verdict"),
    [
        ((FOR, FOR), "confirmed"),
        ((FOR, OPEN), "undecided"),
        ((FOR, BLIND), "undecided"),
        ((FOR, AGAINST), "undecided"),
        ((AGAINST, OPEN), "not confirmed"),
        ((AGAINST, AGAINST), "not confirmed"),
        ((OPEN, OPEN), "undecided"),
        ((BLIND,), "undecided"),
        ((), "undecided"),
        (((0.0, 0.2),), "undecided"),
    ],
)
def test_rule(intervals, verdict: str) -> None:
    assert judge(cases(*intervals)) == verdict


def test_tally_names_who_does_not_agree() -> None:
    words = tally(cases(FOR, FOR, OPEN, AGAINST))
    assert words == "Of 4: confirmed in 2, undecided in 1 (L2), not confirmed in 1 (L3)."


def run_with(small, synthetic, path, **changes):
    return synthetic.write_run(path, small(**changes))


def by_start(run, start: str):
    found = [f for f in build_report(run).findings if f.text.startswith(start)]
    assert len(found) == 1, [f.text for f in build_report(run).findings]
    return found[0]


def test_nothing_is_confirmed_without_intervals(small, synthetic, tmp_path) -> None:
    run = run_with(small, synthetic, tmp_path / "run", intervals=False)
    report = build_report(run)
    assert len(report.findings) >= 5
    assert {f.verdict for f in report.findings} <= {None, "undecided"}


def change_recall(run, **columns):
    """Replace columns of the recall table by constants."""
    table = run.table("recall")
    run.write_table("recall", table.with_columns(**columns))


def test_baseline_verdict_follows_the_corrected_interval(small, synthetic, tmp_path) -> None:
    run = run_with(small, synthetic, tmp_path / "run")
    change_recall(run, gc_lo=pl.lit(0.01), gc_hi=pl.lit(0.5))
    above = by_start(run, "Recall is above")
    assert above.verdict == "confirmed"
    assert "4 of 4 languages" in above.text
    change_recall(run, gc_lo=pl.when(pl.col("lang") == "ar").then(-0.1).otherwise(0.01))
    mixed = by_start(run, "Recall is above")
    assert mixed.verdict == "undecided"
    assert "3 of 4 languages" in mixed.text
    assert "undecided in 1 (Arabic)" in mixed.detail
    change_recall(run, gc_lo=pl.lit(-0.2), gc_hi=pl.lit(-0.1))
    assert by_start(run, "Recall is above").verdict == "not confirmed"
    assert by_start(run, "Facts never read").verdict == "not confirmed"


def test_never_read_finding_leaves_the_pivot_out(small, synthetic, tmp_path) -> None:
    run = run_with(small, synthetic, tmp_path / "run")
    # Nothing is held out of the pivot by design, but a real corpus may lack a fact in it.
    table = run.table("recall")
    french = (pl.col("lang") == "fr") & (pl.col("stratum") == "held_out")
    pivot = table.filter(french).with_columns(lang=pl.lit("en"))
    run.write_table("recall", pl.concat([table, pivot]))
    finding = by_start(run, "Facts never read")
    assert "of 3 languages" in finding.text
    assert "English" not in finding.text


def test_exposure_verdict_needs_every_lower_end_above_one_half(small, synthetic, tmp_path) -> None:
    run = run_with(small, synthetic, tmp_path / "run")
    table = run.table("freq_corr").with_columns(auc=pl.lit(0.7), auc_lo=pl.lit(0.51))
    run.write_table("freq_corr", table.with_columns(auc_hi=pl.lit(0.9)))
    assert by_start(run, "Facts that were read more often").verdict == "confirmed"
    assert "4 of 4 languages" in by_start(run, "Facts that were read more often").text
    run.write_table("freq_corr", table.with_columns(auc_lo=pl.lit(0.5), auc_hi=pl.lit(0.9)))
    assert by_start(run, "Facts that were read more often").verdict == "undecided"


def test_pooled_languages_are_no_language(small, synthetic, tmp_path) -> None:
    run = run_with(small, synthetic, tmp_path / "run")
    table = run.table("freq_corr")
    pooled = table.filter(pl.col("lang") == "en").with_columns(lang=pl.lit("all"))
    run.write_table("freq_corr", pl.concat([table, pooled]))
    finding = by_start(run, "Facts that were read more often")
    assert "of 4 languages" in finding.text
    assert "All languages pooled: " in finding.detail
    chart = next(c for c in build_report(run).charts() if c.id == "exposure-auc")
    assert chart.frame["language"].to_list()[-1] == "All languages"


def test_earliest_language_is_confirmed_only_if_medians_are_apart(
    small, synthetic, tmp_path
) -> None:
    run = run_with(small, synthetic, tmp_path / "run", languages=("en", "fr"))
    table = run.table("survival")
    late = pl.when(pl.col("lang") == "fr").then(1000).otherwise(10)
    share = pl.when(pl.col("step") >= late).then(0.9).otherwise(0.1)
    sure = table.with_columns(share_acquired=share, lo=share - 0.05, hi=share + 0.05)
    run.write_table("survival", sure)
    finding = by_start(run, "Half of all facts")
    assert finding.verdict == "confirmed"
    assert "41k tokens in English" in finding.text
    assert "4.1M in French" in finding.text
    run.write_table("survival", sure.with_columns(lo=share - 0.8, hi=pl.lit(1.0)))
    assert by_start(run, "Half of all facts").verdict == "undecided"
    same = pl.when(pl.col("step") >= 10).then(0.9).otherwise(0.1)
    run.write_table("survival", sure.with_columns(share_acquired=same))
    assert "in English, French alike." in by_start(run, "Half of all facts").text


def test_findings_name_best_and_worst(evil_run, evil_report) -> None:
    end = evil_run.table("recall").filter(
        (pl.col("step") == 1000)
        & (pl.col("relation") == "all")
        & (pl.col("stratum") == "taught")
        & (pl.col("matcher") == "default")
    )
    best = end.sort("acc", descending=True).row(0, named=True)
    first = evil_report.findings[0]
    assert first.verdict is None
    assert f"{100 * best['acc']:.1f} %" in first.text
    assert f"[{100 * best['lo']:.1f}, {100 * best['hi']:.1f}]" in first.text
