"""Comparing finished traces: made-up answers to real questions, no model."""

import re
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from polylore.errors import ConfigError, DataError, RunError
from polylore.facts import FactSet
from polylore.runs import RunFolder
from polylore.studies.compare.config import CompareConfig
from polylore.studies.compare.study import compare
from polylore.studies.trace.analyse import analyse
from polylore.studies.trace.config import AnalyseConfig, AskConfig
from polylore.studies.trace.study import make_prompts
from polylore.tables import raw

QUICK = CompareConfig(draws=50)
EVIL = "</script><img src=x onerror=alert(1)>"


def write_run(
    folder: Path,
    factset: FactSet,
    right: Callable[[str, str], bool],
    *,
    ask: AskConfig | None = None,
    model: str | None = None,
) -> Path:
    """A finished trace of a model that knows what `right` says of (fact_id, lang)."""
    ask = ask or AskConfig(n_shot=1)
    checkpoints = raw.CHECKPOINTS.build(
        [
            {
                "ckpt_id": "last", "family": "final", "model": model or folder.name,
                "tokens_exact": False, "final": True, "weight_hash": "ab" * 32, "suspect": False,
            }
        ]
    )  # fmt: skip
    prompts, _ = make_prompts(factset, ask, checkpoints)
    run = RunFolder.open(
        folder, "trace", {"preset": "default", "ask": ask.plain()}, {"facts": factset.digest()}
    )
    for name, frame in {
        "checkpoints": checkpoints,
        "facts": factset.facts,
        "templates": factset.templates,
        "prompts": prompts,
    }.items():
        run.write_table(name, frame)
    answers, scores = [], []
    for prompt in prompts.iter_rows(named=True):
        fact = factset.fact(prompt["fact_id"], prompt["lang"])
        known = right(fact["fact_id"], fact["lang"])
        key = {"ckpt_id": "last", "fact_id": fact["fact_id"], "lang": fact["lang"]}
        key["variant"] = prompt["variant"]
        for mode in ("generate", "candidates"):
            text = f" {fact['object'] if known else EVIL}\nand so on"
            answers.append(
                {**key, "mode": mode, "prompt_id": prompt["prompt_id"], "dtype": "float32",
                 "raw_text": text if mode == "generate" else None}
            )  # fmt: skip
        gold = fact["candidate_ids"][fact["gold_pos"]]
        for place, one in enumerate(fact["candidate_ids"]):
            scores.append(
                {**key, "candidate_id": one, "n_tokens": 1 + place % 3, "n_bytes": 6,
                 "logprob_sum": -1.0 - place if (one == gold) != known else 0.0,
                 "content_free_logprob": -1.0}
            )  # fmt: skip
    run.write_unit(
        "last",
        {
            "answers": raw.ANSWERS.build(answers),
            "candidate_scores": raw.CANDIDATE_SCORES.build(scores),
        },
    )
    analyse(run, AnalyseConfig(draws=0), "default")
    return folder


