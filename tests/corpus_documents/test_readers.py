"""Documents come out the same whatever they are written in, and damage is named."""

import gzip
import io
import json
import lzma
import random
import re
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from polylore.corpus.documents import (
    Batch,
    DocumentsConfig,
    Health,
    Shard,
    find_shards,
    read_order,
    read_shard,
)
from polylore.corpus.documents import batch as batch_module
from polylore.errors import ConfigError, DataError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    zstd = pytest.importorskip("backports.zstd", reason="the extra `corpus` is not installed")
pytest.importorskip("stringzilla", reason="the extra `corpus` is not installed")

ROWS = [
    {"id": "a", "lang": "en", "text": "Paris is in France.\nIt is large."},
    {"id": "b", "lang": None, "text": "巴黎在法国。"},
    {"id": "c", "lang": "fr_FR", "text": 'Il dit "oui", puis\tnon ; été \U0001f600'},
    {"id": "d", "lang": "hi", "text": "नमस्ते" * 300},
]
TEXTS = [str(row["text"]) for row in ROWS]


def plain(batches: list[Batch]) -> list[str]:
    """The documents as strings; parts are put together again."""
    texts: list[str] = []
    for one in batches:
        found = [text.decode() for text in one.texts()]
        if one.continues:
            texts[-1] += found[0]
        else:
            texts += found
    return texts


def read(path: Path | str, **settings: object) -> list[Batch]:
    config = DocumentsConfig.parse({"source": str(path), **settings})
    return [b for shard in find_shards(config) for b in read_shard(shard, config, ids=True)]


