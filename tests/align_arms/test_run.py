"""Arms from their configuration to tables (`align`, 4.3 to 4.6, 9.6 and 9.7.11 to 14)."""

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

import polylore
from polylore.cli.main import cli
from polylore.errors import ConfigError, RunError
from polylore.models import LanguageModel, load_model
from polylore.models.fingerprint import fingerprint, weight_hash
from polylore.studies.align.arms import study
from polylore.studies.align.arms.asker import Asker
from polylore.studies.align.arms.reading import set_times
from polylore.studies.align.pages import build_report
from polylore.training.code import code_digest
from polylore.training.continued.loop import read_updates
from polylore.training.continued.start import open_start

NODES = ["start", "none", "base_mix", "cpt_B", "mix", "it_B", "inj/qab", "cpt_B>inj/qab"]


def weights(run: Path, arm: str, seed: int = 0) -> dict[str, torch.Tensor]:
    folder = open_start(run / "arms" / arm / f"seed-{seed}").folder
    return load_file(folder / "model.safetensors")


def test_every_arm_is_trained_with_every_seed(finished) -> None:
    run, _, _ = finished
    arms = run.table("align_arms")
    assert set(arms["arm"]) == set(NODES)
    assert arms.height == 2 * len(NODES)
    spent = {row["run_id"]: row for row in arms.iter_rows(named=True)}
    assert spent["none/seed0"]["updates"] == 0
    assert spent["cpt_B/seed1"]["updates"] == 4
    assert spent["cpt_B/seed0"]["input_tokens"] == spent["mix/seed1"]["input_tokens"]
    assert spent["cpt_B>inj/qab/seed0"]["start"] == "cpt_B"
    hashes = {m["run_id"]: (m["start"]["hash"], m["end"]["hash"]) for m in study.manifests(run)}
    assert hashes["cpt_B>inj/qab/seed0"][0] == hashes["cpt_B/seed0"][1]
    assert hashes["cpt_B/seed0"][0] == hashes["start/seed0"][1] == hashes["none/seed0"][1]
    assert hashes["none/seed0"][0] == hashes["none/seed0"][1]
    assert hashes["start/seed0"][1] != hashes["start/seed1"][1]
    assert run.table("align_siblings")["siblings"].all()


def test_manifests_agree_with_what_was_read(finished) -> None:
    run, _, out = finished
    for manifest in study.manifests(run):
        if manifest["kind"] == "none":
            continue
        folder = out / "arms" / manifest["arm"].replace(">", "+").replace("/", "@")
        updates = read_updates(folder / f"seed-{manifest['seed']}")
        spent = manifest["spent"]
        assert spent["loss_tokens"] == updates["loss_tokens"][-1]
        assert spent["input_tokens"] == updates["tokens"][-1]
        by_language = spent["by_language"].values()
        assert spent["input_tokens"] == sum(own["input_tokens"] for own in by_language)
        assert spent["loss_tokens"] == sum(own["loss_tokens"] for own in by_language)
        assert manifest["machine"]["device"] in ("cpu", "cuda", "mps")
        assert manifest["machine"]["dtype"] == "float32"
        assert manifest["machine"]["code"] == code_digest()
    replayed = run.table("align_budgets").filter(run_id="inj/qab/seed0")
    assert replayed["injected"].sum() * 2 == replayed["documents"].sum()


def test_exposure_is_exact_and_holds_what_came_before(finished) -> None:
    run, _, out = finished
    exposure = run.table("align_exposure")
    start = exposure.filter(run_id="none/seed0")
    assert start["count"].sum() == _told(out / "arms" / "start" / "seed-0")
    after = exposure.filter(run_id="cpt_B/seed0")
    assert after["count"].sum() == start["count"].sum() + _told(out / "arms" / "cpt_B" / "seed-0")
    added = after.join(start, on=["fact_id", "lang"], how="left").with_columns(
        more=pl.col("count") - pl.col("count_right").fill_null(0)
    )
    assert set(added.filter(pl.col("more") > 0)["lang"]) == {"qab"}


def _told(folder: Path) -> int:
    read = pl.read_parquet(folder / "data" / "documents.parquet")
    return read.filter(pl.col("fact_id").is_not_null() & (pl.col("lang") != "mul")).height


