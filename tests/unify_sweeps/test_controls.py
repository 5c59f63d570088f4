"""Rates chosen beforehand, and arms that stand beside a sweep: one language, translation pairs."""

import threading
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from polylore.errors import ConfigError
from polylore.runs import RunFolder
from polylore.studies.unify import watching
from polylore.studies.unify.conditions import conditions
from polylore.studies.unify.config import SweepConfig
from polylore.studies.unify.report import report
from polylore.studies.unify.study import run_sweep, tasks_of
from polylore.studies.unify.tuning import FOLDER, KIND, SEED, tuned
from polylore.tables import unify as raw
from polylore.tables import unify_results as results

RATES = [1e-4, 1e-2, 1e39]


@pytest.fixture(scope="module")
def controls(tiny: SweepConfig) -> SweepConfig:
    """Two controls, of which each tries three rates; with the last one it diverges."""
    arms = [
        {"name": "one language", "set": {"world.ratio": [1, 0]}},
        {"name": "pairs", "set": {"world.p": 0.5, "world.concatenate": 0.5}},
    ]
    measure = {**tiny.measure.plain(), "items": 16}
    plain = {**tiny.plain(), "arms": arms, "seeds": 1, "lr_grid": RATES, "measure": measure}
    return SweepConfig.parse(plain)


