"""Traces of items in the background."""

import numpy as np
import pytest

from polylore.corpus.injection.contamination import EXAMPLES, scan

RNG = np.random.default_rng(0)


def decode(rows: list[list[int]]) -> list[str]:
    return [" ".join(f"w{token}" for token in row) for row in rows]


def test_pieces_of_passages_are_found_where_they_stand() -> None:
    background = RNG.integers(100, 200, (4, 50))
    passages = {"p": ("a", np.arange(20)), "q": ("b", np.arange(300, 320))}
    background[2, 10:18] = np.arange(5, 13)  # eight tokens of p
    background[3, 10:17] = np.arange(300, 307)  # seven of q
    found = scan([(100, background)], decode, {}, passages)
    assert found.select("item_id", "kind", "place").rows() == [("a", "ngram", "row 102")]
    assert found["text"][0] == decode([list(range(5, 13))])[0]
    shorter = scan([(100, background)], decode, {}, passages, n=7)
    assert set(shorter["item_id"]) == {"a", "b"}


def test_names_are_found_in_the_text() -> None:
    rows = np.array([[1, 2, 3], [4, 5, 6]])
    names = {"a": ["w5 w6"], "b": ["w6 w5"]}
    found = scan([(8, rows)], decode, names, {})
    assert found.rows() == [("a", "name", "w5 w6", "row 9")]


def test_a_piece_that_items_share_counts_for_each_and_reports_are_bounded() -> None:
    passages = {"p": ("a", np.arange(40)), "q": ("b", np.arange(40))}
    rows = np.tile(np.arange(40), (3, 1))
    found = scan([(0, rows), (3, rows)], decode, {}, passages)
    assert dict(found.group_by("item_id").len().iter_rows()) == {"a": EXAMPLES, "b": EXAMPLES}


def test_equal_hashes_are_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    from polylore.corpus.injection import contamination

    def same(self: object, tokens: np.ndarray) -> np.ndarray:
        return np.zeros((len(tokens), tokens.shape[1] - 7), dtype=np.uint64)

    monkeypatch.setattr(contamination._Ngrams, "_hashed", same)
    rows = RNG.integers(100, 200, (2, 30))
    assert scan([(0, rows)], decode, {}, {"p": ("a", np.arange(20))}).height == 0


def test_short_passages_and_rows_have_no_pieces() -> None:
    assert scan([(0, np.ones((1, 4), int))], decode, {}, {"p": ("a", np.ones(20, int))}).height == 0
    assert scan([(0, np.ones((1, 40), int))], decode, {}, {"p": ("a", np.ones(3, int))}).height == 0