def test_models_are_asked_sets_facts_and_held_out_text(finished) -> None:
    run, _, _ = finished
    cells = run.table("align_cells")
    assert set(cells["dataset"]) == {"facts", "facts.free", "questions", "questions.free"}
    assert set(cells.filter(model="mix/seed0")["lang"]) == {"qaa", "qab", "qac"}
    loss = run.table("align_loss")
    assert loss.height == 2 * (len(NODES) - 1) * 3
    assert (loss["loss"] > 0).all()
    conduct = run.table("align_conductivity").filter(subset="valid", scoring="default")
    assert set(conduct["arm"]) == {"none", "inj", "cpt_B>inj"}
    never = conduct.filter(arm="none")
    assert never["gate_pass"].null_count() == never.height
    assert never["acc_t"].max() <= 0.35  # six facts: chance is a third
    gates = run.table("align_gates").filter(arm="inj", component="translate_st")
    assert not gates["trained"].any()
    told = run.table("align_gates").drop_nulls("value")
    assert told.select(
        ((pl.col("lo") <= pl.col("value")) & (pl.col("value") <= pl.col("hi"))).all()
    ).item()
    assert (told["hi"] - told["lo"]).min() > 0
    assert set(run.table("align_arms")["left_out"]) == {0}


def test_consistency_is_split_by_what_training_told(finished) -> None:
    run, _, _ = finished
    pairs = run.table("align_consistency").filter(
        dataset="facts", lang="qab", mode="text_ll", model="none/seed0"
    )
    sizes = dict(pairs.select("exposure_class", "n").iter_rows())
    told = set(run.table("align_exposure").filter(run_id="none/seed0", lang="qab")["fact_id"])
    pivot = set(run.table("align_exposure").filter(run_id="none/seed0", lang="qaa")["fact_id"])
    assert sizes["all"] == 8
    assert sizes.get("both", 0) == len(told & pivot)
    assert sizes.get("pivot_only", 0) == len(pivot - told)


def test_effects_and_claims_are_drawn_over_seeds(finished) -> None:
    run, _, _ = finished
    effects = run.table("align_effects")
    assert (effects["n_seeds"] == 2).all()
    assert effects["lo_seed"].null_count() == 0
    sides = effects.filter(minus="none", group="pivot", level="facts")
    assert set(sides["arm"]) == set(NODES) - {"start", "none"}
    # An arm's own language is no "other" one, beside the start either.
    own = effects.filter(arm="cpt_B", minus="none", level="facts")
    langs = dict(own.select("group", "langs").iter_rows())
    assert langs["target"] == ["qab"]
    assert "qab" not in langs.get("others_out", [])
    claims = run.table("align_claims")
    judged = claims.filter(~pl.col("level").str.starts_with("conductivity"))
    assert judged.height > 10
    numbers = judged.select("delta", "lo", "hi", "verdict")
    assert numbers.null_count().sum_horizontal()[0] == 0
    still = pl.col("reason").eq_missing(pl.lit("no variation"))
    assert judged.select((pl.col("p_holm").is_null() == still).all()).item()
    assert (judged["lost"] == 0).all()
    told = claims.filter(claim="continued pretraining helps its target language")
    assert set(told["arm"]) == {"cpt_B"}
    assert set(told["level"]) == {"facts", "facts.free"}
    own = dict(
        claims.filter(arm="it_B", minus="none").select("group", "claim").unique().iter_rows()
    )
    assert own["lang:qab"] == "instruction tuning helps a language that it is in"
    assert own["lang:qaa"] == "instruction tuning helps a language that it is not in"
    assert set(claims.filter(pl.col("claim").str.contains("tuning"))["level"]) == {
        "questions", "questions.free",
    }  # fmt: skip


