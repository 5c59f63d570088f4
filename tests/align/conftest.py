"""The published answers, read and parsed once."""

from types import SimpleNamespace

import polars as pl
import pytest

from polylore.facts.choices.known import LANGUAGES, SETS
from polylore.facts.choices.outputs import read_outputs
from polylore.metrics.align.consistency import consistency
from polylore.metrics.align.layout import cluster_weights, layouts
from polylore.metrics.align.parsed import parse_answers
from polylore.metrics.align.performance import letters, performance
from polylore.tables.align import SYSTEM_KEY

CONSTANTS = {name: one.reference for name, one in SETS.items()}
DEMONSTRATIONS = {name: one.demonstration for name, one in SETS.items()}


def score(outputs, parsed, parser: str, draws: int):
    """Cells and consistency of every set."""
    heads = letters(parsed)
    cells, pairs, made = [], [], {}
    for layout in layouts(parsed, outputs.items, parser, LANGUAGES):
        weights = cluster_weights(layout, draws, 0)
        own = performance(
            layout,
            weights,
            heads=heads,
            constants=CONSTANTS,
            demonstrations=DEMONSTRATIONS,
        )
        bad = set(own.filter("degenerate").select(*SYSTEM_KEY, "lang").iter_rows())
        cells.append(own)
        pairs.append(consistency(layout, weights, degenerate=bad))
        made[layout.dataset] = layout
    return SimpleNamespace(cells=pl.concat(cells), pairs=pl.concat(pairs), layouts=made)


@pytest.fixture(scope="session")
def clika(published):
    folder = published / "clika"
    if not folder.is_dir():
        pytest.skip("published answers (../shared/published/clika) are not on this machine")
    return folder


@pytest.fixture(scope="session")
def answered(clika):
    """Published answers, read."""
    outputs = read_outputs(clika / "predictions.parquet")
    return SimpleNamespace(
        outputs=outputs, parsed=parse_answers(outputs.answers, outputs.items), folder=clika
    )


@pytest.fixture(scope="session")
def robust(answered):
    return score(answered.outputs, answered.parsed, "robust", 200)


@pytest.fixture(scope="session")
def first_char(answered):
    return score(answered.outputs, answered.parsed, "first_char", 20)
