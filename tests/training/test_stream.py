"""What a model read, taken back from its tokens and compared with another run's."""

import numpy as np
import polars as pl
import pytest

from polylore.errors import DataError
from polylore.training.loop import train
from polylore.training.stream import read_stream, same_outside, with_documents


@pytest.fixture(scope="module")
def stream(trained, corpus) -> pl.DataFrame:
    documents = corpus.documents().collect()
    consumed = pl.read_parquet(trained / "consumed.parquet")
    return with_documents(read_stream(trained), documents, consumed)


def test_every_document_is_found_where_it_was_read(stream, corpus, trained):
    documents = corpus.documents().collect()
    assert stream["whole"].all()
    assert sorted(stream["doc_id"].to_list()) == documents["doc_id"].to_list()
    found = stream.sort("doc_id")
    assert found["text"].equals(documents["text"])
    steps = pl.read_parquet(trained / "consumed.parquet").sort("doc_id")["step"]
    assert found["step"].equals(steps)
    lengths = pl.read_parquet(trained / "consumed.parquet").sort("doc_id")["n_tokens"]
    assert (found["end"] - found["start"]).cast(pl.Int32).equals(lengths, check_names=False)


def test_another_corpus_is_noticed(trained, corpus):
    documents = corpus.documents().collect().with_columns(text="x" + pl.col("text"))
    consumed = pl.read_parquet(trained / "consumed.parquet")
    with pytest.raises(DataError, match="do not belong together"):
        with_documents(read_stream(trained), documents, consumed)


def test_tokens_outside_replaced_documents_must_agree(stream, trained, corpus, config, tmp_path):
    two = train(corpus.folder, tmp_path / "two", config, tokenizer=trained / "tokenizer")
    agreed = same_outside(trained, two, stream, pl.Series([], dtype=pl.Int64))
    assert agreed.replaced == 0
    sequences = np.memmap(two / "data" / "sequences.bin", dtype=np.uint16, mode="r+")
    width = config.context + 1
    piece = stream.row(5, named=True)
    sequences[piece["sequence"] * width + piece["start"]] ^= 1
    sequences.flush()
    with pytest.raises(DataError, match="other tokens"):
        same_outside(trained, two, stream, pl.Series([], dtype=pl.Int64))
    excused = same_outside(trained, two, stream, pl.Series([piece["doc_id"]]))
    assert excused.replaced == piece["end"] - piece["start"]
    assert excused.tokens == agreed.tokens
    assert excused.stream_hash != agreed.stream_hash
