"""When a curve rose (specification of `patch`, section 9, Emergence)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from polylore.metrics.patching import Curve, Times, emergence, order_of

TOKENS = [1e9, 2e9, 4e9, 8e9, 16e9]


def dated(
    means: Sequence[float],
    *,
    width: float = 0.005,
    tokens: Sequence[float] = TOKENS,
    **settings: float,
) -> dict[str, dict[str, Any]]:
    """E1 and E2 of a curve with bands of a given half-width."""
    mean = np.array(means)
    draws = mean + np.random.default_rng(0).normal(size=(400, 1)) * width / 2
    curve = Curve(mean, mean - width, mean[-1] - width, mean[-1] + width, draws)
    own = np.array(tokens, dtype=np.float64)
    times = Times(own, np.arange(len(own), dtype=np.float64))
    return {row["kind"]: row for row in emergence(curve, times, **settings)}


def test_half_of_the_final_value_lies_between_two_checkpoints() -> None:
    row = dated([0, 0.02, 0.1, 0.3, 0.4])["E2"]
    assert (row["censor"], row["lo_tokens"], row["hi_tokens"]) == ("interval", 4e9, 8e9)
    assert row["point"] == pytest.approx(4e9 * 2**0.5)
    assert (row["lo_step"], row["hi_step"], row["phi"]) == (2, 3, 0.5)
    assert row["p_left"] == row["p_right"] == 0
    assert 4e9 < row["boot_lo"] <= row["point"] <= row["boot_hi"] < 8e9


def test_a_curve_that_begins_high_is_censored_on_the_left() -> None:
    row = dated([0.3, 0.35, 0.4, 0.4, 0.4])["E2"]
    assert (row["censor"], row["lo_tokens"], row["hi_tokens"]) == ("left", 0, 1e9)
    assert "point" not in row
    assert (row["p_left"], row["boot_lo"], row["boot_hi"]) == (1, 0, 0)


def test_nothing_has_no_half_and_never_rises() -> None:
    rows = dated([0, 0, 0, 0, 0])
    assert rows["E2"]["censor"] == "undefined"
    assert rows["E1"]["censor"] == "right"
    assert (rows["E1"]["lo_tokens"], rows["E1"].get("hi_tokens")) == (16e9, None)
    assert rows["E1"]["p_right"] == 1
    assert rows["E1"]["boot_lo"] is None


def test_a_fall_has_no_half_either() -> None:
    assert dated([0, -0.1, -0.2, -0.3, -0.3])["E2"]["censor"] == "undefined"


def test_the_floor_needs_the_lower_bound_twice() -> None:
    assert dated([0, 0.2, 0, 0.2, 0.2])["E1"]["hi_tokens"] == 8e9
    # The last checkpoint has no successor.
    assert dated([0, 0, 0, 0, 0.2])["E1"]["hi_tokens"] == 16e9
    # The mean is above the margin, its bound is not.
    assert dated([0, 0.012, 0.012, 0.012, 0.012])["E1"]["censor"] == "right"
    assert dated([0, 0.1, 0.1, 0.1, 0.1], margin=0.15)["E1"]["censor"] == "right"


def test_another_fraction_moves_the_time() -> None:
    means = [0, 0.02, 0.1, 0.3, 0.4]
    assert dated(means, phi=0.2)["E2"]["hi_tokens"] == 4e9
    assert dated(means, phi=0.9)["E2"]["hi_tokens"] == 16e9


def test_an_untrained_model_bounds_but_never_interpolates() -> None:
    row = dated([0, 0.3, 0.4, 0.4], tokens=[0, 1e9, 2e9, 4e9])["E2"]
    assert (row["censor"], row["lo_tokens"], row["hi_tokens"]) == ("interval", 0, 1e9)
    assert row["point"] is None


def test_unknown_tokens_leave_steps() -> None:
    row = dated([0, 0.02, 0.1, 0.3, 0.4], tokens=[float("nan")] * 5)["E2"]
    assert (row["lo_tokens"], row["hi_tokens"]) == (None, None)
    assert (row["lo_step"], row["hi_step"]) == (2, 3)
    assert "point" not in row


def test_draws_without_a_final_rise_count_as_never() -> None:
    mean = np.array([0.0, 0.0, 0.1])
    draws = np.repeat(mean[None], 100, axis=0)
    draws[:30] = 0.0
    draws[:30, 0] = 0.05
    curve = Curve(mean, mean - 0.01, 0.02, 0.2, draws)
    row = emergence(curve, Times(np.array([1.0, 2.0, 4.0]), np.arange(3.0)))[1]
    assert row["p_right"] == pytest.approx(0.3)
    assert row["boot_hi"] is None
    assert row["boot_lo"] == pytest.approx(2 * 2**0.5)


def test_only_disjoint_intervals_have_an_order() -> None:
    early = {"censor": "interval", "lo_tokens": 1.0, "hi_tokens": 2.0}
    next_ = {"censor": "interval", "lo_tokens": 2.0, "hi_tokens": 4.0}
    wide = {"censor": "interval", "lo_tokens": 1.0, "hi_tokens": 4.0}
    never = {"censor": "right", "lo_tokens": 4.0, "hi_tokens": None}
    nothing = {"censor": "undefined", "lo_tokens": None, "hi_tokens": None}
    assert order_of(early, next_) == "first"
    assert order_of(next_, early) == "second"
    assert order_of(early, wide) == "not ordered"
    assert order_of(next_, never) == "first"
    assert order_of(never, never) == "not ordered"
    assert order_of(early, nothing) == "not ordered"
