"""The log axis with a place for zero."""

import polars as pl
import pytest

from polylore.report.axes import LogAxis


def positions(values: list[float | None]) -> list[float | None]:
    frame = pl.DataFrame({"v": values}, schema={"v": pl.Float64})
    return frame.select(LogAxis.over(values).place("v"))["v"].to_list()


def test_zero_stands_apart_on_the_left() -> None:
    zero, one, thousand, nothing = positions([0, 1, 1000, None])
    assert (one, thousand) == (0.0, pytest.approx(3.0))
    assert nothing is None
    assert zero == pytest.approx(-0.3)


def test_ticks_are_round_and_begin_with_zero() -> None:
    axis = LogAxis.over([0, 10, 100_000])
    assert axis.ticks() == [axis.zero, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert LogAxis.over([10, 100]).ticks() == [1.0, 2.0]
    # Less than a decade: 1, 2 and 5 fill in.
    assert LogAxis.over([30, 80]).ticks() == [pytest.approx(1.69897)]


@pytest.mark.parametrize("values", [[], [0.0], [5.0], [None]])
def test_degenerate_values_still_give_an_axis(values: list[float | None]) -> None:
    axis = LogAxis.over(values)
    assert axis.zero < axis.low <= axis.high
    axis.encode("x", None).to_dict()
