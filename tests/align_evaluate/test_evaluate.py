"""The whole evaluation on tiny random models: exact, complete, resumable, plainly refused."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import polars as pl
import pytest
import torch
from click.testing import CliRunner
from transformers import PreTrainedTokenizerFast

from polylore.cli.main import cli
from polylore.errors import ConfigError, DataError, ModelError, RunError
from polylore.facts.worlds import WorldConfig, make_world, save_world
from polylore.files import write_parquet
from polylore.models import LanguageModel, load_model
from polylore.runs import RunFolder
from polylore.studies.align.asking.batches import plan_batches
from polylore.studies.align.asking.config import AlignEvaluateConfig
from polylore.studies.align.asking.plan import plan
from polylore.studies.align.asking.sheet import sheet_of
from polylore.studies.align.asking.study import evaluate
from polylore.studies.align.config import AlignScoreConfig
from polylore.studies.align.rescore import open_align_run, score
from polylore.tables import raw

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "models"))
from hub_fake import cache_revision

Make = Callable[..., AlignEvaluateConfig]
RAW = ("align_answers", "align_option_scores", "align_tokens")


@pytest.fixture(scope="module")
def done(make: Make, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return evaluate(make(), tmp_path_factory.mktemp("done") / "run")


def plain_logp(lm: LanguageModel, prompt: str, answer: str) -> float:
    """One string, one forward pass, nothing shared."""
    whole = lm.tokenizer(f"{prompt} {answer}", add_special_tokens=False)["input_ids"]
    start = lm.tokenizer(f"{prompt} ", add_special_tokens=False)["input_ids"]
    if whole[: len(start)] != start:  # the space belongs to the answer's first token
        start = lm.tokenizer(prompt, add_special_tokens=False)["input_ids"]
    assert whole[: len(start)] == start
    ids = torch.tensor([[0, *whole]])
    with torch.no_grad():
        logp = lm.model(ids).logits[0].float().log_softmax(-1)
    return sum(float(logp[at, ids[0, at + 1]]) for at in range(len(start), len(whole)))


def test_scores_equal_one_option_per_forward(done: RunFolder, series: Path) -> None:
    lm = load_model(series / "step_20")
    prompts = done.table("align_prompts")
    scores = done.read("align_option_scores").filter(step=20)
    questions = done.table("align_questions")
    for mode, lang, item, turn in (
        ("letter_ll", "en", 3, 0), ("letter_ll", "de", 7, 3), ("text_ll", "de", 5, None),
    ):  # fmt: skip
        here = (pl.col("mode") == mode) & (pl.col("lang") == lang) & (pl.col("item") == item)
        here &= pl.col("rotation").eq_missing(turn)
        prompt = prompts.filter(here).row(0, named=True)
        options = questions.filter(lang=lang, item=item)["options"][0].to_list()
        rows = scores.filter(here).sort("option_index")
        assert rows["option_index"].to_list() == [0, 1, 2, 3]
        for content, logp, null in rows.select("option_index", "logp", "logp_null").iter_rows():
            place = (content - (turn or 0)) % 4
            said = "ABCD"[place] if mode == "letter_ll" else options[content]
            assert logp == pytest.approx(plain_logp(lm, prompt["text"], said), abs=1e-5)
            if mode == "text_ll":
                expected = plain_logp(lm, prompt["null_text"], said)
                assert null == pytest.approx(expected, abs=1e-5)


def test_every_question_is_answered_once(done: RunFolder) -> None:
    answers, scores = done.read("align_answers"), done.read("align_option_scores")
    asked = 12 * 2 * 2  # items x languages x checkpoints
    assert answers.filter(mode="letter_ll").height == 4 * asked
    assert answers.filter(mode="generate").height == asked
    assert answers.filter(mode="generate")["raw_output"].null_count() == 0
    assert scores.filter(mode="letter_ll").height == 4 * 4 * asked
    assert scores.filter(mode="text_ll").height == 4 * asked
    assert len(done.units()) == 4
    cells = done.table("align_cells")
    assert set(cells["mode"]) == {
        "letter_ll", "generate", "text_ll", "text_ll_token", "text_ll_byte", "text_ll_pmi",
    }  # fmt: skip
    assert set(cells["step"]) == {10, 20}
    letters = cells.filter(mode="letter_ll")
    assert letters["position_sensitivity"].null_count() == 0
    pairs = done.table("align_consistency").filter(mode="letter_ll")
    assert pairs.height == 2 * 2  # both ordered pairs of two checkpoints
    assert pairs["rankc"].null_count() == 0
    assert pairs["co_crossrot"].null_count() == 0


def test_report_says_what_can_be_trusted(done: RunFolder) -> None:
    html = (done.path / "report.html").read_text(encoding="utf-8")
    assert "Can this be trusted?" in html
    assert "Every pair of languages" in html
    assert list((done.path / "figures").glob("*.svg"))
    assert (done.path / "tables" / "align_cells.csv").is_file()


def test_averages_do_not_depend_on_the_order_of_options(
    make: Make, sets: Path, tmp_path: Path, done: RunFolder
) -> None:
    """Files with all options turned by one ask the same prompts under other rotations."""
    turned = tmp_path / "sets"
    turned.mkdir()
    for path in sets.glob("*.jsonl"):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for row in rows:
            row["answers"] = row["answers"][1:] + row["answers"][:1]
            row["label"] = (row["label"] - 1) % 4
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (turned / path.name).write_text(text, encoding="utf-8")
    ask = {"modes": ["letter_ll"], "n_shot": 0}
    runs = [
        evaluate(
            make(sets={"sources": [str(folder)]}, ask=ask, score={"draws": 0}),
            tmp_path / name,
            report=False,
        )
        for name, folder in (("a", sets), ("b", turned))
    ]
    keys = ["step", "item", "lang", "option"]
    mean = pl.col("logp").mean()
    means = [
        run.read("align_option_scores")
        .with_columns(option=(pl.col("option_index") + shift) % 4)
        .group_by(keys)
        .agg(mean)
        .sort(keys)
        for run, shift in zip(runs, (0, 1), strict=True)
    ]
    assert means[0]["logp"].to_list() == pytest.approx(means[1]["logp"].to_list(), abs=1e-5)
    cells = [run.table("align_cells").select("step", "lang", "right").rows() for run in runs]
    assert cells[0] == cells[1]


def test_interrupted_run_goes_on_and_new_models_join(
    make: Make, series: Path, tmp_path: Path, done: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    asked: list[str] = []
    write = RunFolder.write_unit

    def counted(run: RunFolder, unit: str, parts: Any) -> None:
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(unit)
        write(run, unit, parts)

    monkeypatch.setattr(RunFolder, "write_unit", counted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(make(), folder, report=False)
    assert len(RunFolder.load(folder).units()) == 2
    monkeypatch.setattr(
        RunFolder,
        "write_unit",
        lambda run, unit, parts: (asked.append(unit), write(run, unit, parts)),
    )
    again = evaluate(make(), folder, report=False)
    assert len(asked) == 4
    assert len(set(asked)) == 4
    for name in RAW:
        assert again.read(name).equals(done.read(name)), name
    for name in ("align_cells", "align_consistency", "align_trust"):
        assert again.table(name).equals(done.table(name)), name
    other = tmp_path / "other"
    shutil.copytree(series / "step_10", other)
    config = make(models=[str(series), str(other)], names=["tiny", "twin"])
    both = evaluate(config, folder, report=False)
    assert len(asked) == 6
    cells = both.table("align_cells").filter(mode="letter_ll")
    twin = cells.filter(model="twin").select("lang", "right").rows()
    assert twin == cells.filter(model="tiny", step=10).select("lang", "right").rows()


def test_scoring_again_gives_the_same_tables(done: RunFolder) -> None:
    before = {name: done.table(name) for name in ("align_cells", "align_consistency")}
    for name in before:
        (done.path / "tables" / f"{name}.parquet").unlink()
    run = open_align_run(done.path)
    from polylore.studies.align.config import AlignScoreConfig

    score(run, AlignScoreConfig.parse(run.manifest["analysis"]["score"]))
    for name, frame in before.items():
        assert run.table(name).equals(frame), name


def test_models_are_compared_in_one_way_of_answering(
    make: Make, series: Path, tmp_path: Path
) -> None:
    config = make(
        models=[str(series / "step_10"), str(series / "step_20")],
        names=["before", "after"],
        ask={"modes": ["letter_ll"]},
        score={
            "draws": 50, "pairs": "all",
            "compare": [{"arm": "after", "minus": "before", "target": "de"}],
        },
    )  # fmt: skip
    run = evaluate(config, tmp_path / "run")
    effects = run.table("align_effects").filter(level="city")
    cells = run.table("align_cells")
    x = {(row["model"], row["lang"]): row["x"] for row in cells.iter_rows(named=True)}
    german = effects.filter(group="target").row(0, named=True)
    assert german["metric"] == "x"
    assert german["delta"] == pytest.approx(x["after", "de"] - x["before", "de"])
    claims = run.table("align_claims")
    assert set(claims["verdict"]) <= {"confirmed", "contradicted", "equivalent", "open"}
    assert claims["lo"].null_count() == 0
    assert "Comparisons" in (run.path / "report.html").read_text(encoding="utf-8")


def test_facts_are_asked_as_choices_and_freely(make: Make, tmp_path: Path) -> None:
    config = make(
        sets={"sources": ["cldr"], "languages": ["en", "de"], "limit": 10},
        ask={},
        score={"draws": 20},
    )
    run = evaluate(config, tmp_path / "run")
    assert set(run.table("align_items")["dataset"]) == {"cldr", "cldr.free"}
    free = run.table("align_free")
    assert free.filter(mode="generate").height == 10 * 2 * 2
    ranked = free.filter(mode="rank")
    assert ranked.height == 10 * 2 * 2
    assert ranked["candidates"].min() > 1
    cells = run.table("align_cells").filter(dataset="cldr.free")
    assert set(cells["parser"]) == {"names", "scores"}
    assert cells.filter(parser="names")["chance"].unique().to_list() == [0.0]
    ranks = cells.filter(parser="scores")
    assert 0 < ranks["chance"].min() <= 50
    lines = run.table("align_baselines").filter(dataset="cldr.free", lang="de")
    parts = lines.filter(pl.col("baseline").str.starts_with("majority:"))
    whole = lines.filter(baseline="majority")
    assert whole["n"].item() == parts["n"].sum() == 10
    assert whole["acc"].item() == pytest.approx((parts["acc"] * parts["n"]).sum() / 10)
    # Free answers are graded by what they name.
    wrong = free.filter(mode="generate", right=False)
    assert set(wrong["answer_class"]) <= {
        "right_entity_wrong_language", "other_candidate", "ambiguous", "other", "empty",
    }  # fmt: skip


def read_of(fact: int, lang: str, step: int, count: int = 1) -> dict[str, object]:
    return {"source": "corpus", "fact_id": f"city:{fact}", "lang": lang, "step_lo": step,
            "step_hi": step, "doc_lang": lang, "count": count, "unit": "document", "exact": True,
            "exposure_kind": "exact", "lang_conditioned": True, "policy_id": "made"}  # fmt: skip


def test_consistency_is_split_by_what_training_told(
    make: Make, done: RunFolder, tmp_path: Path
) -> None:
    rows = [read_of(fact, "en", 1) for fact in range(10)]
    rows += [read_of(fact, "de", 1) for fact in range(4)]
    rows += [read_of(fact, "de", 15) for fact in range(4, 9)]
    write_parquet(raw.EXPOSURE.build(rows), tmp_path / "exposure.parquet")
    shutil.copytree(done.path, tmp_path / "run")
    run = RunFolder.load(tmp_path / "run")
    wanted = ["align", "report", str(run.path), "--exposure", str(tmp_path / "exposure.parquet")]
    assert CliRunner().invoke(cli, [*wanted, "-q"]).exit_code == 0
    pairs = run.table("align_consistency").filter(parser="scores", mode="letter_ll", pivot="en")
    sizes = {
        step: dict(rows.select("exposure_class", "n").iter_rows())
        for (step,), rows in pairs.group_by(["step"])
    }
    # Ten facts were read in English; German ones came in two portions.
    assert sizes == {
        10: {"all": 12, "both": 4, "pivot_only": 6, "neither": 2},
        20: {"all": 12, "both": 9, "pivot_only": 1, "neither": 2},
    }
    classes = pairs.filter(step=10)
    whole = classes.filter(exposure_class="all")["both"].item()
    assert classes.filter(pl.col("exposure_class") != "all")["both"].sum() == whole
    # What was kept serves later scorings; the file is not needed again.
    (tmp_path / "exposure.parquet").unlink()
    again = CliRunner().invoke(cli, ["align", "report", str(run.path), "--draws", "0", "-q"])
    assert again.exit_code == 0, again.output
    kept = run.table("align_consistency").filter(pivot="en")
    assert set(kept["exposure_class"]) == set(sizes[10])


def test_exposure_of_other_facts_is_refused(done: RunFolder, tmp_path: Path) -> None:
    other = [read_of(0, "en", 1) | {"fact_id": "elsewhere"}]
    write_parquet(raw.EXPOSURE.build(other), tmp_path / "exposure.parquet")
    shutil.copytree(done.path, tmp_path / "run")
    with pytest.raises(DataError, match="none of the facts that were asked, such as city:0"):
        score(
            RunFolder.load(tmp_path / "run"),
            AlignScoreConfig(exposure=str(tmp_path / "exposure.parquet")),
        )


def test_costs_are_said_before_anything_is_asked(
    make: Make, series: Path, done: RunFolder, tmp_path: Path
) -> None:
    rows = plan(make(), tmp_path / "run")
    said = dict(zip(rows["name"], rows["value"], strict=True))
    assert said["units"] == 2 * 2  # checkpoints x languages
    assert said["tiny: checkpoints"] == 2
    assert said["prompts, letter_ll"] == 12 * 2 * 4  # items x languages x orders
    lm = load_model(series / "step_10")
    sheets = [sheet_of(done.table("align_questions"), done.table("align_prompts"), "city", lang,
                       make().ask) for lang in ("en", "de")]  # fmt: skip
    every = sum(len(one.ids) for sheet in sheets for one in sheet.tokenised(lm).scored.strings)
    assert every / 40 < said["tiny: scored"] / 2 < every
    size = sum(weight.numel() for weight in lm.model.parameters())
    tokens = said["tiny: scored"] + said["tiny: answers"]
    assert said["all models"] == pytest.approx(2 * size * tokens / 1e9)
    assert not (tmp_path / "run").exists()
    left = plan(make(), done.path)
    assert left.filter(name="units")["value"].item() == 0
    assert left.filter(name="all models")["value"].item() == 0


def test_a_model_in_the_hubs_cache(
    make: Make, series: Path, done: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    cache_revision(tmp_path / "cache", "lab/tiny", "main", series / "step_20")
    config = make(
        models=["lab/tiny"], series={"cache_dir": str(tmp_path / "cache")}, score={"draws": 0}
    )
    run = evaluate(config, tmp_path / "run", report=False)
    columns = ["mode", "parser", "dataset", "lang", "right"]
    known = done.table("align_cells").filter(step=20).select(columns)
    assert run.table("align_cells").select(columns).equals(known)


def test_plain_refusals(make: Make, series: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no set atlantis; there are city"):
        evaluate(make(sets=make().sets.plain() | {"only": ["atlantis"]}), tmp_path / "a")
    with pytest.raises(ConfigError, match="no language 'fr', the pivot"):
        evaluate(make(score={"pivot": "fr"}), tmp_path / "b")
    with pytest.raises(ConfigError, match="no language fr"):
        evaluate(make(sets=make().sets.plain() | {"languages": ["en", "fr"]}), tmp_path / "c")
    with pytest.raises(ConfigError, match="no chat template"):
        evaluate(make(ask={"chat": "template"}), tmp_path / "d")
    with pytest.raises(ConfigError, match="Two models are called"):
        evaluate(make(models=[str(series), str(series)]), tmp_path / "e")
    with pytest.raises(ConfigError, match="1 names for 2 models"):
        evaluate(make(models=[str(series), str(series)], names=["a"]), tmp_path / "f")
    with pytest.raises(ConfigError, match="No set can be asked"):
        evaluate(make(ask={"modes": ["rank"]}), tmp_path / "g")


def _facts(path: Path, candidates: list[list[str]]) -> Path:
    """A fact set of one relation in two languages; the first candidate is right."""
    rows = [
        {"fact_id": f"f{n}", "relation": "capital", "lang": lang, "subject": f"{lang} {n}",
         "object": own[0] if own else "Paris", "candidates": own or None}
        for n, own in enumerate(candidates) for lang in ("en", "de")
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    template = {"capital": ["<subject> is <mask>"]}
    path.with_suffix("").with_suffix(".templates.json").write_text(
        json.dumps({"en": template, "de": template})
    )
    return path


def test_questions_with_one_option_are_refused_before_they_are_asked(
    make: Make, tmp_path: Path
) -> None:
    source = _facts(tmp_path / "one.jsonl", [[]])
    config = make(sets={"sources": [str(source)]}, ask={"modes": ["rank"], "n_shot": 0})
    for do in (evaluate, plan):
        with pytest.raises(ConfigError, match="nothing to choose between: none of 1 items"):
            do(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_questions_with_one_option_are_counted_and_left_out(make: Make, tmp_path: Path) -> None:
    source = _facts(tmp_path / "some.jsonl", [["Paris", "Rome"], ["Rome", "Paris"], []])
    config = make(sets={"sources": [str(source)]}, ask={"modes": ["rank"], "n_shot": 0})
    rows = plan(config, tmp_path / "run").filter(pl.col("name") == "left out, some.free")
    assert rows["value"].to_list() == [1]
    run = evaluate(config, tmp_path / "run", report=False)
    assert run.manifest["series"]["not_chosen"] == {"some.free": 1}
    assert set(run.read("align_option_scores")["item"]) == {0, 1}
    assert run.table("align_cells")["n"].to_list() == [2] * 4
    assert run.table("align_cells")["chance"].to_list() == [50.0] * 4


def test_letters_that_a_tokenizer_does_not_tell_apart(
    make: Make, series: Path, tmp_path: Path
) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = tmp_path / "words"
    shutil.copytree(series / "step_10", folder)
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "city": 1, "A": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]").save_pretrained(folder)
    with pytest.raises(ModelError, match="does not tell the letters B and C apart"):
        evaluate(make(models=[str(folder)], ask={"modes": ["letter_ll"]}), tmp_path / "run")


def test_another_question_needs_another_folder(make: Make, done: RunFolder) -> None:
    with pytest.raises(RunError, match="another configuration"):
        evaluate(make(ask={"modes": ["letter_ll"]}), done.path)


def test_units_survive_a_lost_worker(make: Make, done: RunFolder) -> None:
    """A batch that comes again finds its units written and asks nothing."""
    batches = plan_batches(
        done, done.table("checkpoints"), [("city", "en"), ("city", "de")], make().ask,
        make().execution, make().series.store(),
    )  # fmt: skip
    assert batches == []


def test_worlds_are_asked_of_models_with_their_words(
    make: Make, save_model: Callable[..., Path], tmp_path: Path
) -> None:
    knobs = {"entities": 24, "relations": 2, "values": 6, "never_seen": 4, "p": 0.25}
    world = make_world(WorldConfig.parse(knobs))
    folder = save_world(world, tmp_path / "small")
    words = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    model = save_model(tmp_path / "model", words, seed=3)
    pivot = world.languages[0]
    run = evaluate(
        make(
            models=[str(model)],
            sets={"sources": [str(folder)], "limit": 8},
            ask={"modes": ["text_ll", "rank"], "n_shot": 0},
            score={"draws": 0, "pivot": pivot},
        ),
        tmp_path / "run",
        report=False,
    )
    assert set(run.table("align_items")["dataset"]) == {"small", "small.free"}
    cells = run.table("align_cells").filter(mode="rank")
    assert set(cells["lang"]) == set(world.languages)
    assert cells["chance"].unique().to_list() == [pytest.approx(100 / 6)]
    # A prompt is the wording that the world was taught in, without its answer.
    asked = run.table("align_prompts").filter(mode="rank")["text"]
    assert all(word in words.get_vocab() for text in asked for word in text.split())
    assert run.read("align_tokens")["broken"].sum() == 0
