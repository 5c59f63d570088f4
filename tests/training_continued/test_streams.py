"""Streams of rows: pure functions, with hashes, from arrays, files, texts and training runs."""

import numpy as np
import pytest
from small_runs import BATCH, FORM, LENGTH, make_rows, make_stream

from polylore.corpus.injection import Injector, RowFormat
from polylore.errors import ConfigError, DataError
from polylore.tables.inject import PLAN
from polylore.training.continued.packs import open_rows, pack_texts, write_rows
from polylore.training.continued.streams import Injected, PackedRows, open_memmap


def test_rows_are_where_they_should_be():
    tokens = make_rows(40)
    stream = PackedRows(tokens, BATCH, FORM, first=16)
    assert (stream.steps, stream.before) == (3, 2)
    found = stream.rows(1, [3, 0])
    assert (found.tokens == tokens[[27, 24]]).all()
    assert (found.step, found.rows.tolist()) == (1, [3, 0])
    assert (stream.rows(-2, [0]).tokens == tokens[:1]).all()
    padding = stream.rows(1, range(BATCH)).tokens == 1
    assert ((stream.rows(1, range(BATCH)).labels == -100) == padding).all()
    assert (found.loss_weight == 1).all()
    for step, row in ((3, 0), (-3, 0), (0, BATCH), (0, -1)):
        with pytest.raises(DataError, match="The stream has no rows"):
            stream.rows(step, [row])