@pytest.fixture(scope="module")
def runs(factset: FactSet, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs of models that know everything, nothing, and everything in English alone."""
    root = tmp_path_factory.mktemp("runs")
    known: dict[str, Callable[[str, str], bool]] = {
        "wise": lambda fact, lang: True,
        "plain": lambda fact, lang: False,
        "english": lambda fact, lang: lang == "en",
        "twin": lambda fact, lang: lang == "en",
    }
    return {name: write_run(root / name, factset, right) for name, right in known.items()}


@pytest.fixture(scope="module")
def compared(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    out = tmp_path_factory.mktemp("compared") / "out"
    return compare([runs["wise"], runs["plain"], runs["english"]], out, QUICK)


def test_tables(compared: RunFolder, factset: FactSet) -> None:
    recall = compared.table("model_recall")
    assert list(recall["model"].unique(maintain_order=True)) == ["wise", "plain", "english"]
    whole = recall.filter(relation="all", matcher="default")
    by = {(r["model"], r["lang"]): r for r in whole.iter_rows(named=True)}
    assert by["wise", "ar"]["acc"] == 1
    assert by["plain", "ar"]["acc"] == 0
    assert by["english", "all"]["acc"] == pytest.approx(1 / 3)
    assert by["wise", "en"]["baseline"] > 0
    assert by["wise", "en"]["n"] == len(factset.fact_ids)
    table = compared.table("model_difference")
    gaps = table.filter(relation="all", matcher="candidates")
    by = {(r["model"], r["lang"]): r for r in gaps.iter_rows(named=True)}
    assert by["plain", "zh"]["difference"] == 1
    assert by["english", "en"]["difference"] == 0
    assert by["english", "all"]["difference"] == pytest.approx(2 / 3)
    assert by["english", "all"]["lo"] == pytest.approx(2 / 3)
    assert set(table["reference"]) == {"wise"}


def test_report(compared: RunFolder) -> None:
    page = (compared.path / "report.html").read_text(encoding="utf-8")
    assert EVIL not in page
    assert "wise is ahead in 3 of 3" in re.sub(r"\s+", " ", page)
    for title in ("Side by side", "Differences", "Names in tokens", "What they said", "Method"):
        assert title in page
    assert (compared.path / "figures" / "recall-candidates.svg").is_file()
    assert (compared.path / "tables" / "model_difference.csv").is_file()
    assert compared.manifest["remarks"] == []


def test_verdicts(runs: dict[str, Path], tmp_path: Path) -> None:
    from polylore.studies.compare.pages import build_report
    from polylore.studies.compare.shared import shared_questions
    from polylore.studies.compare.side import read_side

    def verdicts(first: str, other: str) -> list[str | None]:
        out = compare([runs[first], runs[other]], tmp_path / f"{first}-{other}", QUICK)
        sides = [read_side(runs[name], None) for name in (first, other)]
        _, remarks = shared_questions(sides)
        return [f.verdict for f in build_report(out, sides, QUICK, remarks).findings[:2]]

    assert verdicts("wise", "plain") == ["confirmed", "confirmed"]
    assert verdicts("plain", "wise") == ["not confirmed", "not confirmed"]
    assert verdicts("wise", "english") == ["confirmed", "confirmed"]
    assert verdicts("english", "twin") == ["not confirmed", "not confirmed"]


def test_only_shared_questions_count_and_the_rest_is_named(
    runs: dict[str, Path], factset: FactSet, tmp_path: Path
) -> None:
    ask = AskConfig(n_shot=1, variants=[0, 2], bos=False)
    fewer = factset.filter(fact_ids=factset.fact_ids[1:])
    # Other demonstrations, too, where the missing fact was one.
    other = write_run(tmp_path / "other", fewer, lambda fact, lang: True, ask=ask)
    out = compare([runs["plain"], other], tmp_path / "out", QUICK)
    remarks = " ".join(out.manifest["remarks"])
    assert "only other was asked" in remarks
    assert "only plain was asked (in en, ar, zh)" in remarks
    assert "The setting ask.bos is True for plain and False for other." in remarks
    n = out.table("model_recall").filter(lang="en", relation="all")["n"].unique()
    assert len(n) == 1
    assert n[0] < len(factset.fact_ids)
    page = (out.path / "report.html").read_text(encoding="utf-8")
    assert "The runs differ in more than the model" in page


def test_other_candidates_are_other_questions(
    runs: dict[str, Path], factset: FactSet, tmp_path: Path
) -> None:
    changed = factset.facts.with_columns(
        pl.when(pl.col("relation") == factset.relations[0])
        .then(pl.col("candidates").list.eval(pl.element() + "!"))
        .otherwise("candidates")
        .alias("candidates"),
        pl.when(pl.col("relation") == factset.relations[0])
        .then(pl.col("object") + "!")
        .otherwise("object")
        .alias("object"),
    )
    ask = AskConfig(n_shot=0)
    one = write_run(tmp_path / "one", factset, lambda fact, lang: True, ask=ask)
    two = write_run(
        tmp_path / "two",
        FactSet("x", changed, factset.templates),
        lambda fact, lang: True,
        ask=ask,
    )
    out = compare([one, two], tmp_path / "out", QUICK)
    remarks = " ".join(out.manifest["remarks"])
    assert "had other candidates in one than in two" in remarks
    assert "had other accepted answers in one than in two" in remarks
    assert factset.relations[0] not in set(out.table("model_recall")["relation"])


def test_nothing_shared(runs: dict[str, Path], factset: FactSet, tmp_path: Path) -> None:
    other = write_run(
        tmp_path / "other", factset, lambda fact, lang: True, ask=AskConfig(variants=[3])
    )
    with pytest.raises(DataError, match=r"share no question.*only plain was asked"):
        compare([runs["plain"], other], tmp_path / "out", QUICK)


def test_bad_input(runs: dict[str, Path], factset: FactSet, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match="at least two"):
        compare([runs["wise"]], out)
    with pytest.raises(ConfigError, match="2 runs but 1 names"):
        compare([runs["wise"], runs["plain"]], out, CompareConfig(names=["a"]))
    with pytest.raises(ConfigError, match=r"called 'wise'.*--names wise,wise-2\."):
        compare([runs["wise"], runs["wise"]], out)
    with pytest.raises(RunError, match="There is no run folder"):
        compare([runs["wise"], tmp_path / "absent"], out)
    RunFolder.open(tmp_path / "begun", "trace", {}, {})
    with pytest.raises(RunError, match="not finished: it lacks facts"):
        compare([runs["wise"], tmp_path / "begun"], out)
    RunFolder.open(tmp_path / "corpus", "compose", {}, {})
    with pytest.raises(RunError, match=r"cannot be compared \(a compose\)"):
        compare([runs["wise"], tmp_path / "corpus"], out)


def test_command(runs: dict[str, Path], tmp_path: Path) -> None:
    from polylore.cli.compare import compare as command

    words = [str(runs["wise"]), str(runs["plain"]), "--out", str(tmp_path / "out"), "--quiet"]
    done = CliRunner().invoke(command, [*words, "--names", "A,B", "--draws", "20"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out" / "report.html").is_file()
    assert set(RunFolder.load(tmp_path / "out").table("model_recall")["model"]) == {"A", "B"}
