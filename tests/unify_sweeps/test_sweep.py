"""Sweeps: finished runs are kept, killed ones go on, failed ones stand alone."""

import shutil
from pathlib import Path

import polars as pl
import pytest

from polylore.errors import RunError
from polylore.files import read_json
from polylore.runs import RunFolder
from polylore.studies.unify import worker
from polylore.studies.unify.config import SweepConfig
from polylore.studies.unify.scoring import open_sweep, score
from polylore.studies.unify.study import missing, run_sweep


def test_every_run_leaves_its_tables(finished: RunFolder, tiny: SweepConfig) -> None:
    runs = finished.read("unify_runs")
    assert runs.height == 4
    assert set(runs["condition"]) == {"apart", "parallel"}
    assert runs["params"].n_unique() == 1
    course = finished.read("unify_course")
    assert course["step"].max() == 4
    assert course["step"].min() == 0
    answers = finished.read("unify_answers")
    assert set(answers["population"]) == {"parallel", "mono_seen", "mono_unseen", "never_seen"}
    assert set(answers["step"]) == {4}
    edits = finished.read("unify_edits")
    assert set(edits["set"]) <= {"x", "parallel", "retention"}
    sims = finished.read("unify_sims").filter(pl.col("init") == 0)
    assert set(sims["items"]) == {"mono", "mono again", "parallel", "never_seen"}
    fresh = finished.read("unify_unification")["u_fresh"]
    assert fresh.null_count() < fresh.len()
    assert missing(finished).height == 0


def test_exposure_is_that_of_the_steps(finished: RunFolder) -> None:
    exposure = finished.read("unify_exposure")
    assert exposure["step"].unique().to_list() == [4]
    total = exposure.group_by("run_hash").agg(pl.col("count").sum())["count"]
    assert total.to_list() == [4 * 32] * 4


def test_scores_and_baselines_stand_beside_each_other(finished: RunFolder) -> None:
    scored = score(open_sweep(finished.path))
    effects = scored.table("unify_effects").filter(outcome="acc_train")
    assert effects.select("arm", "baseline", "n_seeds").rows() == [("parallel", "apart", 2)]
    conditions = scored.table("unify_conditions").filter(outcome="acc_x")
    assert conditions["n_seeds"].to_list() == [2, 2]
    assert (conditions["lo"] <= conditions["value"]).all()


