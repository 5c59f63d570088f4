"""`polylore align` and `polylore reproduce align` from the command line."""

import json

import polars as pl
import pytest
from click.testing import CliRunner

from polylore.cli.align import align
from polylore.cli.reproduce import reproduce
from polylore.errors import PolyloreError
from polylore.runs import RunFolder
from polylore.studies.align.rescore import open_align_run, score

LANGS = ("en", "de")


@pytest.fixture
def files(tmp_path):
    """A set of three options in two languages, and two models' answers to it."""
    rows = [
        {"id": i, "questions": f"Where is place {i}?", "answers": [f"x{i}", f"y{i}", f"z{i}"],
         "label": i % 3} for i in range(30)
    ]  # fmt: skip
    tests = tmp_path / "tests"
    tests.mkdir()
    for lang in LANGS:
        own = [row | {"questions": f"{lang} {row['questions']}"} for row in rows]
        text = "\n".join(map(json.dumps, own))
        (tests / f"places.{lang}.jsonl").write_text(text)
    answers = pl.DataFrame(
        [
            {"model": model, "task": "places", "lang": lang, "item": i,
             "output": "ABC"[(i + (i % 5 < wrong)) % 3], "gold": "ABC"[i % 3]}
            for model, wrong in (("a", 1), ("b", 2)) for lang in LANGS for i in range(30)
        ]
    )  # fmt: skip
    answers.write_parquet(tmp_path / "answers.parquet")
    return tmp_path


