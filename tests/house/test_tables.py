"""The contracts themselves."""

import polars as pl
import pytest

from polylore.errors import DataError
from polylore.tables import ALL
from polylore.tables.raw import CANDIDATE_SCORES, TEMPLATES


def test_every_column_says_what_it_means() -> None:
    for table in ALL.values():
        assert table.meaning.endswith(".")
        assert len({c.name for c in table.columns}) == len(table.columns)
        assert set(table.key) <= set(table.schema)
        for column in table.columns:
            assert column.meaning, f"{table.name}.{column.name}"


def test_validation_orders_casts_and_fills() -> None:
    frame = pl.DataFrame(
        {
            "variant": [0],
            "template": ["<subject>: <mask>"],
            "kind": ["prompt"],
            "lang": ["en"],
            "relation": ["r"],
        }
    )
    valid = TEMPLATES.validate(frame)
    assert valid.columns == [c.name for c in TEMPLATES.columns]
    assert valid.schema["variant"] == pl.Int32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop("lang"), "lacks the column lang"),
        (lambda f: f.with_columns(extra=pl.lit(1)), "no column extra"),
        (lambda f: f.with_columns(logprob_sum=pl.lit("much")), "must be Float64"),
        (lambda f: f.with_columns(fact_id=pl.lit(None, pl.String)), "empty values"),
        (lambda f: pl.concat([f, f]), "more than once"),
    ],
)
def test_broken_rows_are_refused(change, message: str) -> None:
    frame = CANDIDATE_SCORES.build(
        [
            {
                "ckpt_id": "c",
                "fact_id": "1",
                "lang": "en",
                "variant": 0,
                "candidate_id": "x",
                "logprob_sum": -1.0,
                "n_tokens": 1,
                "n_bytes": 1,
            }
        ]
    )
    with pytest.raises(DataError, match=message):
        CANDIDATE_SCORES.validate(change(frame))
