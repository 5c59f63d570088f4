"""Token files: decoded text, training sequences and steps."""

import random
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from polylore.corpus.documents import (
    Batch,
    DocumentsConfig,
    Order,
    find_shards,
    read_shard,
)
from polylore.errors import ConfigError, DataError

pytest.importorskip("daachorse", reason="the extra `corpus` is not installed")

END = "<|end|>"
TEXTS = [
    "Paris is in France.",
    "巴黎在法国。",
    "e\u0301té 😀 한국",
    "नमस्ते " * 6,
    "x",
    "Dubai Dubai " * 9,
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=[END], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tok.train_from_iterator(TEXTS, trainer)
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tok.save(str(path))
    return path


def write(path: Path, tokenizer: Path, texts: list[str], dtype: str = "uint16") -> int:
    tok = Tokenizer.from_file(str(tokenizer))
    ids = [i for text in texts for i in (*tok.encode(text).ids, tok.token_to_id(END))]
    np.array(ids, dtype=dtype).tofile(path)
    return len(ids)


def read(path: Path, tokenizer: Path, order: Order | None = None, **more: object) -> list[Batch]:
    values = {"source": str(path), "tokenizer": str(tokenizer), "end_of_document": 0, **more}
    config = DocumentsConfig.parse(values)
    return [b for s in find_shards(config) for b in read_shard(s, config, order=order)]


def parts(batches: list[Batch]) -> list[list[tuple[str, tuple[int, ...]]]]:
    """Per document: text and steps of each of its parts."""
    found: list[list[tuple[str, tuple[int, ...]]]] = []
    for batch in batches:
        steps = batch.steps or [()] * batch.count
        pieces = [(t.decode(), s) for t, s in zip(batch.texts(), steps, strict=True)]
        if batch.continues:
            found[-1] += pieces
        else:
            found += [[piece] for piece in pieces]
    return found


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_documents(dtype: str, tokenizer: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write(path, tokenizer, TEXTS, dtype)
    assert [doc[0][0] for doc in parts(read(path, tokenizer, dtype=dtype))] == TEXTS
    np.save(tmp_path / "a.npy", np.fromfile(path, dtype=dtype))
    read_again = read(tmp_path / "a.npy", tokenizer, dtype=dtype)
    assert [doc[0][0] for doc in parts(read_again)] == TEXTS


@pytest.mark.parametrize("length", [1, 2, 3, 5, 8, 1000])
def test_sequences(length: int, tokenizer: Path, tmp_path: Path) -> None:
    expected = []
    first = 0
    for name, texts in (("a.bin", TEXTS), ("b.bin", TEXTS[:2])):
        n = write(tmp_path / name, tokenizer, texts)
        ids = np.fromfile(tmp_path / name, dtype="uint16")
        document: list[int] = []
        for place, token in enumerate(ids.tolist()):
            sequence = place // length
            # What a file holds beyond its last whole sequence is not read.
            if token and sequence < n // length and sequence not in document:
                document.append(sequence)
            if not token or place == n - 1:
                if document:
                    expected.append([(first + s) // 2 + 5 for s in document])
                document = []
        first += n // length
    found = parts(
        read(tmp_path, tokenizer, sequence_length=length, sequences_per_step=2, first_step=5)
    )
    assert [[step for _, steps in doc for step in steps] for doc in found] == expected
    if length == 1:
        assert ["".join(text for text, _ in doc) for doc in found] == TEXTS + TEXTS[:2]


def test_parts_join_to_the_text(tokenizer: Path, tmp_path: Path) -> None:
    rng = random.Random(1)
    for _ in range(20):
        texts = [rng.choice(TEXTS) * rng.randrange(1, 4) for _ in range(5)]
        n = write(tmp_path / "a.bin", tokenizer, texts)
        length = rng.choice([d for d in range(1, n + 1) if n % d == 0])
        for doc, text in zip(
            parts(read(tmp_path / "a.bin", tokenizer, sequence_length=length)), texts, strict=True
        ):
            assert "".join(piece for piece, _ in doc) == text
            # No part begins with a mark or half a character.
            assert not any(piece[:1] == "\u0301" or "\ufffd" in piece for piece, _ in doc[1:])


def test_order_of_sequences(tokenizer: Path, tmp_path: Path) -> None:
    import polars as pl

    write(tmp_path / "a.bin", tokenizer, TEXTS)
    order = Order(pl.DataFrame({"sequence_id": [0, 0, 2], "step": [9, 4, 1]}))
    found = parts(read(tmp_path / "a.bin", tokenizer, order, sequence_length=4))
    flat = [steps for doc in found for _, steps in doc]
    assert flat[0] == (4, 9)
    assert set(flat) == {(4, 9), (1,), ()}


def test_without_ends_every_sequence_is_a_document(tokenizer: Path, tmp_path: Path) -> None:
    n = write(tmp_path / "a.bin", tokenizer, TEXTS)
    found = parts(read(tmp_path / "a.bin", tokenizer, end_of_document=None, sequence_length=7))
    assert len(found) == n // 7


def test_bad_input(tokenizer: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"\1\0\1")
    with pytest.raises(DataError, match="no multiple of a token's 2 bytes"):
        read(path, tokenizer)
    np.array([60_000], dtype="uint16").tofile(path)
    with pytest.raises(DataError, match="holds token 60000"):
        read(path, tokenizer)
    with pytest.raises(ConfigError, match="no tokenizer"):
        read(path, tmp_path / "absent.json")
    np.save(tmp_path / "b.npy", np.zeros(3, dtype="uint32"))
    with pytest.raises(DataError, match="not one row of uint16"):
        read(tmp_path / "b.npy", tokenizer)
    with pytest.raises(ConfigError, match="end_of_document or sequence_length"):
        read(path, tokenizer, end_of_document=None)
