"""Bad input of the specification's section 8: one clear sentence, before anything is trained."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from polylore.errors import ConfigError, DataError, ModelError, PolyloreError, RunError
from polylore.facts.people import Fiction, FictionConfig, load_pack, make_fiction, read_fiction
from polylore.files import read_parquet
from polylore.runs import RunFolder
from polylore.studies.inject.config import InjectConfig
from polylore.studies.inject.study import Study, run_inject

Settings = dict[str, Any]


def refused(settings: Settings, out: Path, fiction: Fiction | None = None) -> PolyloreError:
    """What a study says before it trains anything."""
    with pytest.raises(PolyloreError) as caught:
        _opened(settings, out, fiction)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return caught.value


def _opened(settings: Settings, out: Path, fiction: Fiction | None) -> None:
    study = Study(InjectConfig.parse(settings), fiction)
    study.prepare(study.open(out / "run"))


@pytest.mark.parametrize(
    ("section", "change", "kind", "message"),
    [
        ("controls", {"fewest": 5}, DataError, "4 never-injected items are asked in de, but 5"),
        ("probes", {"languages": ["fr"]}, ConfigError, "no probe has the lang fr"),
        ("probes", {"depths": ["deep"]}, ConfigError, "no probe has the depth deep"),
        ("plan", {"languages": ["fr"]}, ConfigError, "no passage is in fr"),
        ("plan", {"allow_dose": False}, DataError, "injected, more than 10%"),
        ("plan", {"preset": "paper"}, ConfigError, "the plan of the published items"),
        ("train", {"updates": 5}, ConfigError, "last exposure is at step .*updates is 5"),
        ("background", {"length": 24}, DataError, "a row of 24 holds 23"),
        ("background", {"length": None}, ConfigError, "how many tokens a row has"),
        ("background", {"eos": "<end>"}, ConfigError, "no token '<end>'"),
        ("background", {"source": []}, ConfigError, "background.source must name"),
        ("background", {"source": ["nowhere"]}, ConfigError, "No file matches"),
        ("background", {"first": 10**6}, ConfigError, "give more text or make fewer updates"),
        ("background", {"kind": "rows"}, DataError, "no file"),
        ("scan", {"strict": True}, DataError, "The background holds .* traces of the items"),
        ("items", {"languages": ["xx"]}, ConfigError, "no language pack for xx"),
        ("items", {"source": "nowhere"}, DataError, "There is no folder nowhere"),
    ],
)
def test_settings_that_do_not_fit(
    settings: Settings,
    tmp_path: Path,
    section: str,
    change: Settings,
    kind: type[PolyloreError],
    message: str,
) -> None:
    settings.setdefault(section, {}).update(change)
    with pytest.raises(kind, match=message):
        raise refused(settings, tmp_path)


def test_traces_are_refused_every_time_and_accepted_on_request(
    settings: Settings, tmp_path: Path
) -> None:
    settings["scan"] = {"strict": True}
    for _ in range(2):
        assert "set scan.strict off" in str(refused(settings, tmp_path))
    settings["scan"]["strict"] = False
    _opened(settings, tmp_path, None)
    settings["scan"]["strict"] = True
    assert "set scan.strict off" in str(refused(settings, tmp_path))


def test_no_model(settings: Settings, tmp_path: Path) -> None:
    assert "model" in str(refused(settings | {"model": ""}, tmp_path))
    error = refused(settings | {"model": str(tmp_path / "none")}, tmp_path)
    assert isinstance(error, ModelError | ConfigError)


def test_a_rate_that_is_not_known(settings: Settings, tmp_path: Path) -> None:
    del settings["train"]["rate"]
    settings["batch"] = {"small": 8, "large": 16, "lr": ["sqrt"], "optimizer": ["fresh_burn_in"]}
    assert "give train.rate.learning_rate" in str(refused(settings, tmp_path))


def made() -> Fiction:
    packs = [load_pack(lang) for lang in ("en", "de")]
    return make_fiction(packs, FictionConfig(n=8, n_control=4, facts=2, paraphrases=3))


def written(fiction: Fiction, folder: Path, name: str, change: Settings) -> Path:
    """Item files with one row changed."""
    fiction.export(folder)
    frame = getattr(fiction, name)
    rows = frame.to_dicts()
    rows[0].update(change)
    (folder / f"{name}.parquet").unlink()
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


def test_a_folder_of_items_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no folder .*nope; give the one"):
        read_fiction(tmp_path / "nope")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("passages", {"text": " "}, "the text of f0000/en/0 is empty"),
        ("passages", {"item_id": "f9999"}, "item f9999 of f0000/en/0 is not among the items"),
        ("passages", {"text": "Cafe\u0301."}, "not in Unicode form NFC"),
        ("probes", {"target": ""}, "the target of .* is empty"),
        ("probes", {"colour": 1}, "no field colour"),
        ("probes", {"prefix": None}, "the field prefix is missing"),
    ],
)
def test_item_files_that_cannot_be_meant(
    settings: Settings, tmp_path: Path, name: str, change: Settings, message: str
) -> None:
    settings["items"] = {"source": str(written(made(), tmp_path / "items", name, change))}
    with pytest.raises(DataError, match=message):
        raise refused(settings, tmp_path)


def test_a_malformed_line_is_named(settings: Settings, tmp_path: Path) -> None:
    folder = written(made(), tmp_path / "items", "probes", {})
    path = folder / "probes.jsonl"
    lines = path.read_text("utf-8").splitlines()
    path.write_text("\n".join([*lines[:2], "{", *lines[3:]]), encoding="utf-8")
    settings["items"] = {"source": str(folder)}
    with pytest.raises(DataError, match=r"probes\.jsonl.*3"):
        raise refused(settings, tmp_path)


def test_items_that_cannot_show_anything_are_refused_or_reported(
    settings: Settings, tmp_path: Path
) -> None:
    fiction = made()
    open_ = Fiction(
        fiction.items, fiction.passages, fiction.probes.with_columns(target_in_prefix=True)
    )
    error = str(refused(settings, tmp_path, open_))
    assert "(target_in_prefix): The prefix names the target" in error
    settings["items"]["lint"] = "report"
    found = Study(InjectConfig.parse(settings), open_).findings
    assert found.filter(severity="error")["rule"].to_list() == ["target_in_prefix"] * 2


def test_arms_of_unequal_length_are_reported(settings: Settings) -> None:
    settings["background"]["length"] = 256
    fiction = made()
    study = Study(InjectConfig.parse(settings), fiction)
    arms = study.designs["main seed 0"].arms
    told = arms.filter(arm="duplication")["item_id"].to_list()
    twice = pl.col("text") + " " + pl.col("text")
    text = pl.when(pl.col("item_id").is_in(told)).then(twice).otherwise("text").alias("text")
    fiction = Fiction(fiction.items, fiction.passages.with_columns(text), fiction.probes)
    assert "arm_length" not in study.findings["rule"]
    # Items that the study makes itself are equally long in the tokens of its model.
    assert "variant_length" not in Study(InjectConfig.parse(settings)).findings["rule"]
    assert "arm_length" in Study(InjectConfig.parse(settings), fiction).findings["rule"]


def test_items_in_too_few_texts(settings: Settings, tmp_path: Path) -> None:
    fiction = made()
    few = Fiction(fiction.items, fiction.passages.filter(variant=0), fiction.probes)
    assert "the arm paraphrase needs 2" in str(refused(settings, tmp_path, few))


def test_items_without_probes(settings: Settings, tmp_path: Path) -> None:
    fiction = made()
    mute = Fiction(fiction.items, fiction.passages, fiction.probes.clear())
    assert "no probe, so nothing would be read" in str(refused(settings, tmp_path, mute))


def test_without_control_items_only_on_request(settings: Settings, tmp_path: Path) -> None:
    fiction = made()
    items = fiction.items.filter(~pl.col("control"))
    alone = Fiction(
        items,
        fiction.passages.filter(pl.col("item_id").is_in(items["item_id"].to_list())),
        fiction.probes.filter(pl.col("item_id").is_in(items["item_id"].to_list())),
    )
    assert "0 never-injected items are asked in de" in str(refused(settings, tmp_path, alone))
    settings["controls"]["no_control"] = True
    study = Study(InjectConfig.parse(settings), alone)
    assert "never" not in study.designs["main seed 0"].arms["arm"].to_list()


def test_the_sham_run_needs_as_many_other_items(settings: Settings, tmp_path: Path) -> None:
    fiction = made()
    few = make_fiction([load_pack(lang) for lang in ("en", "de")], FictionConfig(n=2, first=100))
    few.export(tmp_path / "sham")
    settings["items"] = {"sham": str(tmp_path / "sham")}
    settings["controls"]["sham"] = True
    assert "needs 8 other items, but items.sham has 2" in str(refused(settings, tmp_path, fiction))


def test_changed_items_are_refused_on_resume(settings: Settings, tmp_path: Path) -> None:
    config = InjectConfig.parse(settings)
    run = Study(config, made()).open(tmp_path / "run")
    (run.path / "unfinished").mkdir()
    (run.path / "unfinished" / "eval_loss.parquet").touch()  # something was read already
    other = made()
    other = Fiction(
        other.items, other.passages.with_columns(text=pl.col("text") + " "), other.probes
    )
    with pytest.raises(RunError, match=r"inputs\.items"):
        Study(config, other).open(tmp_path / "run")


def test_a_run_of_other_settings_is_refused(settings: Settings, tmp_path: Path) -> None:
    settings["conditions"] = [{"name": "slow", "set": {"train.rate.learning_rate": 1e-5}}]
    study = Study(InjectConfig.parse(settings))
    study.prepare(study.open(tmp_path / "run"))
    settings["conditions"][0]["set"]["train.rate.learning_rate"] = 1e-6
    with pytest.raises(RunError, match="holds a run 'slow seed 0' of other settings"):
        Study(InjectConfig.parse(settings)).open(tmp_path / "run")


def test_growth_that_moves_held_out_rows_is_refused(settings: Settings, tmp_path: Path) -> None:
    np.random.default_rng(0).integers(2, 600, 128 * 16 * 25, np.uint16).tofile(tmp_path / "tokens")
    settings["background"] |= {"kind": "tokens", "source": [str(tmp_path / "tokens")]}
    study = Study(InjectConfig.parse(settings))
    study.prepare(study.open(tmp_path / "run"))
    reads = study.rows
    for updates, fits in ((reads // 16 + 2, True), (25, False)):
        longer = {"name": "long", "set": {"train.updates": updates}}
        grown = Study(InjectConfig.parse(settings | {"conditions": [longer]}))
        if fits:
            grown.open(tmp_path / "run")
            continue
        with pytest.raises(RunError, match="the study grew too long for it; give another folder"):
            grown.open(tmp_path / "run")


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_log(
    settings: Settings, tmp_path: Path
) -> None:
    settings["train"]["rate"]["learning_rate"] = 1e30
    settings["probes"] |= {"extras_every": 0, "ceiling": False, "at": "every"}
    with pytest.raises(RunError, match=r"1 of 1 runs failed.*read is kept in.*give others"):
        run_inject(InjectConfig.parse(settings), tmp_path / "run")
    parts = next((tmp_path / "run" / "unfinished").iterdir()) / "readings"
    kept = sorted(parts.glob("t-*.parquet"))
    assert kept
    first = read_parquet(kept[0])
    assert first["mean_logprob"].is_finite().all()


def test_a_condition_keeps_the_tokens_of_the_study(
    settings: Settings, model: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(model, other)
    settings["conditions"] = [{"name": "other", "set": {"model": str(other)}}]
    Study(InjectConfig.parse(settings))
    config = json.loads((other / "config.json").read_text("utf-8"))
    (other / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 100}))
    assert "reads 100 tokens, but rows have 128" in str(refused(settings, tmp_path / "run"))
    (other / "config.json").write_text(json.dumps(config))
    words = json.loads((other / "tokenizer.json").read_text("utf-8"))
    words["normalizer"] = {"type": "Lowercase"}
    (other / "tokenizer.json").write_text(json.dumps(words))
    assert "Condition other: the checkpoint has another tokenizer" in str(
        refused(settings, tmp_path / "run")
    )


def test_checkpoints_begin_with_optimizers_of_one_kind(
    settings: Settings, model: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(model, other)
    (other / "optimizer.safetensors").touch()
    settings["conditions"] = [{"name": "other", "set": {"model": str(other)}}]
    settings["train"]["optimizer"] = "auto"
    assert "would begin as restore, at that of the study as fresh_burn_in" in str(
        refused(settings, tmp_path / "run")
    )
    settings["train"]["optimizer"] = "restore"
    assert "has no optimizer state at step 0" in str(refused(settings, tmp_path / "run"))


def test_other_weights_of_a_condition_are_refused_on_resume(
    settings: Settings, model: Path, tmp_path: Path, moved: Callable[[Path], None]
) -> None:
    other = tmp_path / "other"
    shutil.copytree(model, other)
    settings["conditions"] = [{"name": "other", "set": {"model": str(other)}}]
    study = Study(InjectConfig.parse(settings))
    study.prepare(study.open(tmp_path / "run"))
    moved(other)
    with pytest.raises(RunError, match="holds a run 'other seed 0' of other settings"):
        Study(InjectConfig.parse(settings)).open(tmp_path / "run")


@pytest.mark.parametrize(
    ("section", "change", "says"),
    [
        ("background", {"source": ["nowhere"]}, "No file matches"),
        ("background", {"text": "nothing"}, "no field 'nothing'"),
        ("train", {"updates": 400}, "make 518 rows, but .* up to row 6400"),
        ("scan", {"strict": True, "ngram": 7}, "The background holds .* traces of the items"),
    ],
)
def test_what_was_refused_goes_on_when_it_is_mended(
    settings: Settings, tmp_path: Path, section: str, change: Settings, says: str
) -> None:
    bad = settings | {section: settings.get(section, {}) | change}
    with pytest.raises(PolyloreError, match=says):
        _opened(bad, tmp_path, None)
    _opened(settings, tmp_path, None)
    run = RunFolder.load(tmp_path / "run")
    assert run.manifest["config"] == InjectConfig.parse(settings).question()


def test_documents_that_were_too_few_are_read_again(
    settings: Settings, documents: Path, tmp_path: Path
) -> None:
    text = documents.read_text("utf-8").splitlines(keepends=True)
    few = tmp_path / "few.jsonl"
    few.write_text("".join(text[:100]), encoding="utf-8")
    settings["background"]["source"] = [str(few)]
    assert "give more text" in str(refused(settings, tmp_path))
    few.write_text("".join(text), encoding="utf-8")
    _opened(settings, tmp_path, None)


def test_text_that_was_mended_after_a_refusal_is_read_anew(
    settings: Settings, tmp_path: Path
) -> None:
    (source,) = settings["background"]["source"]
    text = Path(source).read_text("utf-8")
    other = tmp_path / "other.jsonl"
    settings["background"]["source"] = [str(other)]
    other.write_text(text, encoding="utf-8")
    settings["scan"] = {"strict": True}
    refused(settings, tmp_path)
    del settings["scan"]
    before = _packed(settings, tmp_path)
    settings["items"]["made"]["seed"] = 3  # another study, to which the folder gives way
    other.write_text("".join(reversed(text.splitlines(keepends=True))), encoding="utf-8")
    assert _packed(settings, tmp_path) != before


def _packed(settings: Settings, tmp_path: Path) -> bytes:
    _opened(settings, tmp_path, None)
    rows = (tmp_path / "run" / "inputs" / "background").glob("documents-*/training/*.bin")
    return b"".join(path.read_bytes() for path in sorted(rows))


def test_rows_of_an_older_version_are_found(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _opened(settings, tmp_path, None)
    (rows,) = (tmp_path / "run" / "inputs" / "background").iterdir()
    rows.rename(rows.with_name("-".join(rows.name.split("-")[:2])))
    monkeypatch.setattr("polylore.studies.inject.background.lay_out", None)
    _opened(settings, tmp_path, None)
    settings["items"]["made"]["seed"] = 3
    with pytest.raises(RunError, match="another configuration"):
        _opened(settings, tmp_path, None)