def test_a_finished_run_is_left_as_it_is_and_scored_to_the_same_bytes(
    finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, config, out = finished
    copy = tmp_path / "run"
    shutil.copytree(out, copy)
    before = {path.name: path.read_bytes() for path in (copy / "tables").glob("align_*.parquet")}
    derived = [n for n in before if n.removesuffix(".parquet") in (
        "align_cells", "align_effects", "align_claims", "align_conductivity", "align_gates",
        "align_arms", "align_budgets", "align_siblings")]  # fmt: skip
    assert len(derived) == 8
    for name in derived:
        (copy / "tables" / name).unlink()

    def never(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("polylore.studies.align.arms.work.continue_training", never)
    study.run_arms(config, copy, report=False)
    for name in derived:
        assert (copy / "tables" / name).read_bytes() == before[name], name


def test_an_interrupted_run_ends_with_the_same_weights(finished, small, tmp_path: Path) -> None:
    _, _, out = finished
    arms = [{"name": "cpt_B", "kind": "cpt", "lang": "qab"}]
    config = small(arms=arms, train={"seeds": [0]}, execution={"state_every": 1})
    stops = [0]

    def interrupt(done: int, total: int, what: str) -> None:
        stops[0] += what == "training"
        if stops[0] in (3, 6):  # within the start model, and within an arm
            stops[0] += 1
            raise KeyboardInterrupt

    folder = tmp_path / "run"
    interrupted = 0
    for _ in range(3):
        try:
            study.run_arms(config, folder, progress=interrupt, report=False)
        except KeyboardInterrupt:
            interrupted += 1
    assert interrupted == 2
    for arm in ("start", "cpt_B", "base_mix"):
        whole, resumed = weights(out, arm), weights(folder, arm)
        assert whole.keys() == resumed.keys()
        assert all(torch.equal(whole[name], resumed[name]) for name in whole), arm


def test_arms_may_be_added_but_not_changed(finished, small, tmp_path: Path) -> None:
    _, config, out = finished
    copy = tmp_path / "run"
    shutil.copytree(out, copy)
    changed = [arm.plain() for arm in config.arms]
    changed[0]["lang"] = ["qac"]
    with pytest.raises(RunError, match="another arm cpt_B"):
        study.run_arms(small(arms=changed), copy, report=False)
    # Nor may they be taken out and put back changed.
    others = [arm for arm in changed if arm["name"] in ("mix", "it_B")]
    fewer = study.run_arms(small(arms=others), copy, report=False)
    # Those taken out are in no table.
    for name in ("align_arms", "align_conductivity", "align_loss", "align_exposure"):
        there = {run_id.partition("/seed")[0] for run_id in fewer.table(name)["run_id"]}
        assert there <= {"start", "none", "base_mix", "mix", "it_B"}, name
    siblings = fewer.table("align_siblings")
    assert not {"cpt_B", "inj/qab"} & {*siblings["arm"], *siblings["minus"]}
    with pytest.raises(RunError, match=r"another arm cpt_B \(arms.cpt_B.lang: "):
        study.run_arms(small(arms=[*others, changed[0]]), copy, report=False)
    back = study.run_arms(config, copy, report=False)
    assert set(back.table("align_arms")["arm"]) == set(NODES)
    with pytest.raises(RunError, match="another configuration"):
        study.run_arms(small(train={"clip": 0.5}), copy, report=False)


def test_the_arm_that_trains_nothing_has_the_hash_of_what_was_asked(
    finished, small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _, out = finished
    for seed in (0, 1):
        about = next(m for m in study.manifests(run) if m["run_id"] == f"none/seed{seed}")
        files = fingerprint(open_start(out / "arms" / "start" / f"seed-{seed}").folder)
        assert about["end"]["hash"] == weight_hash(files)

    def spoil(self: Asker, lm: LanguageModel, *_: Any) -> dict[str, pl.DataFrame]:
        with torch.no_grad():
            next(lm.model.parameters()).view(-1)[0] += 1
        return {}

    monkeypatch.setattr(Asker, "sets", spoil)
    monkeypatch.setattr(study, "score", lambda *_, **__: None)
    arms = [{"name": "none"}, {"name": "base_mix"}]
    run = study.run_arms(small(arms=arms, train={"seeds": [0]}), tmp_path / "run", report=False)
    about = next(m for m in study.manifests(run) if m["arm"] == "none")
    assert about["end"]["hash"] != about["start"]["hash"]


def test_answers_lost_on_the_way_are_made_again_by_training(
    small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm = {"name": "inj", "kind": "inject", "targets": "qab"}
    config = small(arms=[arm], train={"seeds": [0]}, budget={"max_updates_until_gate": 20})
    run = study.run_arms(config, tmp_path / "run", report=False)
    before = {name: run.table(name) for name in ("align_gates", "align_cells")}
    whole = weights(run.path, "inj@qab")

    def damage(step: int) -> None:
        part = run.unit_path(f"inj/qab/seed0/step-{step}") / "fiction_answers.parquet"
        part.write_bytes(part.read_bytes()[:-30])

    damage(7)
    (run.unit_path("inj/qab/seed0/step-9") / "done.json").write_text("{")
    with pytest.warns(UserWarning, match="inj/qab/seed0 after 7 updates are damaged"):
        study.run_arms(config, run.path, report=False)
    again = weights(run.path, "inj@qab")
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    assert all(run.table(name).equals(frame) for name, frame in before.items())
    # What was asked at the end is asked of the weights that are there.
    damage(20)
    monkeypatch.setattr("polylore.training.continued.loop._Run.go", _never)
    study.run_arms(config, run.path, report=False)
    assert all(run.table(name).equals(frame) for name, frame in before.items())


def _never(*_: Any, **__: Any) -> None:
    raise AssertionError("trained again")


def test_other_weights_before_it_are_noticed(finished, tmp_path: Path) -> None:
    _, config, out = finished
    copy = tmp_path / "run"
    shutil.copytree(out, copy)
    path = copy / "arms" / "cpt_B" / "seed-0" / "arm.json"
    path.write_text(path.read_text().replace('"end": {\n    "hash": "', '"end": {\n    "hash": "0'))
    folder = copy / "arms" / "cpt_B+inj@qab" / "seed-0" / "identity.json"
    folder.write_text(folder.read_text().replace('"start": "', '"start": "0'))
    with pytest.raises(RunError, match="start: "):
        study.run_arms(config, copy, report=False)


def test_a_gate_that_passes_ends_the_injection_and_one_that_does_not_is_kept(
    small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm = {"name": "inj", "kind": "inject", "targets": "qab"}
    config = small(arms=[arm], train={"seeds": [0]}, budget={"max_updates_until_gate": 40})
    run = study.run_arms(config, tmp_path / "cap", report=False)
    row = run.table("align_arms").filter(arm="inj/qab").row(0, named=True)
    assert (row["updates"], row["stopped"]) == (40, "cap")
    steps = run.table("align_gates").filter(arm="inj")["step"].unique().sort().to_list()
    assert steps == list(range(2, 41, 2))  # every 5 % of the cap
    assert not run.table("align_conductivity").filter(arm="inj")["gate_pass"].any()

    monkeypatch.setattr(Asker, "gate", lambda *_: {"source_0": 0.95, "source_1": 0.9})
    run = study.run_arms(config, tmp_path / "gate", report=False)
    row = run.table("align_arms").filter(arm="inj/qab").row(0, named=True)
    assert (row["updates"], row["stopped"]) == (2, "gate")
    assert run.table("align_cells").filter(model="inj/qab/seed0")["step"].unique().to_list() == [2]


def test_arms_of_one_run_for_all_targets_are_judged_target_by_target(
    small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms = [
        {"name": "cpt_B", "kind": "cpt", "lang": "qab"},
        {"name": "row", "kind": "inject", "design": "row", "updates": 4},
        {"name": "cpt_row", "kind": "seq", "stages": ["cpt_B", "row"]},
    ]
    run = study.run_arms(small(arms=arms, train={"seeds": [0]}), tmp_path / "run", report=False)
    claims = run.table("align_claims").filter(pl.col("level").str.starts_with("conductivity"))
    keys = set(claims.select("arm", "minus", "level", "group").iter_rows())
    poor, equal = "conductivity", "conductivity at equal updates"
    pairs = ("qaa>qab", "qaa>qac")
    assert keys == {
        *((arm, "0.5 of a perfect carry-over", poor, pair)
          for arm in ("row", "cpt_B>row") for pair in pairs),
        *(("cpt_B>row", "row", level, pair) for level in (poor, equal) for pair in pairs),
    }  # fmt: skip
    # Four updates teach nothing.
    assert set(claims["verdict"]) == {"open"}
    assert claims["reason"].str.starts_with("gate not passed: ").all()
    assert claims["delta"].null_count() == claims.height


def test_lora_trains_few_weights_and_leaves_an_ordinary_model(small, tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="needs the extra lora")
    arms = [
        {"name": "full", "kind": "inject", "targets": "qab", "updates": 2},
        {"name": "few", "kind": "inject", "targets": "qab", "updates": 2, "method": "lora",
         "lora": {"targets": "paper", "rank": 2, "dropout": 0.0}},
    ]  # fmt: skip
    compare = [{"arm": "few/qab", "minus": "full/qab", "factor": "method"}]
    config = small(arms=arms, train={"seeds": [0]}, compare=compare)
    run = study.run_arms(config, tmp_path / "run", report=False)
    arms = run.table("align_arms")
    trained = dict(arms.select("arm", "trainable").iter_rows())
    assert trained["few/qab"] == 2 * 2 * (16 + 16)  # query and value of one layer
    assert trained["few/qab"] < trained["full/qab"]
    manifest = next(m for m in study.manifests(run) if m["arm"] == "few/qab")
    assert [name.rpartition(".")[2] for name in manifest["method"]["layers"]] == [
        "q_proj", "v_proj",
    ]  # fmt: skip
    start, after = weights(run.path, "start"), weights(run.path, "few@qab")
    changed = {name for name in start if not torch.equal(start[name], after[name])}
    assert changed == {f"model.layers.0.self_attn.{p}_proj.weight" for p in "qv"}
    load_model(open_start(run.path / "arms" / "few@qab" / "seed-0").folder)
    pair = run.table("align_siblings").filter(arm="few/qab", minus="full/qab")
    assert pair["siblings"].all()


def test_sets_are_asked_at_their_times() -> None:
    assert set_times([0, "end"], 200) == {200}
    assert set_times(["log"], 200) == {1, 3, 10, 30, 100}
    assert set_times([5, 500, "end"], 50) == {5, 50}


def test_compare_prints_the_diff_and_refuses_what_is_confounded(finished) -> None:
    _, _, out = finished
    words = ["align", "compare", str(out), "--arm", "cpt_B", "--minus", "base_mix"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    assert "design.lang" in done.output
    assert "NOT DECLARED" not in done.output
    refused = CliRunner().invoke(cli, [*words, "--factor", "rate"])
    assert refused.exit_code != 0
    assert "no siblings: more than rate differs" in str(refused.exception)
    with pytest.raises(ConfigError, match="no siblings"):
        polylore.compare_arms(out, "cpt_B", "base_mix", factor="rate")
    made = polylore.compare_arms(out, "cpt_B", "base_mix")
    assert set(made["arm"]) == {"cpt_B"}
    marked = CliRunner().invoke(cli, [*words, "--factor", "rate", "--allow-confounded"])
    assert marked.exit_code == 0
    assert "CONFOUNDED" in marked.output


def test_a_dry_run_says_what_it_costs_and_writes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["align", "run", "align_cpu_tiny", "--out", str(out), "--dry-run"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    assert "8 trainings" in done.output
    assert "cpt_B>inj/qab (inject): at most 60 updates" in done.output
    assert not out.exists()


def test_the_report_shows_arms_and_is_made_of_tables_alone(finished) -> None:
    run, _, out = finished
    tables = {name: run.table(name) for name in run.table_names()}
    made = build_report(tables, pivot="qaa")
    page = next(page for page in made.pages if page.id == "arms")
    titles = [block.title for block in page.blocks if hasattr(block, "title")]
    assert titles == ["Trainings", "Siblings", "Budgets by language", "Text that no model was told"]
    claims = tables["align_claims"].filter(m=0.05)
    sentences = [one.text.removesuffix(".").lower() for one in made.findings]
    for claim, own in claims.group_by("claim"):
        at = sentences.index(claim[0].lower())  # once, whatever the number of comparisons
        assert sentences.count(claim[0].lower()) == 1
        n = dict(own["verdict"].value_counts().iter_rows())
        refuted = n.get("contradicted", 0) + n.get("equivalent", 0)
        said = f"confirmed {n.get('confirmed', 0)}, undecided {n.get('open', 0)}, not confirmed"
        assert f"Of {own.height} comparisons" in made.findings[at].detail
        assert f"{said} {refuted}; margin 0.05" in made.findings[at].detail
    refused = CliRunner().invoke(cli, ["align", "report", str(out), "--pivot", "qab"])
    assert "give it --draws, --seed and --margins" in str(refused.exception)
