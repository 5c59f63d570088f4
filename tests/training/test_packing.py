"""Packing: every document once, whole, nearly in order, with little padding."""

import random

import numpy as np
import polars as pl
import pytest

from polylore.corpus import ComposeConfig, compose
from polylore.errors import ConfigError
from polylore.tables import raw
from polylore.training.documents import open_documents
from polylore.training.packing import open_packed, pack, pack_corpus
from polylore.training.tokenizer import open_tokenizer


def test_pack_places_every_item_once_and_fills_well():
    draw = random.Random(0)
    sizes = [draw.randint(8, 40) for _ in range(5000)]
    bins = list(pack(iter(sizes), 96, 256))
    placed = [item for one in bins for item in one]
    assert sorted(placed) == list(range(5000))
    assert all(sum(sizes[i] for i in one) <= 96 for one in bins)
    assert sum(sizes) / (96 * len(bins)) > 0.98
    # Nobody overtakes by more than the look-ahead, and the oldest always opens a bin.
    for place, item in enumerate(placed):
        assert item < place + 256
    seen = set()
    for one in bins:
        assert one[0] == min(set(range(5000)) - seen) if len(seen) < 300 else True
        seen |= set(one)


def test_pack_next_fit_without_look_ahead():
    assert list(pack([5, 6, 3, 2], 10, 1)) == [[0], [1], [2], [3]]
    assert list(pack([5, 6, 3, 2], 10, 4)) == [[0, 2, 3], [1]]
    assert list(pack([], 10, 4)) == []


def documents_of(row: np.ndarray, eos: int, pad: int) -> list[list[int]]:
    """Token ids between boundary tokens."""
    ids = [i for i in row.tolist() if i != pad]
    assert ids[0] == eos == ids[-1]
    found, current = [], []
    for i in ids[1:]:
        if i == eos:
            found.append(current)
            current = []
        else:
            current.append(i)
    return found


def test_no_document_is_split_and_every_step_is_known(corpus, trained, config):
    packed = open_packed(trained / "data", config)
    tokenizer = open_tokenizer(trained / "tokenizer")
    texts = corpus.documents().collect()["text"]
    consumed = pl.read_parquet(trained / "consumed.parquet")
    raw.CONSUMED.validate(consumed)
    for step in range(1, packed.steps + 1):
        rows = packed.batch(step)
        assert rows.shape == (config.batch_size, config.context + 1)
        read = [
            tokenizer.decode(ids)
            for row in rows
            if row[0] != packed.pad
            for ids in documents_of(row, tokenizer.eos_token_id, packed.pad)
        ]
        expected = texts.gather(consumed.filter(step=step)["doc_id"])
        assert sorted(read) == sorted(expected)
        tokens = int((rows[:, 1:] != packed.pad).sum())
        assert tokens == packed.tokens()[step] - packed.tokens()[step - 1]
    assert consumed.height == texts.len()
    assert consumed["n_tokens"].sum() + consumed.height == packed.tokens()[-1]


def test_fact_longer_than_the_context_is_refused(corpus, trained, config, tmp_path):
    tokenizer = open_tokenizer(trained / "tokenizer")
    short = config.model_copy(update={"context": 16})
    with pytest.raises(ConfigError, match="set context to at least"):
        pack_corpus(open_documents(corpus.folder), tokenizer, short, tmp_path / "data")
    assert not list(tmp_path.iterdir())


def test_long_background_is_split_and_counted_at_its_end(factset, trained, config, tmp_path):
    paragraphs = [f"begin {n} " + " ".join(f"{n} {i}" for i in range(90)) for n in range(8)]
    paragraphs += [f"short {n}" for n in range(92)]
    (tmp_path / "a.txt").write_text("\n\n".join(paragraphs))
    plan = ComposeConfig(
        min_dose=1,
        max_dose=1,
        held_out=0,
        background=(str(tmp_path / "a.txt"),),
        background_share=0.3,
    )
    corpus = compose(factset, plan, tmp_path / "c")
    long = corpus.documents().filter(pl.col("text").str.starts_with("begin")).collect()
    assert long.height > 2
    tokenizer = open_tokenizer(trained / "tokenizer")
    one = config.model_copy(update={"batch_size": 1})
    pack_corpus(open_documents(tmp_path / "c"), tokenizer, one, tmp_path / "data")
    packed = open_packed(tmp_path / "data", one)
    consumed = pl.read_parquet(tmp_path / "data" / "consumed.parquet")
    rows = [f" {' '.join(map(str, row))} " for row in packed.sequences[:, 1:].tolist()]
    for doc_id, text in long.select("doc_id", "text").iter_rows():
        ids = [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]
        pieces = [f" {' '.join(map(str, ids[i : i + 80]))} " for i in range(0, len(ids), 80)]
        ends = [[step for step, row in enumerate(rows, 1) if piece in row] for piece in pieces]
        assert all(ends)
        row = consumed.filter(doc_id=doc_id)
        assert [max(steps) for steps in zip(*ends, strict=True)] == row["step"].to_list()
        assert row["n_tokens"].item() == len(ids) - 1
    # Every token is there, none twice.
    expected = consumed["n_tokens"].sum() + consumed.height
    assert packed.tokens()[-1] == expected == int((packed.sequences[:, 1:] != packed.pad).sum())
