"""The dose that the page prints, from folders that hold shares of whole rows."""

import polars as pl
import pytest
from acceptance.inject.__main__ import dose_of


class Folder:
    """Two runs of four rows; of the tokens of a row the first is not predicted."""

    def table(self, name):
        return pl.DataFrame({"run_id": ["a", "b"], "batch": [4, 4]})

    def read(self, name, units):
        (unit,) = units
        if name == "inject_plan":
            weight = 0.5 if unit == "b" else 1.0
            return pl.DataFrame(
                {"step": [0, 0, 2], "n_tokens": [9, 4, 9], "loss_weight": [weight, weight, weight]}
            )
        return pl.DataFrame(
            {"t": [3, 1, 2], "tokens": [304, 104, 204], "injected_tokens": [10, 15, 0]}
        )


def test_the_dose_is_of_what_was_predicted():
    assert dose_of(Folder()) == pytest.approx(15 / 100)


def test_weights_count():
    class Weighted(Folder):
        def table(self, name):
            return pl.DataFrame({"run_id": ["b"], "batch": [4]})

    assert dose_of(Weighted()) == pytest.approx(7.5 / (100 - 15 + 7.5))
