"""The study count: units, resume, agreement with the ledger, and what trace makes of it."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

pytest.importorskip("daachorse", reason="the extra `corpus` is not installed")
pytest.importorskip("stringzilla", reason="the extra `corpus` is not installed")
pytest.importorskip("pyarrow", reason="the extra `corpus` is not installed")

from polylore import metrics
from polylore.cli.main import main
from polylore.corpus import ComposeConfig, compose, exposure_table
from polylore.errors import ConfigError, DataError, RunError
from polylore.facts import load_facts
from polylore.runs import RunFolder
from polylore.studies.count.agree import compare
from polylore.studies.count.config import CountConfig
from polylore.studies.count.sample import sample_documents
from polylore.studies.count.study import count
from polylore.studies.trace.study import read_exposure
from polylore.tables import raw

LANGS = ["en", "fr", "ja", "zh", "ar"]
FACTS = {"languages": LANGS, "limit": 60}


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("composed")
    facts = load_facts("cldr", languages=LANGS).common().sample(60, 0)
    corpus = compose(
        facts, ComposeConfig(min_dose=1, max_dose=12, held_out=0.2, mentions=0.4), folder
    )
    n = corpus.manifest["counts"]["documents"]
    read = raw.CONSUMED.build(
        [{"doc_id": i, "step": i // 50 + 1, "n_tokens": 1} for i in range(0, n, 2)]
    )
    read.write_parquet(folder / "consumed.parquet")
    ledger = exposure_table(corpus.documents(), read, corpus.expressed)
    ledger.write_parquet(folder / "ledger.parquet")
    return folder


def hand_made(folder: Path, names: dict[str, tuple[str, str]]) -> str:
    """A fact set of one fact."""
    rows = [
        {"fact_id": "1", "relation": "r", "lang": lang, "subject": subject, "object": gold}
        for lang, (subject, gold) in names.items()
    ]
    path = folder / "facts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    templates = {lang: {"r": "<subject>: <mask>"} for lang in names}
    (folder / "facts.templates.json").write_text(json.dumps(templates))
    return str(path)


def run(source: Path | str, out: Path, **more: object) -> RunFolder:
    values = {"documents": {"source": str(source)}, "facts": FACTS}
    for key, value in more.items():
        values[key] = values.get(key, {}) | value if isinstance(value, dict) else value
    return count(CountConfig.parse(values), out)


def test_equals_the_ledger(composed: Path, tmp_path: Path) -> None:
    order = {"order": str(composed / "consumed.parquet"), "id": "doc_id"}
    table = run(composed, tmp_path / "run", documents=order).table("exposure")
    ledger = pl.read_parquet(composed / "ledger.parquet")
    key = ["fact_id", "lang", "step_lo", "step_hi", "doc_lang"]
    columns = [*key, "count", "unit", "exposure_kind", "lang_conditioned", "policy_id"]
    # The ledger has no rows for documents that name only one of the two.
    met = table.filter(pl.col("count") > 0).select(columns).sort(key)
    assert met.equals(ledger.select(columns).sort(key))


def test_totals_and_trace(composed: Path, tmp_path: Path) -> None:
    folder = run(composed, tmp_path / "run")
    table = folder.table("exposure")
    assert table.select("fact_id", "lang").equals(folder.table("facts").select("fact_id", "lang"))
    assert set(table["exposure_kind"]) == {"total"}
    assert table["lang_conditioned"].all()
    doses = pl.read_parquet(composed / "design.parquet").join(table, on=["fact_id", "lang"])
    assert (doses["count"] >= doses["dose"]).all()
    assert (doses["count"] == doses["dose"]).mean() > 0.7
    anywhere = folder.table("exposure_any_language")
    assert anywhere["count"].sum() >= table["count"].sum()
    assert not anywhere["lang_conditioned"].any()
    checkpoints = raw.CHECKPOINTS.build(
        [
            {
                "ckpt_id": "c", "family": "f", "model": "m", "step": 5, "tokens_exact": True,
                "final": False, "suspect": False,
            }
        ]
    )  # fmt: skip
    for source in (tmp_path / "run", tmp_path / "run" / "tables" / "exposure.parquet"):
        exposure = read_exposure(str(source))
        assert exposure is not None
        seen = metrics.exposure_at(exposure, checkpoints, folder.table("facts"))
        assert seen["exposure"].sum() == table["count"].sum()
    paper = run(composed, tmp_path / "paper", preset="paper").table("exposure")
    assert not paper["lang_conditioned"].any()
    assert set(paper["policy_id"]) == {"cooccurrence:nfkc-casefold-boundary-overlap"}
    assert paper["count"].sum() >= table["count"].sum()


@pytest.mark.parametrize("content", [None, b"", b"fact_id,lang,count\nfr,en,3\n"])
def test_what_is_no_exposure_table_is_left_alone(tmp_path: Path, content: bytes | None) -> None:
    mine = tmp_path / "mine.csv"
    if content is not None:
        mine.write_bytes(content)
    for read in (lambda: read_exposure(str(mine)), lambda: compare(mine, mine, facts="cldr")):
        with pytest.raises(DataError, match="columns of `polylore tables exposure`") as refused:
            read()
        assert "delete" not in str(refused.value)
        assert "mine.csv" in str(refused.value)


def shards(folder: Path, n: int, rows: int = 300) -> None:
    """Shards, and beside them the facts that some of their documents express."""
    folder.mkdir()
    hand_made(
        folder.parent,
        {"en": ("Paris", "France"), "ja": ("パリ", "フランス"), "ar": ("باريس", "فرنسا")},
    )
    names = ["Paris France", "フランスの首都はパリです", "باريس فرنسا", "Berlin", "中国 北京"]
    for number in range(n):
        lines = [
            json.dumps({"text": f"{names[(i * number + i) % 5]} {i}", "lang": LANGS[i % 5]})
            for i in range(rows)
        ]
        path = folder / f"{number:02d}.jsonl.gz"
        path.write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))


def own(folder: Path) -> dict[str, object]:
    """The facts that `shards` writes beside them, and nothing else."""
    return {"source": str(folder / "facts.jsonl"), "languages": None, "limit": None}


def test_jobs_and_shards_change_nothing(tmp_path: Path) -> None:
    shards(tmp_path / "many", 6)
    one = b"".join(
        gzip.decompress(p.read_bytes()) + b"\n" for p in sorted((tmp_path / "many").iterdir())
    )
    (tmp_path / "one.jsonl").write_bytes(one)
    a = run(tmp_path / "one.jsonl", tmp_path / "a", facts=own(tmp_path))
    b = run(tmp_path / "many", tmp_path / "b", facts=own(tmp_path), execution={"jobs": 2})
    assert a.table("exposure")["count"].sum() > 0
    for name in ("exposure", "exposure_any_language"):
        assert a.table(name).equals(b.table(name))
    assert b.table("shards")["documents"].to_list() == [300] * 6


def test_urls_are_counted_as_files_are(tmp_path: Path) -> None:
    import fsspec

    shards(tmp_path / "many", 3)
    for path in (tmp_path / "many").iterdir():
        with fsspec.open(f"memory://count/{path.name}", "wb") as stream:
            stream.write(path.read_bytes())
    files = run(tmp_path / "many", tmp_path / "a", facts=own(tmp_path))
    named = run(f"file://{tmp_path}/many", tmp_path / "b", facts=own(tmp_path))
    held = run("memory://count/*.gz", tmp_path / "c", facts=own(tmp_path))
    assert files.table("exposure")["count"].sum() > 0
    for other in (named, held):
        assert other.table("exposure").equals(files.table("exposure"))
    assert named.units()[0] == f"file://{tmp_path}/many/00.jsonl.gz"
    assert held.units()[0].startswith("memory://")


def test_killed_runs_resume_to_equal_sums(tmp_path: Path) -> None:
    shards(tmp_path / "many", 8, rows=4000)
    expected = run(tmp_path / "many", tmp_path / "whole", facts=own(tmp_path)).table("exposure")
    words = [
        sys.executable, "-m", "polylore", "corpus", "count", str(tmp_path / "many"),
        "--facts.source", str(tmp_path / "facts.jsonl"), "-o", str(tmp_path / "run"), "-q",
    ]  # fmt: skip
    for wanted in (1, 3):
        process = subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while process.poll() is None:
            if len(list((tmp_path / "run" / "units").glob("[!.]*/done.json"))) >= wanted:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
            time.sleep(0.002)
    done = {
        path: path.stat().st_mtime_ns
        for path in (tmp_path / "run" / "units").glob("[!.]*/done.json")
    }
    assert 3 <= len(done) < 8
    resumed = run(tmp_path / "many", tmp_path / "run", facts=own(tmp_path)).table("exposure")
    assert resumed.equals(expected)
    assert all(path.stat().st_mtime_ns == at for path, at in done.items())


def test_another_corpus_is_refused(tmp_path: Path) -> None:
    shards(tmp_path / "many", 2)
    run(tmp_path / "many", tmp_path / "run")
    with (tmp_path / "many" / "00.jsonl.gz").open("ab") as stream:
        stream.write(gzip.compress(b'{"text": "more"}\n'))
    with pytest.raises(RunError, match=r"inputs\.documents"):
        run(tmp_path / "many", tmp_path / "run")


def test_a_damaged_shard_leaves_the_others(tmp_path: Path) -> None:
    shards(tmp_path / "many", 3)
    path = tmp_path / "many" / "01.jsonl.gz"
    text = gzip.decompress(path.read_bytes())[:9000]
    path.write_bytes(gzip.compress(text[: text.rindex(b"\n") + 1] + text * 3)[:-9])
    (tmp_path / "many" / "02.jsonl.gz").write_bytes(
        gzip.compress(b'{"text": "\xff"}\n{"text": "x"}')
    )
    with pytest.raises(DataError, match=r"01\.jsonl\.gz cannot be read to its end"):
        run(tmp_path / "many", tmp_path / "run")
    assert len(RunFolder.load(tmp_path / "run").units()) == 2
    (tmp_path / "many" / "01.jsonl.gz").write_bytes(path.read_bytes())
    text_mode = {"partial": True, "format": "txt", "txt": "line"}
    folder = run(tmp_path / "many", tmp_path / "lines", documents=text_mode)
    assert not folder.table("exposure")["exact"].any()
    noted = folder.manifest["notes"]
    assert any("Only the readable part" in note and "01.jsonl.gz" in note for note in noted)
    assert any("not UTF-8" in note and "02.jsonl.gz" in note for note in noted)


def test_a_name_that_is_everywhere_is_noted(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n\n".join(["France and so on"] * 30 + ["Paris"] * 5))
    folder = run(tmp_path / "a.txt", tmp_path / "run", facts={"limit": 500})
    assert any("more than half of all documents" in note for note in folder.manifest["notes"])


def test_conditioning_needs_languages(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Paris, France")
    with pytest.raises(ConfigError, match="No document says its language"):
        run(tmp_path / "a.txt", tmp_path / "run", condition="language")
    # The counts are there; only what is made of them was wrong.
    folder = run(tmp_path / "a.txt", tmp_path / "run", condition="any")
    assert not folder.table("exposure")["lang_conditioned"].any()


def test_languages_are_identified(tmp_path: Path) -> None:
    pytest.importorskip("pycld2", reason="the extra `langid` is not installed")
    texts = [
        "The capital of France is the city of Paris, and many people live there.",
        "La capitale de la France est la ville de Paris, et beaucoup de gens y vivent.",
        "フランスの首都はパリで、たくさんの人が住んでいます。",
    ]
    (tmp_path / "a.txt").write_text("\n\n".join(texts), encoding="utf-8")
    folder = run(tmp_path / "a.txt", tmp_path / "run", documents={"langid": True})
    assert folder.table("shards")["with_lang"].to_list() == [3]
    assert set(folder.read("exposure")["doc_lang"]) <= {"en", "fr", "ja"}


def test_sample(composed: Path) -> None:
    counted = (
        pl.read_parquet(composed / "ledger.parquet")
        .group_by("fact_id", "lang")
        .agg(pl.col("count").sum())
    )
    fact_id = counted.sort("count", "fact_id", descending=True)["fact_id"][0]
    config = CountConfig.parse(
        {"documents": {"source": str(composed), "id": "doc_id"}, "facts": FACTS}
    )
    names = {
        (row["lang"], role): row[role]
        for row in config.facts.load().facts.filter(fact_id=fact_id).iter_rows(named=True)
        for role in ("subject", "object")
    }
    hits = list(sample_documents(config, fact_id))
    documents = pl.read_parquet(composed / "documents" / "*.parquet")
    assert {h.doc_id for h in hits} >= set(
        documents.filter(fact_id=fact_id)["doc_id"].cast(pl.String)
    )
    for hit in hits:
        assert hit.doc_lang == hit.lang
        for start, end, role in hit.spans:
            assert hit.text[start:end].casefold() == names[hit.lang, role].casefold()
        assert "".join(text for text, _ in hit.excerpt()) in hit.text
    with pytest.raises(ConfigError, match="There is no fact 'nothing'"):
        next(sample_documents(config, "nothing"))


def test_marks_stand_in_the_original_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(
        "² ﬁrst ＰＡＲＩＳ, then Fra\u0301nce\u0301 😀", encoding="utf-8"
    )
    facts = hand_made(tmp_path, {"en": ("Paris", "Fráncé")})
    config = CountConfig.parse(
        {
            "documents": {"source": str(tmp_path / "a.txt")},
            "facts": {"source": facts},
        }
    )
    (hit,) = sample_documents(config, "1")
    assert [hit.text[a:b] for a, b, _ in hit.spans] == ["ＰＡＲＩＳ", "Fra\u0301nce\u0301"]


Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["polylore", "corpus", *words])
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capsys.readouterr()
        return int(stopped.value.code or 0), captured.out, captured.err

    return call


def test_command_line(cli: Call, composed: Path, tmp_path: Path) -> None:
    some = ["--facts.languages", ",".join(LANGS), "--facts.limit", "60"]
    code, out, _ = cli("count", str(composed), *some, "-o", str(tmp_path / "a"), "-q")
    assert code == 0
    assert "cells (a fact in a language) were met in documents of their language" in out
    fact_id = pl.read_parquet(composed / "ledger.parquet")["fact_id"][0]
    code, out, _ = cli("sample", fact_id, str(composed), *some, "-n", "2", "--json")
    assert code == 0
    assert {json.loads(line)["fact_id"] for line in out.splitlines()} == {fact_id}
    code, out, _ = cli("sample", fact_id, str(composed), *some, "-n", "1")
    assert "[" in out
    run(composed, tmp_path / "b", preset="paper")
    code, out, _ = cli("agree", str(tmp_path / "a"), str(tmp_path / "b"), "--json", "--draws", "50")
    first = json.loads(out)["agreement"][0]
    assert (first["lang"], first["relation"]) == ("all", "all")
    assert first["lo"] <= first["spearman"] <= first["hi"] <= 1


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["count", "nowhere"], "No file matches nowhere"),
        (["count"], "documents"),
        (["count", "x.txt", "--policy.unit", "page"], "policy.unit"),
        (["agree", "nowhere.parquet", "b", "--facts", "cldr"], "nowhere.parquet"),
    ],
)
def test_one_clear_sentence(
    words: list[str], named: str, cli: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = cli(*words)
    assert code == 2
    assert err.startswith("polylore: ")
    assert named in err


def test_a_wrong_column_is_mended_in_the_same_folder(tmp_path: Path) -> None:
    facts = hand_made(tmp_path, {"en": ("France", "Paris")})
    text = tmp_path / "text.jsonl"
    text.write_text('{"words": "Paris is in France."}\n', encoding="utf-8")

    def config(name: str) -> CountConfig:
        documents = {"source": [str(text)], "text": name}
        return CountConfig.parse(
            {"facts": {"source": facts}, "documents": documents, "condition": "any"}
        )

    with pytest.raises(DataError, match="no field 'test'"):
        count(config("test"), tmp_path / "run")
    run = count(config("words"), tmp_path / "run")
    assert run.table("exposure")["count"].to_list() == [1]
    with pytest.raises(RunError, match="another configuration"):
        count(config("test"), tmp_path / "run")
