"""Tree rows hold every string once, and nothing else."""

import numpy as np
import pytest

from polylore.models.packing import Row, Trie, plain_rows
from polylore.models.spans import Encoded


def strings(seed: int = 0, count: int = 60) -> tuple[list[Encoded], list[int]]:
    rng = np.random.default_rng(seed)
    made, owner = [], []
    for question in range(count // 3):
        prompt = [7, 7, *rng.integers(0, 3, rng.integers(1, 5)).tolist()]
        for _ in range(3):
            target = rng.integers(0, 3, rng.integers(1, 5)).tolist()
            made.append(Encoded(prompt + target, len(prompt), len(prompt) + len(target)))
            owner.append(question)
    return made, owner


def ancestors(row: Row, node: int) -> list[int]:
    return [k for k in range(len(row)) if k <= node < row.ends[k]]


@pytest.mark.parametrize("limit", [1, 16, 64, 10_000])
def test_each_target_token_follows_its_own_string(limit: int) -> None:
    made, owner = strings()
    rows = Trie(made, owner).rows(limit)
    found: dict[int, list[tuple[int, list[int], int]]] = {}
    for row in rows:
        for place, token, string in zip(
            row.pair_place, row.pair_token, row.pair_string, strict=True
        ):
            path = ancestors(row, int(row.places[place]))
            assert [int(row.depths[k]) for k in path] == list(range(len(path)))
            found.setdefault(int(string), []).append(
                (len(path), [int(row.ids[k]) for k in path], int(token))
            )
    assert sorted(found) == list(range(len(made)))
    for index, (ids, start, stop) in enumerate(made):
        assert sorted(found[index]) == [(k, ids[:k], ids[k]) for k in range(start, stop)]


def test_prefixes_are_stored_once() -> None:
    made, owner = strings()
    (row,) = Trie(made, owner).rows(10_000)
    inputs = {tuple(s.ids[:k]) for s in made for k in range(1, s.stop)}
    assert len(row) < sum(s.stop - 1 for s in made) / 2
    # Strings that come in order of their tokens share everything they can.
    assert len(row) == len(inputs)


def test_limit_is_kept_and_questions_stay_together() -> None:
    made, owner = strings()
    rows = Trie(made, owner).rows(24)
    assert all(len(row) <= 24 for row in rows)
    assert [len(row) for row in rows] == sorted((len(row) for row in rows), reverse=True)


def test_plain_rows_are_the_strings() -> None:
    made, _ = strings()
    for row in plain_rows(made):
        index = int(row.pair_string[0])
        ids, start, stop = made[index]
        assert row.ids.tolist() == ids[: stop - 1]
        assert row.places.tolist() == list(range(start - 1, stop - 1))
        assert row.pair_token.tolist() == ids[start:stop]


def test_long_shared_beginnings_ask_for_long_rows() -> None:
    demonstrations = list(range(100, 160))
    made = [Encoded([*demonstrations, k, 5], 61, 62) for k in range(40)]
    trie = Trie(made, list(range(40)))
    assert trie.best_limit(1000.0, 1.0, 2048) > 64
    assert trie.best_limit(1000.0, 1.0, 64) == 64
    # With nothing to share, short rows win.
    apart = [Encoded([k, *range(20), 5], 21, 22) for k in range(40)]
    assert Trie(apart, list(range(40))).best_limit(1000.0, 1.0, 2048) == 64


@pytest.mark.parametrize("limit", [1, 8, 16, 24, 64, 10_000])
def test_lengths_are_foreseen(limit: int) -> None:
    made, owner = strings()
    trie = Trie(made, owner)
    foreseen = sorted((length for _, length in trie._cut(limit)), reverse=True)
    assert foreseen == [len(row) for row in trie.rows(limit)]


def test_a_long_prompt_is_not_read_once_for_each_candidate() -> None:
    # Rows of 64 would be cheapest if a prompt of 80 tokens fitted into them.
    made = [
        Encoded([*range(100 * k, 100 * k + 80), 7000 + c, 8000 + c, 9000], 80, 83)
        for k in range(4)
        for c in range(10)
    ]
    owner = [k for k in range(4) for _ in range(10)]
    trie = Trie(made, owner)
    limit = trie.best_limit(1.0, 1.0, 2048)
    assert [len(row) for row in trie.rows(limit)] == [100] * 4
