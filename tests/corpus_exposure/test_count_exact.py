"""Counts equal a naive reference, however the corpus is written, cut and merged."""

import random

import polars as pl
import pytest
from exposure_worlds import document, facts, policy, table
from naive_count import naive_counts

pytest.importorskip("daachorse", reason="the extra `corpus` is not installed")
pytest.importorskip("stringzilla", reason="the extra `corpus` is not installed")

from polylore.corpus.documents.batch import Batch, batches
from polylore.corpus.exposure import Counter, CountingPolicy, Patterns


def as_dict(frame: pl.DataFrame) -> dict[tuple, int]:
    return {
        ((row["fact_id"], row["lang"]), kind, row["doc_lang"], row["step_lo"]): row[kind]
        for row in frame.iter_rows(named=True)
        for kind in ("count", "n_subj", "n_obj")
        if row[kind]
    }


def corpus(rng: random.Random, rows: list, *, steps: bool) -> list[tuple]:
    names = [name for _, _, subject, objects in rows for name in (subject, *objects)]
    found = []
    for _ in range(rng.randrange(1, 7)):
        lang = rng.choice([None, "en", "zh"])
        read = tuple(rng.sample(range(1, 5), rng.randrange(0, 3))) if steps else (None,)
        found.append((document(rng, names), lang, read))
    return found


def count(rows: list, documents: list[tuple], rule: CountingPolicy, size: int) -> dict:
    counter = Counter(Patterns.of(table(rows), rule), rule)
    number = 0
    for batch in batches(((t.encode(), None, lang, None) for t, lang, _ in documents), size=size):
        own = documents[number : number + batch.count]
        number += batch.count
        steps = None if own[0][2] == (None,) else [read for _, _, read in own]
        counter.add(Batch(batch.data, batch.count, batch.first, None, batch.langs, steps))
    assert counter.documents == len(documents)
    return as_dict(counter.exposure("test"))


@pytest.mark.parametrize("block", range(10))
def test_a_thousand_random_corpora(block: int) -> None:
    for number in range(block * 100, block * 100 + 100):
        rng = random.Random(number)
        rows, rule = facts(rng), policy(rng, number)
        documents = corpus(rng, rows, steps=number % 3 == 0)
        expected = naive_counts(documents, rows, rule)
        assert count(rows, documents, rule, rng.choice([20, 200, 2000])) == expected, (number, rule)