def run(*words) -> str:
    done = CliRunner().invoke(align, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def rescored(files, *words):
    out = files / "run"
    said = run(
        "rescore", files / "answers.parquet", "--tests", files / "tests", "--score.draws", 50,
        "--score.reference", "human:90", "--out", out, "--quiet", *words,
    )  # fmt: skip
    return RunFolder.load(out), said


def test_rescore(files):
    folder, said = rescored(files, "--score.compare", "[{arm: b, minus: a, target: de}]")
    assert "cells can be used" in said
    cells = folder.table("align_cells").filter(parser="robust", lang="de")
    assert cells.select("model", "acc").rows() == [("a", 80.0), ("b", 60.0)]
    effects = folder.table("align_effects").filter(group="target", level="places")
    assert effects["delta"].item() == pytest.approx((0.6 - 0.8) / (0.9 - 1 / 3))
    assert effects["hi"].item() < 0
    assert set(folder.table("align_lint_summary")["check"]) == {"options_as_pivot"}
    chance = folder.table("align_baselines").filter(baseline="chance")
    assert chance["acc"].to_list() == pytest.approx([100 / 3] * 2)


def test_scoring_again_needs_no_source_files(files):
    folder, _ = rescored(files)
    before = {name: folder.table(name) for name in folder.table_names()}
    (files / "answers.parquet").unlink()
    for path in (folder.path / "tables").glob("align_c*.parquet"):
        path.unlink()
    opened = open_align_run(folder.path)
    from polylore.studies.align.config import AlignScoreConfig

    again = score(opened, AlignScoreConfig(draws=50, reference="human:90"))
    assert all(again[name].equals(before[name]) for name in again)


def test_other_answers_need_another_folder(files):
    rescored(files)
    frame = pl.read_parquet(files / "answers.parquet")
    frame.with_columns(output=pl.lit("A")).write_parquet(files / "answers.parquet")
    with pytest.raises(PolyloreError, match="inputs"):
        rescored(files)


def test_incomplete_cells_are_named(files):
    frame = pl.read_parquet(files / "answers.parquet")
    frame.slice(1).write_parquet(files / "answers.parquet")
    folder, said = rescored(files)
    assert "left out: a, places, en: 29 of 30 items" in said
    pairs = folder.table("align_consistency")
    assert set(pairs["model"]) == {"b"}


def test_lines_of_the_published_code_need_names(files):
    path = files / "lines.jsonl"
    path.write_text("\n".join(json.dumps({"res": "A", "label": i % 3, "uuid": i})
                              for i in range(30)))  # fmt: skip
    words = ("rescore", path, "--tests", files / "tests", "--score.draws", 0, "--quiet", "--out",
             files / "lines", "--model", "m", "--score.reference", "human:90")  # fmt: skip
    with pytest.raises(PolyloreError, match="need all of --model, --task and --lang"):
        run(*words)
    run(*words, "--task", "places", "--lang", "en")
    cells = RunFolder.load(files / "lines").table("align_cells")
    assert cells["right"].to_list() == [10, 10, 10]


def test_lint(files):
    said = run("lint", files / "tests", "--out", files / "found")
    assert "options_as_pivot" in said
    assert pl.read_parquet(files / "found" / "align_lint.parquet").height == 30
    with pytest.raises(PolyloreError, match="has no language 'fr'"):
        run("lint", files / "tests", "--pivot", "fr")
    assert CliRunner().invoke(align, ["lint", str(files / "tests"), "--strict"]).exit_code == 0


def test_lint_of_published_worlds(clika):
    said = run("lint", clika / "fictional", "--fictional")
    assert "slots_swapped" in said
    assert "term_never_taught" in said
    repaired = run("lint", clika / "fictional", "--fictional", "-r", "zh_continents",
                   "-r", "zh_swap")  # fmt: skip
    assert "error" not in repaired.replace("errors or warnings", "")


def test_lint_of_own_worlds(tmp_path):
    out = tmp_path / "w"
    run("world", "--targets", "[{lang: de}, {lang: fi}]", "--answers", 4, "--subjects", 4,
        "--exposures", 2, "--out", out)  # fmt: skip
    clean = run("lint", out)
    assert "0 errors or warnings." in clean
    assert clean == run("lint", out, "--fictional")
    rows = pl.read_parquet(out / "fi" / "fiction_rows.parquet")
    taught = pl.when(pl.col("block") == "translate_ts").then(pl.lit("x"))
    rows.with_columns(response=taught.otherwise("response")).write_parquet(
        out / "fi" / "fiction_rows.parquet"
    )
    assert "term_never_taught" in run("lint", out, "--out", tmp_path / "found")
    found = pl.read_parquet(tmp_path / "found" / "align_lint.parquet")
    assert found.filter(check="term_never_taught")["lang"].unique().to_list() == ["fi"]
    with pytest.raises(PolyloreError, match="--repair has nothing to mend"):
        run("lint", out, "-r", "zh_swap")


def test_lint_of_what_is_not_there(tmp_path):
    for more in ((), ("--fictional",)):
        with pytest.raises(PolyloreError, match=r"There is no folder .*nope"):
            run("lint", tmp_path / "nope", *more)
    with pytest.raises(PolyloreError, match=r"is no invented world: .*world\.json"):
        run("lint", tmp_path, "--fictional")


def test_world(tmp_path):
    said = run("world", "--targets", "[{lang: de}, {lang: fi}]", "--answers", 4, "--subjects", 4,
               "--exposures", 2, "--out", tmp_path / "w")  # fmt: skip
    assert "de: 48 rows of facts and 40 of other kinds" in said
    rows = pl.read_parquet(tmp_path / "w" / "fi" / "fiction_rows.parquet")
    assert rows.height == 88
    manifest = json.loads((tmp_path / "w" / "world.json").read_text())
    assert set(manifest["worlds"]) == {"de", "fi"}


def test_reproduce(clika, tmp_path):
    frame = pl.read_parquet(clika / "predictions.parquet").filter(
        pl.col("model").is_in(["chatgpt", "bloom_7b1"]), pl.col("task").is_in(["xgeo", "xpeo"])
    )
    # A model of another name, and a cell with a missing row.
    frame = frame.with_columns(pl.col("model").str.replace("chatgpt", "held back"))
    gone = (pl.col("model") == "bloom_7b1") & (pl.col("lang") == "de") & (pl.col("item") == 7)
    frame.filter(~(gone & (pl.col("task") == "xgeo"))).write_parquet(tmp_path / "p.parquet")
    done = CliRunner().invoke(
        reproduce,
        ["align", "--predictions", str(tmp_path / "p.parquet"), "--out", str(tmp_path / "o.json")],
    )
    assert done.exit_code == 0, done.output
    assert "bloom_7b1, xgeo, de has 199 of 200 items (missing are 7" in done.output
    made = json.loads((tmp_path / "o.json").read_text())
    golden = json.loads((clika / "golden.json").read_text())
    for task in ("xgeo", "xpeo"):
        assert made["held back"][task] == golden["chatgpt"][task]
    assert made["bloom_7b1"]["xpeo"] == golden["bloom_7b1"]["xpeo"]
    assert "de" not in made["bloom_7b1"]["xgeo"]
    assert made["bloom_7b1"]["xgeo"]["fr"] == golden["bloom_7b1"]["xgeo"]["fr"]
