"""A plan of a count says what the count then finds, and what a larger corpus would take."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

pytest.importorskip("daachorse", reason="the extra `corpus` is not installed")
pytest.importorskip("stringzilla", reason="the extra `corpus` is not installed")
pytest.importorskip("pyarrow", reason="the extra `corpus` is not installed")

from polylore.cli.corpus import corpus as command
from polylore.corpus.documents import DocumentsConfig, find_shards
from polylore.errors import ConfigError, DataError
from polylore.studies.count.config import CountConfig
from polylore.studies.count.sampling import Part, Sample, _sample
from polylore.studies.count.study import count
from polylore.studies.plan import corpus as module
from polylore.studies.plan.corpus import CorpusPlan, Estimate, plan_corpus

NAMES = ["Paris, France", "Berlin, Germany", "Tokyo in Japan", "nothing at all"]


def write(folder: Path, files: int, rows: int) -> None:
    folder.mkdir(exist_ok=True)
    for number in range(files):
        lines = [
            json.dumps({"text": f"{NAMES[i % 4]} {'word ' * (i % 7)}", "lang": "en"})
            for i in range(rows)
        ]
        packed = gzip.compress("\n".join(lines).encode(), mtime=0)
        (folder / f"{number}.jsonl.gz").write_bytes(packed)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sample in this process: quicker, and only memory is another."""
    monkeypatch.setattr(module, "sample", _sample)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., CountConfig]:
    write(tmp_path / "c", 3, 2000)

    def build(**execution: Any) -> CountConfig:
        return CountConfig.parse(
            {
                "documents": {"source": str(tmp_path / "c")},
                "facts": {"languages": ["en", "fr"], "limit": 50},
                "execution": execution,
            }
        )

    return build


def value(made: CorpusPlan, topic: str, name: str) -> float:
    return float(made.totals.filter(topic=topic, name=name)["value"].item())


def test_foresees_what_the_count_reads(make: Callable[..., CountConfig], tmp_path: Path) -> None:
    made = plan_corpus(make(jobs=2), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    run = count(make(), tmp_path / "run")
    about = run.table("shards")
    assert value(made, "reading", "files") == about.height
    assert value(made, "reading", "stored") == about["size"].sum()
    assert value(made, "reading", "text") == about["text_bytes"].sum()
    assert value(made, "reading", "documents") == about["documents"].sum()
    written = sum(path.stat().st_size for path in (run.path / "units").rglob("*.*"))
    assert value(made, "disk", "run folder") == pytest.approx(written, rel=0.5)
    assert value(made, "memory", "peak of all processes") == 2 * value(
        made, "memory", "peak of a process"
    )
    assert value(made, "time", "this machine, wall") > 0


@pytest.mark.usefixtures("here")
def test_what_is_done_is_not_planned_again(
    make: Callable[..., CountConfig], tmp_path: Path
) -> None:
    run = count(make(), tmp_path / "run")
    (run.unit_path(run.units()[0]) / "done.json").unlink()
    made = plan_corpus(make(), run.path)
    assert value(made, "reading", "files") == 1
    assert made.totals.filter(name="files")["remark"].item() == "2 are done"
    run = count(make(), tmp_path / "run")
    assert plan_corpus(make(), run.path).totals["value"].to_list() == [0.0]
    # A larger corpus like this one has not begun.
    larger = plan_corpus(make(), run.path, size=10**12)
    assert value(larger, "reading", "stored") == pytest.approx(1e12)


def test_a_sample_stops_within_a_long_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from polylore.corpus.documents import read

    monkeypatch.setattr(read, "CHUNK", 1 << 17)
    path = tmp_path / "long.jsonl"
    path.write_text("".join(json.dumps({"text": f"Paris {i}"}) + "\n" for i in range(60_000)))
    config = CountConfig.parse({"documents": {"source": str(path)}, "facts": {"limit": 5}})
    shards = find_shards(config.documents)
    (part,) = _sample(config, shards, 100_000).parts
    assert 100_000 <= part.text < 300_000
    assert 0 < part.stored < part.shard.size
    whole = part.text * part.shard.size / part.stored
    assert whole == pytest.approx(sum(len(f"Paris {i}") for i in range(60_000)), rel=0.1)


def estimate(**change: Any) -> Estimate:
    shard = find_shards(DocumentsConfig(source=[__file__]).model_copy(update={"format": "txt"}))[0]
    values = {
        "shard": shard, "stored": shard.size, "text": 10, "documents": 1, "seconds": 2.0,
        "cpu": 1.0, "rows": 10, "table": 500, "trouble": None,
    }  # fmt: skip
    part = Part(**{**values, **change})
    return Estimate((shard, shard), Sample((part,), 0.5, 100, 2), 3.0)


def test_arithmetic() -> None:
    one = estimate()
    assert one.scaled("cpu") == pytest.approx(6)  # two files, three such corpora
    assert one.tables(1000, ordered=False) == pytest.approx(6 * 500)
    # Four cells in two languages of documents have no more than eight rows, unless steps are known.
    assert one.tables(4, ordered=False) == pytest.approx(6 * 8 * 50)
    assert one.tables(4, ordered=True) == pytest.approx(6 * 500)
    half = estimate(stored=one.shards[0].size // 2)
    assert half.scaled("text") == pytest.approx(120, rel=0.01)
    assert estimate(trouble="damaged").read == []
    assert estimate(trouble="damaged").scaled("cpu") == 0


@pytest.mark.usefixtures("here")
def test_damaged_files_are_named_and_left_out(
    make: Callable[..., CountConfig], tmp_path: Path
) -> None:
    path = tmp_path / "c" / "1.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-50])
    made = plan_corpus(make(), tmp_path / "run")
    assert any("1.jsonl.gz cannot be read to its end" in note for note in made.notes)
    assert value(made, "reading", "files") == 3
    for other in (tmp_path / "c").iterdir():
        other.write_bytes(b"x")
    with pytest.raises(DataError, match=r"jsonl\.gz"):
        plan_corpus(make(), tmp_path / "run")


def test_kinds_are_sampled_apart(
    make: Callable[..., CountConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c" / "a.txt").write_text("Paris, France\n\n" * 100)
    pl.DataFrame({"text": NAMES * 50}).write_parquet(tmp_path / "c" / "a.parquet")
    seen = []

    def note(config: CountConfig, shards: Any, most: int) -> Sample:
        seen.append({(shard.format, shard.compression) for shard in shards})
        return _sample(config, list(shards), most)

    monkeypatch.setattr(module, "sample", note)
    made = plan_corpus(make(), tmp_path / "run")
    assert sorted(map(len, seen)) == [1, 1, 1]
    assert value(made, "reading", "documents") == 3 * 2000 + 100 + 200


def test_command_line(
    make: Callable[..., CountConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["plan", str(tmp_path / "c"), "--facts.limit", "20", "-o", str(tmp_path / "run")]
    shown = CliRunner().invoke(command, [*words, "--size", "10TB", "-q"])
    assert shown.exit_code == 0, shown.output
    assert "10 TB" in shown.stdout
    assert "this machine, one process" in shown.stdout
    monkeypatch.setattr(module, "sample", _sample)
    told = CliRunner().invoke(command, [*words, "--json"])
    found = json.loads(told.stdout)
    assert {row["topic"] for row in found["totals"]} == {"reading", "time", "memory", "disk"}
    wrong = CliRunner().invoke(command, [*words, "--size", "much"])
    assert isinstance(wrong.exception, ConfigError)
