"""Rules of the acceptance suite: a seed that cannot be judged is not left out."""

import sys
from pathlib import Path

import polars as pl
import pytest

from polylore.files import write_parquet
from polylore.runs import RunFolder

sys.path.insert(0, str(Path(__file__).parents[2]))
rules = pytest.importorskip("acceptance.unify", reason="the acceptance suite is not beside tests")
phase = pytest.importorskip("acceptance.phase")


def test_a_seed_without_a_mark_is_none_and_not_absent() -> None:
    course = pl.DataFrame(
        [(seed, step, acc) for seed in range(3)
         for step, acc in ((0, 0.0), (10, 0.01 + seed), (20, 0.5), (30, 0.001))],
        schema=["seed", "step", "acc_x"], orient="row",
    )  # fmt: skip
    marks = pl.DataFrame({"seed": [0, 1], "mark": ["t_know"] * 2, "at": [25.0, None]})
    # Step 0 and what comes after the mark do not count.
    assert rules.lowest_before_knowing(course, marks) == [0.01, None, None]
    early = pl.DataFrame({"seed": [0], "mark": ["t_know"], "at": [5.0]})
    assert rules.lowest_before_knowing(course.filter(seed=0), early) == [None]


def test_raw_tables_of_units_are_compared(finished: RunFolder, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(finished.path, tmp_path / "broken")
    broken = RunFolder.load(tmp_path / "broken")
    count, different = phase.compare_units(finished, broken)
    assert count > 4 * 10
    assert different == []
    path = broken.unit_path("apart seed 1") / "unify_answers.parquet"
    answers = pl.read_parquet(path)
    write_parquet(answers.with_columns(pl.col("logp_gold") + 1e-12), path)
    assert phase.compare_units(finished, broken)[1] == ["unify_answers of apart seed 1"]