def jsonl(rows: list[dict[str, object]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def as_csv(path: Path) -> None:
    pl.DataFrame(ROWS).write_csv(path)


def as_tsv(path: Path) -> None:
    pl.DataFrame(ROWS).write_csv(path, separator="\t")


def as_parquet(path: Path) -> None:
    pl.DataFrame(ROWS).write_parquet(path)


def as_arrow(path: Path) -> None:
    pl.DataFrame(ROWS).write_ipc(path)


def as_arrow_stream(path: Path) -> None:
    pl.DataFrame(ROWS).write_ipc_stream(path)


def as_jsonl(path: Path) -> None:
    path.write_bytes(jsonl(ROWS))


WRITERS = {
    "jsonl": as_jsonl,
    "json": as_jsonl,
    "csv": as_csv,
    "tsv": as_tsv,
    "parquet": as_parquet,
    "arrow": as_arrow,
    "feather": as_arrow_stream,
}
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".zst": zstd.compress,
}


@pytest.mark.parametrize("packing", PACKERS)
@pytest.mark.parametrize("suffix", WRITERS)
def test_every_format(suffix: str, packing: str, tmp_path: Path) -> None:
    if suffix in ("parquet", "arrow", "feather"):
        pytest.importorskip("pyarrow", reason="the extra `corpus` is not installed")
    path = tmp_path / f"part.{suffix}"
    WRITERS[suffix](path)
    packed = tmp_path / f"part.{suffix}{packing}"
    packed.write_bytes(PACKERS[packing](path.read_bytes()))
    batches = read(packed)
    assert plain(batches) == TEXTS
    assert [i for b in batches for i in b.ids or ()] == ["a", "b", "c", "d"]
    assert [lang for b in batches for lang in b.langs or ()] == ["en", None, "fr_FR", "hi"]


def test_datasets_folder(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="the package datasets is not installed")
    datasets.Dataset.from_list(ROWS).save_to_disk(str(tmp_path / "data"))
    assert plain(read(tmp_path / "data")) == TEXTS


def test_text_files(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffone\r\nand a half\r\n \t\r\n\r\ntwo\n\n\n\nthree".encode())
    found = [t.strip().replace("\r", "") for t in plain(read(path))]
    assert found == ["one\nand a half", "two", "three"]
    lines = plain(read(path, **{"txt": "line"}))
    assert [t.strip() for t in lines] == ["one", "and a half", "two", "three"]
    whole = plain(read(path, **{"txt": "file"}))
    assert len(whole) == 1
    assert whole[0].startswith("one\r\nand")
    path.write_text("\n\n \n")
    assert read(path) == []


@pytest.mark.parametrize("mode", ["paragraph", "line", "file"])
@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_blocks_and_parts_change_nothing(
    mode: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from polylore.corpus.documents import plain as module

    text = "\n\n".join(["a\u0301b" * 40, "한국어 " * 30, "x", "é" * 90, "z z\nz" * 20]) + "\n"
    data = text.encode()
    expected = [t.strip() for t in plain(list(module.text_batches([data], mode, Health())))]
    monkeypatch.setattr(module, "PIECE", 50)
    monkeypatch.setattr(batch_module, "PIECE", 50)
    blocks = [data[i : i + size] for i in range(0, len(data), size)]
    batches = list(module.text_batches(blocks, mode, Health()))
    # Line breaks around documents may stay with one or the other, or go.
    assert [t.strip() for t in plain(batches)] == expected
    assert any(one.unfinished for one in batches) or size > 100


def test_any_text_in_any_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    from polylore.corpus.documents import plain as module

    white = " \t\r\n\f\v"
    letters = ["a", "b c", "\n", "\n", "\n\n", " ", "\t", "\r\n", "\r\n\r\n", "\n \n"]
    letters += ["é", "漢字", "한", "e\u0301", "x" * 15, "한" * 9]
    monkeypatch.setattr(module, "PIECE", 40)
    monkeypatch.setattr(batch_module, "PIECE", 40)
    splits = {"line": r"\n", "paragraph": r"\n(?:[ \t\r\f\v]*\n)+", "file": r"\Z"}
    for number in range(2000):
        rng = random.Random(number)
        text = "".join(rng.choice(letters) for _ in range(rng.randrange(40)))
        data, size = text.encode(), rng.choice([1, 3, 8, 30, 100, 1000])
        mode, split = rng.choice(list(splits.items()))
        blocks = [data[i : i + size] for i in range(0, len(data), size)]
        batches = list(module.text_batches(blocks, mode, Health()))
        expected = [part.strip() for part in re.split(split, text) if part.strip(white)]
        assert [part.strip() for part in plain(batches)] == expected, number
        documents = 0
        for batch in batches:
            assert batch.first == documents, number
            documents += 0 if batch.unfinished else batch.count


def test_long_lines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from polylore.corpus.documents import jsonl as module

    rows = [{"id": "a", "text": "x" * 30}, {"id": "b", "lang": "fr", "text": "é\0ß" * 400}, *ROWS]
    data = jsonl([dict(row) for row in rows])
    for size in (16, 100, 5000):
        monkeypatch.setattr(module, "PIECE", 200)
        blocks = [data[i : i + size] for i in range(0, len(data), size)]
        columns = module.Columns("text", "id", "lang", None)
        batches = list(module.jsonl_batches(blocks, columns, "a.jsonl", Health()))
        assert plain(batches) == ["x" * 30, "é\1ß" * 400, *TEXTS], size
        assert [i for b in batches for i in b.ids or ()] == [row["id"] for row in rows]


def test_a_nul_is_no_separator(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(jsonl([{"text": "a\0b"}, {"text": "c"}]))
    assert plain(read(path)) == ["a\1b", "c"]
    path = tmp_path / "a.txt"
    path.write_bytes(b"a\0b\n\nc")
    assert [t.strip() for t in plain(read(path))] == ["a\1b", "c"]


def test_undecodable_bytes_are_counted_and_the_rest_is_read(tmp_path: Path) -> None:
    for name, data in (
        ("a.txt", b"caf\xe9 in Paris\n\nsecond\n\n\xff\xfe"),
        ("a.jsonl", b'{"text": "caf\xe9 in Paris"}\n{"text": "second"}\n{"text": "\xff\xfe"}\n'),
        ("a.csv", b"text\ncaf\xe9 in Paris\nsecond\n\xff\xfe\n"),
    ):
        path = tmp_path / name
        path.write_bytes(data)
        config, health = DocumentsConfig(source=[str(path)]), Health()
        batches = list(read_shard(find_shards(config)[0], config, health=health))
        found = [text.strip() for text in plain(batches)]
        assert found == ["caf\ufffd in Paris", "second", "\ufffd\ufffd"], name
        assert (health.undecodable_documents, health.undecodable_bytes) == (2, 3), name


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".zst"])
def test_truncated_files_are_named(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.jsonl{suffix}"
    rows = [{"text": f"document {i} {i * 7919 % 1013}"} for i in range(60_000)]
    packed = PACKERS[suffix](jsonl(rows))
    path.write_bytes(packed[: len(packed) * 2 // 3])
    with pytest.raises(DataError, match=rf"a\.jsonl\{suffix} cannot be read to its end"):
        read(path)
    config, health = DocumentsConfig(source=[str(path)], partial=True, txt="line"), Health()
    shard = find_shards(config)[0]
    found = plain(list(read_shard(shard, config, health=health)))
    assert health.damaged is not None
    assert 1000 < len(found) < 60_000
    # The last line, which is cut in two, is left out.
    assert found == [row["text"] for row in rows[: len(found)]]
    lines = Shard(shard.name, "txt", shard.compression, shard.size)
    cut = plain(list(read_shard(lines, config, health=Health())))
    assert len(cut) - len(found) in (0, 1)
    assert cut[:2] == [json.dumps(row) for row in rows[:2]]


def test_a_table_that_breaks_off(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.zst"
    packed = zstd.compress(b"text\n" + b"".join(b"row %d %d\n" % (i, i * i) for i in range(90_000)))
    path.write_bytes(packed[: len(packed) // 2])
    found = plain(read(path, partial=True))
    assert found == [f"row {i} {i * i}" for i in range(len(found))]
    assert 1000 < len(found) < 90_000


def test_concatenated_frames(tmp_path: Path) -> None:
    path = tmp_path / "a.txt.zst"
    path.write_bytes(zstd.compress(b"one\n\n") + zstd.compress(b"two"))
    assert [t.strip() for t in plain(read(path))] == ["one", "two"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{broken", r"a\.jsonl, line 3: not JSON"),
        (b"[1, 2]", r"a\.jsonl, line 3: must be a JSON object"),
    ],
)
def test_a_broken_line_is_named(line: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "a"}\n\n' + line + b'\n{"text": "b"}\n')
    with pytest.raises(DataError, match=message):
        read(path)


def test_a_missing_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"body": "a"}\n')
    with pytest.raises(DataError, match=r"no field 'text'.*documents\.text"):
        read(path)
    assert plain(read(path, text="body")) == ["a"]
    (tmp_path / "a.csv").write_text("body\na\n")
    with pytest.raises(DataError, match="no column 'text' but body"):
        read(tmp_path / "a.csv")
    pytest.importorskip("pyarrow", reason="the extra `corpus` is not installed")
    pl.DataFrame({"text": [1, 2]}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="holds Int64, not text"):
        read(tmp_path / "a.parquet")


def test_sources(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.txt", "sub/a.txt", ".hidden.txt", "notes.md", "cache-1.arrow"):
        (tmp_path / name).write_text("x")

    def names(*sources: str) -> list[str]:
        found = find_shards(DocumentsConfig(source=[str(tmp_path / s) for s in sources]))
        return [shard.name.removeprefix(f"{tmp_path}/") for shard in found]

    assert names("") == ["b.txt", "sub/a.txt"]
    assert names("*.txt") == ["b.txt"]
    assert names("**/*.txt", "b.txt") == ["b.txt", "sub/a.txt"]
    with pytest.raises(ConfigError, match="No file matches"):
        names("nothing*.txt")
    with pytest.raises(ConfigError, match=r"notes\.md tells no format"):
        names("notes.md")
    with pytest.raises(ConfigError, match="No file matches"):
        names("absent.txt")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "readme.md").write_text("x")
    with pytest.raises(DataError, match="holds no file of documents"):
        names("empty")


def test_urls(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    with fsspec.open("memory://corpus/a.txt.gz", "wb") as stream:
        stream.write(gzip.compress(b"one\n\ntwo"))
    shards = find_shards(DocumentsConfig(source=["memory://corpus"]))
    assert [shard.name for shard in shards] == ["memory:///corpus/a.txt.gz"]
    assert [t.strip() for t in plain(read("memory://corpus/*.gz"))] == ["one", "two"]
    with pytest.raises(ConfigError, match="Cannot read nothing://"):
        find_shards(DocumentsConfig(source=["nothing://a"]))


def test_a_file_that_must_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_text("x")
    shard = find_shards(DocumentsConfig(source=[str(path)]))[0]

    def refuse(*_: object, **__: object) -> io.BytesIO:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.open", refuse)
    with pytest.raises(DataError, match=r"Cannot open .*a\.txt: Permission denied"):
        list(read_shard(shard, DocumentsConfig(source=[str(path)])))


def test_order_of_documents(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(jsonl([{"id": i, "text": "x"} for i in range(4)]))
    config = DocumentsConfig(source=[str(path)])
    shard = find_shards(config)[0]

    def steps(rows: list[tuple[object, ...]], columns: list[str]) -> list[tuple[int, ...]]:
        pl.DataFrame(rows, schema=columns, orient="row").write_parquet(tmp_path / "order.parquet")
        order = read_order(tmp_path / "order.parquet")
        batches = read_shard(shard, config, order=order)
        return [step for one in batches for step in one.steps or ()]

    by_id = [(2, 7), (0, 3), (2, 1)]
    assert steps(by_id, ["doc_id", "step"]) == [(3,), (), (1, 7), ()]
    ranges = [(shard.name, 1, 2, 5), (shard.name, 2, 3, 6), ("other", 0, 9, 1)]
    assert steps(ranges, ["shard", "first", "last", "step"]) == [(), (5,), (5, 6), (6,)]
    with pytest.raises(DataError, match="it must have"):
        steps([(1, 2)], ["document", "step"])
    with pytest.raises(DataError, match="steps count from 1"):
        steps([(1, 0)], ["doc_id", "step"])
    assert [b.steps for b in read(path, step="id")] == [[(0,), (1,), (2,), (3,)]]
    path.write_bytes(jsonl([{"text": "x"}]))
    with pytest.raises(DataError, match="has no identity"):
        steps(by_id, ["doc_id", "step"])