@pytest.fixture(scope="module")
def tuned_run(controls: SweepConfig, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    run = run_sweep(controls, tmp_path_factory.mktemp("tuned") / "run")
    report(run)
    return run


def test_the_rate_that_learns_most_is_chosen_on_another_world(tuned_run: RunFolder) -> None:
    table = tuned_run.table("unify_tuning")
    assert table.select("condition", "lr").n_unique() == table.height == 6
    assert set(table["seed"]) == {SEED}
    assert set(table.filter(lr=1e39)["status"]) == {"diverged"}
    assert table.filter("chosen")["condition"].to_list() == ["one language", "pairs"]
    for _, own in table.group_by("condition"):
        kept = own.filter(pl.col("status") != "diverged")
        best = kept.sort(-pl.col("acc_train"), "loss_train")["lr"][0]
        assert own.filter("chosen")["lr"].to_list() == [best]
    runs = tuned_run.table("unify_runs")
    chosen = dict(table.filter("chosen").select("condition", "lr").iter_rows())
    assert dict(runs.select("condition", "lr").iter_rows()) == chosen
    worlds = {path.name for path in (tuned_run.path / FOLDER / "worlds").iterdir()}
    assert not worlds & {path.name for path in (tuned_run.path / "worlds").iterdir()}
    assert "Learning rates tried" in (tuned_run.path / "report.html").read_text(encoding="utf-8")


def test_a_finished_sweep_tries_no_rate_again(tuned_run: RunFolder, controls: SweepConfig) -> None:
    before = {p: p.stat().st_mtime_ns for p in tuned_run.path.rglob("done.json")}
    run_sweep(controls, tuned_run.path)
    assert before == {p: p.stat().st_mtime_ns for p in tuned_run.path.rglob("done.json")}


def made_up(tmp_path: Path, rows: list[tuple[str, float, str, float, float]]) -> RunFolder:
    """A finished tuning with given ends."""
    run = RunFolder.open(tmp_path / "run", KIND, {}, {})
    for name, rate, status, acc, loss in rows:
        who = {"run_hash": f"{name} {rate}", "step": 4}
        head = {"condition": name, "family": "f", "seed": SEED, "device": "cpu", "steps": 4,
                "status": status, "lr": rate, "run_hash": who["run_hash"]}  # fmt: skip
        ends: dict[str, Any] = {"acc_train": acc, "loss_train": loss, "chance": 0.1,
                                "loss_uniform": 1.0, "loss_language": 1.0}  # fmt: skip
        course = results.COURSE.build([{**who, "step": 0, **ends, "acc_train": 1.0},
                                       {**who, **ends}])  # fmt: skip
        run.write_unit(
            f"{name} rate {rate:g}", {"unify_runs": raw.RUNS.build([head]), "unify_course": course}
        )
    return run


def test_recall_decides_then_loss_and_a_diverged_rate_never(tmp_path: Path) -> None:
    run = made_up(
        tmp_path,
        [("a", 1e-3, "underfit", 0.7, 0.5), ("a", 3e-3, "done", 0.97, 0.3),
         ("a", 1e-2, "done", 0.97, 0.2), ("a", 3e-2, "diverged", 0.99, 0.1),
         ("b", 1e-3, "diverged", 0.9, 0.1)],
    )  # fmt: skip
    assert tuned(run).filter("chosen").select("condition", "lr").rows() == [("a", 1e-2)]


def test_rates_are_given_once_and_not_varied_beside(controls: SweepConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="every rate must be given once"):
        SweepConfig.parse({**controls.plain(), "lr_grid": [1e-3, 1e-3]})
    grid = {"recipe.learning_rate": [1e-3, 2e-3]}
    both = SweepConfig.parse({**controls.plain(), "arms": [], "grid": grid})
    with pytest.raises(ConfigError, match="are the same run"):
        run_sweep(both, tmp_path / "run")
    hopeless = SweepConfig.parse({**controls.plain(), "arms": [], "lr_grid": [1e39]})
    with pytest.raises(
        ConfigError, match=r"'run' diverges with every learning rate of lr_grid.*another folder"
    ):
        run_sweep(hopeless, tmp_path / "other")


def test_one_language_is_recalled_and_transfers_nothing(tuned_run: RunFolder) -> None:
    (hash_,) = tuned_run.table("unify_runs").filter(condition="one language")["run_hash"]
    course = tuned_run.table("unify_course").filter(run_hash=hash_)
    assert course["acc_train"].null_count() == 0
    assert course["acc_x"].null_count() == course.height
    assert not tuned_run.table("unify_unification").filter(run_hash=hash_).height
    assert not tuned_run.read("unify_edits", ["one language seed 0"]).height


def test_pairs_are_part_of_a_run(tuned_run: RunFolder, controls: SweepConfig) -> None:
    pairs = tuned_run.table("unify_runs").filter(condition="pairs").row(0, named=True)
    assert pairs["modulation"] == "concatenated(0.5)"
    exposure = tuned_run.read("unify_exposure", ["pairs seed 0"])
    assert exposure["count"].sum() > 4 * 32
    answers = tuned_run.read("unify_answers", ["pairs seed 0"])
    course = tuned_run.table("unify_course").filter(run_hash=pairs["run_hash"])
    assert answers["tokens"][0] == course["tokens"].max() == exposure["tokens"][0]


def test_a_second_sample_of_items_stands_beside_the_first(finished: RunFolder) -> None:
    sims = finished.read("unify_sims").filter(item_kind="fact", layer=2)
    samples = {name for name in sims["items"].unique() if name.endswith(" again")}
    assert samples == {"mono again"}
    for (run,), own in sims.group_by("run_hash"):
        first, second = (set(own.filter(items=name)["item"]) for name in ("mono", "mono again"))
        if second:  # of as few facts as fit one sample there is no other
            assert first != second, run
            assert len(first) == len(second)


def test_how_far_runs_are_is_read_from_what_they_wrote(
    finished: RunFolder, tiny: SweepConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [task for one in conditions(tiny) for task in tasks_of(one, tiny)]
    assert watching.steps_done(finished, tasks) == 4 * 4
    run = RunFolder.open(tmp_path / "run", "unify", tiny.question(), {})
    for step in ("step-000000", "step-000003", ".step-000004.tmp"):
        (watching.unfinished(run.path, tasks[0].unit) / "evaluations" / step).mkdir(parents=True)
    assert watching.steps_done(run, tasks) == 3
    monkeypatch.setattr(watching, "EVERY", 0.01)
    said: list[tuple[int, int, str]] = []
    looked = threading.Event()

    def progress(done: int, total: int, what: str) -> None:
        said.append((done, total, what))
        if len(said) > 2:
            looked.set()

    with watching.watched(run, tasks, progress):
        assert looked.wait(60)
    assert set(said) == {(3, 16, "training steps")}
    assert not [t for t in threading.enumerate() if t.name == "training steps"]