def test_a_run_killed_between_evaluations_gives_the_same_tables(
    finished: RunFolder, tiny: SweepConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []
    ordinary = worker._write

    def dies(found: dict, folder: Path) -> None:
        ordinary(found, folder)
        measured.append(folder.name)
        if len(measured) == 3:
            raise KeyboardInterrupt

    out, one = tmp_path / "run", tiny.model_copy(update={"seeds": 1, "arms": tiny.arms[:1]})
    monkeypatch.setattr(worker, "_write", dies)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(one, out)
    assert len(RunFolder.load(out).units()) == 0
    again = run_sweep(one, out)
    # The evaluation that was written when the run was killed had no state yet.
    assert measured == [f"step-{k:06d}" for k in (0, 1, 2, 2, 3, 4)]
    assert again.units() == ["apart seed 0"]
    for unit in again.units():
        for name in read_json(finished.unit_path(unit) / "done.json")["tables"]:
            ours, theirs = (
                run.read(name, [unit]).drop("wall_s", strict=False) for run in (again, finished)
            )
            assert ours.equals(theirs), (unit, name)
    assert not list((out / "unfinished").iterdir())


def without(finished: RunFolder, unit: str, out: Path) -> Path:
    """A copy of the finished sweep that lacks one run."""
    shutil.copytree(finished.path, out)
    shutil.rmtree(RunFolder.load(out).unit_path(unit))
    return out


def test_nothing_finished_is_computed_again(
    finished: RunFolder, tiny: SweepConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = without(finished, "parallel seed 1", tmp_path / "run")
    done = []
    ordinary = worker._Runs.go

    def counted(self: worker._Runs) -> None:
        done.append([task.unit for task in self.tasks])
        ordinary(self)

    monkeypatch.setattr(worker._Runs, "go", counted)
    again = run_sweep(tiny, out)
    assert done == [["parallel seed 1"]]
    assert again.read("unify_answers").equals(finished.read("unify_answers"))


def test_a_failed_run_is_named_and_repeated_alone(
    finished: RunFolder, tiny: SweepConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordinary = worker._Runs._causal

    def fails(self: worker._Runs, now: object, task: worker.Task) -> dict:
        if task.unit == "parallel seed 0":
            raise RuntimeError("out of luck")
        return ordinary(self, now, task)

    out = without(finished, "parallel seed 0", tmp_path / "run")
    monkeypatch.setattr(worker._Runs, "_causal", fails)
    with pytest.raises(RunError, match=r"1 of 4 runs failed.*'parallel seed 0': out of luck"):
        run_sweep(tiny, out)
    half = open_sweep(out)
    assert missing(half).rows() == [("parallel", 0)]
    assert score(half).read("unify_runs").height == 3
    runs = half.table("unify_runs")
    assert dict(runs["status"].value_counts().iter_rows())["failed"] == 1
    lost = runs.filter(status="failed").row(0, named=True)
    whole_hash = finished.read("unify_runs").filter(condition="parallel", seed=0)["run_hash"][0]
    assert (lost["condition"], lost["seed"], lost["p"]) == ("parallel", 0, 0.5)
    assert lost["run_hash"] == whole_hash
    assert lost["error"].startswith("out of luck\n")
    assert "RuntimeError: out of luck" in lost["error"]
    of_means = half.table("unify_conditions").filter(condition="parallel", outcome="acc_x")
    assert of_means.select(seeds=pl.col("n_seeds") + pl.col("n_left_out")).item() == 1
    monkeypatch.setattr(worker._Runs, "_causal", ordinary)
    whole = run_sweep(tiny, out)
    assert missing(whole).height == 0
    assert not list((out / "failed").glob("*.json"))


def test_stacked_runs_give_the_numbers_of_single_ones(
    finished: RunFolder, tiny: SweepConfig, tmp_path: Path
) -> None:
    execution = tiny.execution.model_copy(update={"stacked": 4})
    alone = tiny.arms[1].model_copy(update={"baseline": None})
    change = {"execution": execution, "arms": [alone]}
    stacked = run_sweep(tiny.model_copy(update=change), tmp_path / "run")
    key = ["run_hash", "step"]
    ours = stacked.read("unify_course").sort(key)
    theirs = finished.read("unify_course", stacked.units()).sort(key)
    assert ours.select(key).equals(theirs.select(key))
    gap = (ours["loss_train"] - theirs["loss_train"]).abs().max()
    assert gap < 1e-4


def test_another_sweep_is_not_written_over(finished: RunFolder, tiny: SweepConfig) -> None:
    other = tiny.model_copy(update={"measure": tiny.measure.model_copy(update={"items": 16})})
    with pytest.raises(RunError, match=r"measure\.items"):
        run_sweep(other, finished.path)


def test_more_seeds_are_added_to_a_finished_sweep(
    finished: RunFolder, tiny: SweepConfig, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished.path, out)
    more = run_sweep(tiny.model_copy(update={"seeds": 3}), out)
    assert more.read("unify_runs").height == 6


def test_checkpoints_are_ordinary_folders(tiny: SweepConfig, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    measure = tiny.measure.model_copy(update={"checkpoints": "last"})
    one = tiny.model_copy(update={"measure": measure, "seeds": 1, "arms": tiny.arms[:1]})
    run = run_sweep(one, tmp_path / "run")
    (folder,) = (run.path / "checkpoints").glob("*/step-*")
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    answers = run.read("unify_answers").head(5)
    facts = pl.read_parquet(next((run.path / "worlds").glob("*/facts.parquet")))
    prompts = answers.join(facts, on=["fact_id", "lang"], how="left")["prompt"].to_list()
    for prompt, answer in zip(prompts, answers["pred_token"].to_list(), strict=True):
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        assert model(ids).logits[0, -1].argmax().item() == answer[0]


@pytest.mark.parametrize(("world", "message"), [
    ({"world.cue": "tag_noise(0.1)", "tokens": "shared"}, "training"),
    ({"tokens": "shared", "world.cue": "none"}, "same string"),
])  # fmt: skip
def test_worlds_that_give_answers_away_are_refused_first(
    tiny: SweepConfig, tmp_path: Path, world: dict, message: str
) -> None:
    from polylore.errors import PolyloreError

    leaky = SweepConfig.parse({**tiny.plain(), "arms": [{"name": "leak", "set": world}]})
    with pytest.raises(PolyloreError, match=message):
        run_sweep(leaky, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_nothing_held_out_gives_no_accuracy_and_no_error(tiny: SweepConfig, tmp_path: Path) -> None:
    whole = SweepConfig.parse(
        {**tiny.plain(), "arms": [{"name": "all", "set": {"world.p": 1}}], "seeds": 1}
    )
    run = score(run_sweep(whole, tmp_path / "run"))
    course = run.table("unify_course")
    assert course["acc_x"].null_count() == course.height
    assert set(course["reason"]) == {"there are no held-out cells"}
    samples = set(run.read("unify_sims")["items"])
    assert samples == {"parallel", "parallel again", "never_seen"}


def test_scores_of_first_and_last_alone_date_nothing(tiny: SweepConfig, tmp_path: Path) -> None:
    measure = tiny.measure.model_copy(update={"scores": "ends"})
    one = tiny.model_copy(update={"measure": measure, "seeds": 1, "arms": tiny.arms[:1]})
    marks = run_sweep(one, tmp_path / "run").read("unify_phases")
    dated = marks.filter(pl.col("mark").is_in(["dip", "t_unify", "t_probe"]))
    assert dated["at"].null_count() == dated.height == 3
    assert dated["reason"].null_count() == 0


def test_every_item_has_a_cue_of_its_own() -> None:
    from polylore.facts.worlds import WorldConfig, make_world, token_preset
    from polylore.studies.unify.sample import samples

    settings = {**token_preset("shared"), "entities": 32, "relations": 2, "cue": "xor(0)"}
    world = make_world(WorldConfig.parse(settings))
    prompts = samples(world, 64, populations=False)[0].prompts
    first, second = prompts[:, :, 0], prompts[:, :, 1]
    for lang in range(2):  # neither bit says the language by itself
        assert len(set(first[:, lang].tolist())) == len(set(second[:, lang].tolist())) == 2


def test_a_kill_between_a_run_and_its_tidying_up_loses_nothing(
    tiny: SweepConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = tiny.model_copy(update={"seeds": 1, "arms": tiny.arms[:1]})
    with monkeypatch.context() as patch:
        patch.setattr(worker.shutil, "rmtree", lambda *_, **__: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            run_sweep(one, tmp_path / "run")
    run = run_sweep(one, tmp_path / "run")
    assert not list((tmp_path / "run" / "unfinished").iterdir())
    assert score(run).table("unify_conditions").height


def test_one_failing_run_of_a_stack_fails_alone(
    tiny: SweepConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordinary = worker._Runs._causal

    def fails(self: worker._Runs, now: object, task: worker.Task) -> dict:
        if task.unit == "parallel seed 0":
            raise LookupError("out of luck")
        return ordinary(self, now, task)

    monkeypatch.setattr(worker._Runs, "_causal", fails)
    execution = tiny.execution.model_copy(update={"stacked": 2})
    change = {"execution": execution, "seeds": 1}
    with pytest.raises(RunError, match=r"1 of 2 runs failed.*out of luck"):
        run_sweep(tiny.model_copy(update=change), tmp_path / "run")
    assert RunFolder.load(tmp_path / "run").units() == ["apart seed 0"]


def hand_made(path: Path, values: int) -> str:
    """A file of facts in two languages."""
    rows = ["fact_id,relation,lang,subject,object"]
    for e in range(12):
        for lang in ("en", "fr"):
            rows.append(f"e{e}.r,r,{lang},{lang}n{e},{lang}v{(e * 5) % values}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return str(path)


def test_hand_made_facts_are_part_of_a_run(tiny: SweepConfig, tmp_path: Path) -> None:
    facts = hand_made(tmp_path / "facts.csv", 4)
    given = {"preset": "smoke", "recipe.steps": 5, "recipe.batch_size": 8, "world.p": 0.5}
    sweep = SweepConfig.parse(
        {**tiny.plain(), "base": {**given, "world.facts": facts}, "arms": [], "seeds": 1}
    )
    assert score(run_sweep(sweep, tmp_path / "run")).table("unify_runs").height == 1
    hand_made(tmp_path / "facts.csv", 3)
    with pytest.raises(RunError, match=r"facts\.csv"):
        run_sweep(sweep, tmp_path / "run")


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ([{"name": "a"}, {"name": "b"}], "'a seed 0' and 'b seed 0' are the same run"),
        ([{"name": "a", "grid": {"world.seed": [5, 6]}}], r"world\.seed is set by the sweep"),
    ],
)
def test_runs_that_are_one_are_refused(
    tiny: SweepConfig, tmp_path: Path, arms: list, message: str
) -> None:
    from polylore.errors import ConfigError

    with pytest.raises(ConfigError, match=message):
        run_sweep(SweepConfig.parse({**tiny.plain(), "arms": arms}), tmp_path / "run")


def test_when_every_run_failed_at_once_other_settings_go_on(
    tiny: SweepConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError("The batch does not fit")

    plain = {**tiny.plain(), "arms": [], "seeds": 1}
    with monkeypatch.context() as patched:
        patched.setattr(worker, "train", full)
        with pytest.raises(RunError, match="The batch does not fit"):
            run_sweep(SweepConfig.parse(plain), tmp_path / "run")
    plain["base"] = plain["base"] | {"recipe.batch_size": 16}
    run = run_sweep(SweepConfig.parse(plain), tmp_path / "run")
    assert run.units() == ["run seed 0"]
    assert not list((run.path / "failed").glob("*"))
