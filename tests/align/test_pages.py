"""Pictures of the report: what they draw is what the tables say."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from polylore.errors import DataError
from polylore.metrics.align.analysis import Rules, align_tables
from polylore.metrics.align.conduct import conductivity
from polylore.metrics.align.gates import gates
from polylore.report import Chart, Report
from polylore.studies.align.pages import build_report
from polylore.tables.align import ANSWERS, ITEMS

from .test_conduct import answers as told
from .test_conduct import not_joined, one_answer, perfect, valid, world

N = 120


def charts(report: Report) -> dict[str, Chart]:
    return {chart.id: chart for chart in report.charts()}


def texts(right: dict[tuple[str, int | None, str], float]) -> pl.DataFrame:
    """Letters of models that are right so often; wrong answers are always A."""
    rows = []
    for number, ((model, step, lang), share) in enumerate(right.items()):
        knows = np.random.default_rng(number).random(N) < share
        rows += [
            {"model": model, "step": step, "mode": "generate", "variant": "v", "dataset": "s",
             "item": i, "lang": lang, "raw_output": "ABCD"[i % 4] if knows[i] else "A"}
            for i in range(N)
        ]  # fmt: skip
    return ANSWERS.build(rows)


def items() -> pl.DataFrame:
    return ITEMS.build(
        [{"dataset": "s", "item": i, "fact_id": f"s:{i}", "cluster": str(i), "n_options": 4,
          "gold_index": i % 4} for i in range(N)]
    )  # fmt: skip


RULES = Rules(parsers=("robust",), draws=50)


@pytest.fixture(scope="module")
def compared() -> dict[str, pl.DataFrame]:
    right = {("old", None, "en"): 0.9, ("old", None, "de"): 0.6, ("old", None, "fr"): 0.7,
             ("new", None, "en"): 0.8, ("new", None, "de"): 0.8,
             ("new", None, "fr"): 0.0}  # fmt: skip
    rules = replace(RULES, compare=[("new", "old", "de", ())], levels={})
    return align_tables(texts(right), items(), rules=rules)


def test_slopes_are_the_differences(compared: dict[str, pl.DataFrame]) -> None:
    drawn = charts(build_report(compared))
    (slope,) = [chart for name, chart in drawn.items() if name.startswith("align-slopes")]
    ends = slope.frame.pivot(on="side", index=["words", "delta"], values="value")
    assert set(ends["words"]) == {"pivot", "target", "others out of the mix"}
    assert (ends["after"] - ends["before"]).to_list() == pytest.approx(ends["delta"].to_list())
    after = slope.frame.filter(side="after")
    assert (after["low"] <= after["value"]).all()
    assert (after["value"] <= after["high"]).all()


def test_letters_of_a_habit_are_drawn(compared: dict[str, pl.DataFrame]) -> None:
    chart = charts(build_report(compared))["align-letters"]
    # French of the new model is always A, a quarter of the answers are.
    rows = chart.frame.filter(pl.col("panel").str.contains("fr, new"))
    assert rows.select("letter", "share", "right").row(0) == (
        "A", 1.0, pytest.approx(0.25))  # fmt: skip


def test_pairs_that_say_nothing_have_no_colour(compared: dict[str, pl.DataFrame]) -> None:
    chart = charts(build_report(compared))["align-matrix-s"]
    row = chart.frame.filter(model="new", lang="fr").row(0, named=True)
    assert (row["shown"], row["mark"]) == (None, "×")
    row = chart.frame.filter(model="old", lang="de").row(0, named=True)
    assert row["shown"] == row["co_norm"]


def test_curves_need_checkpoints(compared: dict[str, pl.DataFrame]) -> None:
    assert not [name for name in charts(build_report(compared)) if "course" in name]
    right = {("m", step, lang): 0.3 + step / 100 for step in (0, 20, 40) for lang in ("en", "de")}
    made = align_tables(texts(right), items(), rules=RULES)
    drawn = charts(build_report(made))
    frame = drawn["align-course-s"].frame
    assert frame["step"].to_list() == [0, 0, 20, 20, 40, 40]
    assert frame["acc"].to_list() == made["align_cells"].sort("step")["acc"].to_list()
    assert "align-course-consistency-s" in drawn


def conducted() -> dict[str, pl.DataFrame]:
    """An arm that joins its hops, one that does not, and one that learned nothing at first."""
    parts = [
        told(perfect, arm="joins", run_id="a"),
        told(not_joined, arm="apart", run_id="b"),
        told(one_answer, arm="lost", run_id="c", step=0, names=False),
        told(not_joined, arm="lost", run_id="c", step=100, names=False),
    ]
    rows = pl.concat(parts)
    return {
        "align_conductivity": conductivity(rows, world(), valid(), draws=50),
        "align_gates": gates(rows, world()),
    }


def test_matrix_marks_gates_and_ceilings() -> None:
    drawn = charts(build_report(conducted()))
    frame = drawn["align-conductivity-joins-pair"].frame
    cell = frame.filter(source="en", target="de").row(0, named=True)
    assert (cell["mark"], cell["shown"]) == ("1.0", 1.0)
    assert frame.filter(source="en", target="en")["mark"].item() == "(1.0)"
    lost = drawn["align-conductivity-lost-pair"].frame.filter(target="de").row(0, named=True)
    assert (lost["mark"], lost["shown"]) == ("gate", None)


def test_hops_and_learning_curves() -> None:
    tables = conducted()
    drawn = charts(build_report(tables))
    hops = drawn["align-hops"].frame.filter(arm="apart")
    assert dict(hops.select("hop", "value").iter_rows()) == {
        "p_h1": 1, "p_h2": 1, "p_h3": 1, "p_all": 1, "acc_t": 0.25, "predicted": 1}  # fmt: skip
    curve = drawn["align-learning"].frame
    assert set(curve["panel"]) == {"lost, en→de"}  # the only one with steps
    source = curve.filter(component="target_0").sort("step")
    assert source["value"].to_list() == [0.25, 1.0]


def test_what_was_taught_in_both_is_no_conduction() -> None:
    tables = conducted()
    found = [f for f in build_report(tables).findings if "poorly known" in f.text]
    assert "2 of 3" in found[0].detail  # runs that passed
    gate = tables["align_gates"].with_columns(
        trained=pl.when((pl.col("run_id") == "a") & (pl.col("component") == "target_1"))
        .then(pl.lit(True))
        .otherwise("trained")
    )
    found = [f for f in build_report(tables | {"align_gates": gate}).findings
             if "poorly known" in f.text]  # fmt: skip
    assert "1 of 2" in found[0].detail


def test_nothing_to_report() -> None:
    with pytest.raises(DataError, match="Nothing was scored"):
        build_report({})