def test_the_digest_is_that_of_what_is_read():
    one = make_stream()
    assert one.digest == make_stream().digest
    other = make_rows(24 * BATCH)
    other[-1, -1] += 1
    labels = np.full_like(other, -100)
    different = [
        make_stream(seed=1),
        make_stream(first=8),
        PackedRows(other, BATCH, FORM),
        PackedRows(make_rows(24 * BATCH), BATCH // 2, FORM),
        PackedRows(make_rows(24 * BATCH), BATCH, RowFormat(LENGTH, eos=2, pad=1)),
        PackedRows(make_rows(24 * BATCH), BATCH, FORM, labels_NL=labels),
    ]
    digests = {stream.digest for stream in different}
    assert len(digests) == len(different)
    assert one.digest not in digests


def test_impossible_streams():
    with pytest.raises(ConfigError, match="should be rows of 17 tokens"):
        PackedRows(np.zeros((8, 16)), BATCH, FORM)
    with pytest.raises(ConfigError, match="4 steps of 8 rows from row 0 on need more than the 24"):
        PackedRows(make_rows(24), BATCH, FORM, steps=4)
    with pytest.raises(ConfigError, match="more than the 24 rows"):
        PackedRows(make_rows(24), BATCH, FORM, first=25)
    with pytest.raises(ConfigError, match="labels have the shape"):
        PackedRows(make_rows(24), BATCH, FORM, labels_NL=make_rows(23))


def test_memory_maps(tmp_path):
    np.arange(2 * 3 * LENGTH + 5, dtype=np.uint16).tofile(tmp_path / "tokens.bin")
    stream = open_memmap(tmp_path / "tokens.bin", 2, RowFormat(LENGTH, eos=0))
    assert stream.steps == 3
    assert stream.rows(2, [1]).tokens[0].tolist() == list(range(5 * LENGTH, 6 * LENGTH))
    with pytest.raises(DataError, match="less than a row"):
        open_memmap(tmp_path / "tokens.bin", 2, RowFormat(5000, eos=0))
    with pytest.raises(DataError, match="no readable file"):
        open_memmap(tmp_path / "nothing.bin", 2, FORM)


TEXTS = ["a b c d e", "f g", "h", "i j k l m n o p q"]


def letters(texts):
    return [[ord(letter) for letter in text.split()] for text in texts]


def test_texts_as_one_stream(tmp_path):
    for head, expected in (
        (0, ["abcde.", "fg.h.i", "jklmno"]),
        (1, [".abcde", "..fg.h", "..ijkl", ".mnopq"]),
    ):
        form = RowFormat(6, eos=ord("."), head=head)
        stream = open_rows(pack_texts(TEXTS, letters, form, tmp_path / str(head)), 1)
        rows = [stream.rows(k, [0]).tokens[0] for k in range(stream.steps)]
        assert ["".join(map(chr, row)) for row in rows] == expected
        assert stream.form == form


def test_texts_as_whole_documents(tmp_path):
    form = RowFormat(7, eos=ord("."), pad=ord("_"), head=1)
    folder = pack_texts(TEXTS, letters, form, tmp_path / "rows")
    stream = open_rows(folder, 1)
    rows = [stream.rows(k, [0]) for k in range(stream.steps)]
    texts = ["".join(map(chr, row.tokens[0])) for row in rows]
    assert texts == [".abcde.", ".fg.h._", ".ijklmn", ".opq.__"]
    assert rows[3].labels[0].tolist()[-2:] == [-100, -100]
    assert stream.digest == open_rows(folder, 1).digest
    with pytest.raises(DataError, match="not enough text for a single row"):
        pack_texts([], letters, form, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_labels_on_the_disk(tmp_path):
    tokens, labels = make_rows(8), make_rows(8)
    labels[:, :9] = -100
    folder = write_rows(zip(tokens, labels, strict=True), FORM, tmp_path / "rows")
    found = open_rows(folder, BATCH).rows(0, range(BATCH))
    assert (found.tokens == tokens).all()
    assert (found.labels == labels).all()
    with pytest.raises(DataError, match="Row 1 is not one of 17 tokens with labels"):
        write_rows([(tokens[0], labels[0]), (tokens[1], None)], FORM, tmp_path / "mixed")
    (folder / "tokens.bin").write_bytes(b"")
    with pytest.raises(DataError, match="holds no whole rows"):
        open_rows(folder, BATCH)


def injector(batch=BATCH, steps=None):
    row = {
        "step": 2,
        "row": 5,
        "slot": 0,
        "item_id": "i",
        "passage_id": "p",
        "lang": "en",
        "exposure": 0,
        "arm": "once",
        "mode": "prepend",
        "n_tokens": 3,
        "offset": 0,
        "loss_weight": 0.5,
    }
    tokens = {"p": np.array([40, 41, 42])}
    return Injector(PLAN.build([row]), tokens, FORM, batch, steps=steps, allow_dose=True)


def test_passages_in_a_stream():
    plain = make_stream(first=8)
    stream = Injected(plain, injector())
    assert (stream.steps, stream.before) == (plain.steps, plain.before)
    for step in (-1, 0, 1, 3):
        found, expected = (s.rows(step, range(BATCH)) for s in (stream, plain))
        assert (found.tokens == expected.tokens).all()
        assert (found.labels == expected.labels).all()
    found = stream.rows(2, [5, 4])
    assert found.tokens[0, :4].tolist() == [40, 41, 42, 0]
    assert found.loss_weight[0].tolist() == [0.5] * 4 + [1.0] * 13
    assert (found.tokens[1] == plain.rows(2, [4]).tokens[0]).all()
    assert stream.digest != plain.digest
    with pytest.raises(ConfigError, match="The plan is made for 6 rows"):
        Injected(plain, injector(batch=6))
    with pytest.raises(DataError, match="the run has 2 steps"):
        Injected(make_stream(steps=2), injector())
    (dose,) = stream.dose.to_dicts()
    whole = stream.rows(2, range(BATCH))
    weights = whole.loss_weight[:, 1:] * (whole.labels[:, 1:] != -100)
    assert weights.sum() < BATCH * (LENGTH - 1) - 5  # some of it is padding
    # Three of the four tokens of the passage and its boundary are predicted.
    assert dose["loss_share"] == pytest.approx(3 * 0.5 / weights.sum())
    assert (dose["injected_tokens"], dose["displaced_tokens"]) == (4, 4)
    masked = np.where(np.arange(LENGTH) < 9, -100, make_rows(24 * BATCH))
    answers = PackedRows(make_rows(24 * BATCH), BATCH, FORM, labels_NL=masked)
    with pytest.raises(DataError, match="leave tokens unlabelled"):
        Injected(answers, injector()).rows(2, [5])
