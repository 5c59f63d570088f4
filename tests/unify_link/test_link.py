"""Real models: states held against answers, on checkpoints whose values are known."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from polylore.cli.unify import unify
from polylore.errors import DataError, RunError
from polylore.facts import FactSet, load_facts
from polylore.facts.worlds import load_world
from polylore.models.weights import weight_files
from polylore.runs import RunFolder
from polylore.studies.unify.linking.config import LinkConfig
from polylore.studies.unify.linking.scoring import report_link
from polylore.studies.unify.linking.study import failed_checkpoints, run_link


def configured(model: Path, answers: Path, **more: object) -> LinkConfig:
    return LinkConfig.parse(
        {"model": str(model), "answers": str(answers), "analyse": {"draws": 20}, **more}
    )


@pytest.fixture(scope="module")
def linked(
    series: Path, answers: Path, held_out: Path, tmp_path_factory: pytest.TempPathFactory
) -> RunFolder:
    """All checkpoints, the facts whose values the synthetic side gives."""
    config = configured(
        series, answers, facts={"source": str(held_out)}, states={"centers": ["none", "lang"]}
    )
    run = run_link(config, tmp_path_factory.mktemp("linked") / "run")
    report_link(run)
    return run


def test_own_checkpoints_have_the_values_of_the_synthetic_side(
    linked: RunFolder, trained: RunFolder, world_folder: Path
) -> None:
    world = load_world(world_folder)
    table = linked.table("unify_link").filter(
        level="item", selected_on="none", position="prompt_end", stratum="main",
        lang_a=world.languages[0],
    )  # fmt: skip
    synthetic = trained.read("unify_unification").filter(
        item_kind="fact", items="mono", distractors="diff_value", standardize=False,
        position=world.prompt_len - 1, pair="-".join(world.languages),
    )  # fmt: skip
    both = table.filter(score="s_i").join(
        synthetic.select("step", "layer", "u_norm", there="n"), on=["step", "layer"]
    )
    assert both["layer"].to_list() == [0, 1, 2]  # the last evaluation has every variant
    assert (both["u_raw"] - both["u_norm"]).abs().max() < 1e-4
    assert both["n"].equals(both["there"].rename("n"))
    assert both["n"].unique().to_list() == [len(world.cells("mono_unseen"))]


def test_every_checkpoint_is_a_unit_of_scalars(linked: RunFolder, series: Path) -> None:
    names = sorted(p.name for p in series.iterdir())
    assert linked.units() == sorted([*(f"{n}/states" for n in names), "fresh:1/states"])
    prompts = linked.read("unify_link_prompts")
    assert set(prompts["ckpt_id"]) == set(names)
    assert prompts["n_tokens"].unique().to_list() == [2]
    # Before the first layer all questions of a relation end alike: no score, and none corrected.
    rows = linked.table("unify_link").filter(level="item", selected_on="none")
    defined = (pl.col("layer") > 0) | (pl.col("position") == "subject_last")
    for name in ("u_raw", "u_corrected"):
        assert (rows.select(pl.col(name).is_not_null() == defined)).to_series().all()
    assert not rows["u_raw"].equals(rows["u_corrected"])


def test_controls_and_covariates_stand_beside_the_score(linked: RunFolder) -> None:
    rows = linked.table("unify_link").filter(
        selected_on="other_half", score="s_i", stratum="main", lang_a="all"
    )
    assert set(rows["control"]) == {
        "none", "shuffled_pairs", "fresh_init", "permuted_accuracy"
    }  # fmt: skip
    own = rows.filter(control="none")
    assert own["auc"].null_count() == 0
    assert (own["lo"] < own["hi"]).all()
    # Names are shared and all prompts equally long: only accuracy differs.
    assert set(own["given"]) == {"source_accuracy"}


def test_page_shows_what_there_is_and_what_is_missing(linked: RunFolder) -> None:
    page = (linked.path / "report.html").read_text(encoding="utf-8")
    for words in ("One model is a case, not a finding", "Numbers that are missing",
                  "fewer than 8 pairs of languages", "Unification by layer"):  # fmt: skip
        assert words in page
    figures = {p.stem for p in (linked.path / "figures").glob("*.svg")}
    assert {"link-layers-prompt-end", "link-pairs", "link-controls", "link-forest"} <= figures


def test_command_reads_a_trace_and_never_reads_twice(
    traced: RunFolder, series: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    words = ["link", str(series), "--answers", str(traced.path), "--out", str(out), "--quiet",
             "--analyse.draws", "0"]  # fmt: skip
    done = CliRunner().invoke(unify, words, standalone_mode=False)
    assert done.exception is None, done.output
    assert done.return_value == 0
    run = RunFolder.load(out)
    asked = traced.table("checkpoints")["ckpt_id"].to_list()
    assert run.table("checkpoints")["ckpt_id"].to_list() == asked
    table = run.table("unify_link")
    grades = traced.table("grades").filter(matcher="default", ckpt_id=asked[-1])
    row = table.filter(ckpt_id=asked[-1], level="item", selected_on="none", lang_b="qaa").row(
        0, named=True
    )
    assert row["acc"] == pytest.approx(grades.filter(lang="qaa")["y"].mean())
    # A model that knows nothing gives nulls with reasons, and a page that says so.
    assert table["auc"].null_count() == table.height
    assert "fewer than 30 facts known in lang_a" in set(table["reason"])
    assert "No direction can be judged" in (out / "report.html").read_text(encoding="utf-8")
    before = {p: p.stat().st_mtime_ns for p in out.glob("units/*/done.json")}
    CliRunner().invoke(unify, words, standalone_mode=False, catch_exceptions=False)
    CliRunner().invoke(
        unify, ["report", str(out), "--quiet"], standalone_mode=False, catch_exceptions=False
    )
    assert before == {p: p.stat().st_mtime_ns for p in out.glob("units/*/done.json")}


def test_other_facts_than_the_traced_are_refused(
    traced: RunFolder, series: Path, factset: FactSet, tmp_path: Path
) -> None:
    other = factset.facts.with_columns(subject=pl.lit("someone ") + pl.col("subject"))
    FactSet("other", other, factset.templates).export(tmp_path / "facts")
    config = configured(series, traced.path, facts={"source": str(tmp_path / "facts")})
    with pytest.raises(DataError, match=r"are about other facts: 264 of 264 differ, the first is"):
        run_link(config, tmp_path / "run")
    config = configured(series, traced.path, facts={"source": "cldr", "languages": ["en", "de"]})
    with pytest.raises(DataError, match="nothing there"):
        run_link(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_one_language_is_refused(
    answers: Path, series: Path, held_out: Path, tmp_path: Path
) -> None:
    lang = load_facts(held_out).languages[0]
    config = configured(series, answers, facts={"source": str(held_out), "languages": [lang]})
    with pytest.raises(DataError, match=f"in {lang} alone"):
        run_link(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("change", "message"), [
    ({"drop": ["lang"]}, "lacks the column lang"),
    ({"drop": ["raw_text", "judge"]}, "neither the column right nor raw_text"),
    ({"ckpt_id": "elsewhere"}, "about the checkpoints elsewhere, but"),
    ({"right": "perhaps"}, "right must be true, false or empty, not 'perhaps'"),
    ({"fact_id": "one"}, "rows about the same checkpoint, fact and language"),
])  # fmt: skip
def test_tables_that_cannot_be_meant_are_refused(
    answers: Path, series: Path, held_out: Path, tmp_path: Path, change: dict, message: str
) -> None:
    rows = [json.loads(line) for line in answers.read_text(encoding="utf-8").splitlines()]
    drop = change.get("drop", [])
    same = {key: value for key, value in change.items() if key != "drop"}
    rows = [{k: v for k, v in (row | same).items() if k not in drop} for row in rows]
    if "ckpt_id" in change:
        rows = [row | same for row in rows[:264]]
    if "fact_id" in change:
        rows = [row | {"right": "true"} for row in rows]
    path = tmp_path / "answers.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    config = configured(series, path, facts={"source": str(held_out)})
    with pytest.raises(DataError, match=message):
        run_link(config, tmp_path / "run")


def test_a_judge_counts_only_beside_people(
    answers: Path, series: Path, held_out: Path, tmp_path: Path
) -> None:
    more = {"facts": {"source": str(held_out)}, "states": {"fresh": 0, "centers": ["none"]},
            "series": {"schedule": [sorted(p.name for p in series.iterdir())[-1]]}}  # fmt: skip
    judged = {"judge": "somebody", "draws": 0}
    with pytest.raises(DataError, match="count only beside people's"):
        run_link(configured(series, answers, **more, analyse=judged), tmp_path / "run")
    rows = [json.loads(line) for line in answers.read_text(encoding="utf-8").splitlines()]
    hand = tmp_path / "hand.csv"

    def label(n: int) -> None:
        # The matcher and the judge agree by construction; people call some of them wrong.
        lines = [f"{r['ckpt_id']},{r['fact_id']},{r['lang']},{r['judge'] and k % 7 > 0}"
                 for k, r in enumerate(rows[-n:])]  # fmt: skip
        hand.write_text("\n".join(["ckpt_id,fact_id,lang,right", *lines]), encoding="utf-8")

    judged["hand"] = str(hand)
    label(49)
    with pytest.raises(DataError, match="labels 49 of the judged answers; somebody needs 50"):
        run_link(configured(series, answers, **more, analyse=judged), tmp_path / "run")
    label(60)
    run = run_link(configured(series, answers, **more, analyse=judged), tmp_path / "run")
    found = run.manifest["analysis"]["agreement"]
    assert found["hand"]["n"] == 60
    assert 0.6 < found["hand"]["kappa"] < 1
    assert found["matcher"]["kappa"] == pytest.approx(1)
    page = report_link(run).read_text(encoding="utf-8")
    assert "The judge somebody agrees with people" in page
    assert run.table("unify_link")["u_corrected"].null_count() == run.table("unify_link").height


def test_a_damaged_checkpoint_is_named_and_the_others_go_on(
    answers: Path, series: Path, held_out: Path, tmp_path: Path
) -> None:
    shutil.copytree(series, tmp_path / "series")
    names = sorted(p.name for p in series.iterdir())
    (file,) = weight_files(tmp_path / "series" / names[1])
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    out = tmp_path / "run"
    words = ["link", str(tmp_path / "series"), "--answers", str(answers), "--out", str(out),
             "--facts.source", str(held_out), "--states.centers", "none", "--analyse.draws", "0",
             "--quiet"]  # fmt: skip
    done = CliRunner().invoke(unify, words, standalone_mode=False)
    assert done.exception is None, done.output
    assert done.return_value == 3
    run = RunFolder.load(out)
    assert list(failed_checkpoints(run)) == [names[1]]
    read = set(run.table("unify_link").filter(level="item")["ckpt_id"])
    assert read == {*names} - {names[1]}
    assert "1 checkpoints could not be read" in (out / "report.html").read_text(encoding="utf-8")
    file.write_bytes(whole)
    again = CliRunner().invoke(unify, words, standalone_mode=False)
    assert again.return_value == 0
    assert set(run.table("unify_link").filter(level="item")["ckpt_id"]) == {*names}


def test_other_settings_do_not_mix(linked: RunFolder, series: Path, answers: Path,
                                   held_out: Path) -> None:  # fmt: skip
    config = configured(
        series, answers, facts={"source": str(held_out)}, states={"centers": ["none"]}
    )
    with pytest.raises(RunError, match=r"states\.centers"):
        run_link(config, linked.path)


def test_when_nothing_could_be_read_other_settings_go_on(
    series: Path, answers: Path, held_out: Path, tmp_path: Path
) -> None:
    first = min(series.iterdir())
    shutil.copytree(first, tmp_path / "model" / first.name)
    (file,) = weight_files(tmp_path / "model" / first.name)
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    facts = {"source": str(held_out)}
    model, out = tmp_path / "model", tmp_path / "run"
    config = configured(model, answers, facts=facts, states={"fresh": 0})
    assert list(failed_checkpoints(run_link(config, out))) == [first.name]
    file.write_bytes(whole)
    config = configured(model, answers, facts=facts, states={"fresh": 0, "centers": ["none"]})
    assert failed_checkpoints(run_link(config, out)) == {}
