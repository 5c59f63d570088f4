"""Which states are read, and which runs there are."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from polylore.errors import ConfigError
from polylore.studies.built_in import INJECT_STUDIES
from polylore.studies.inject.conditions import runs_of
from polylore.studies.inject.config import LAGS, InjectConfig, ProbingConfig
from polylore.studies.inject.estimate import Timing, timed_costs
from polylore.studies.inject.schedule import Readings, readings
from polylore.tables.inject import SCHEDULE


def shown(*steps: tuple[str, int]) -> pl.DataFrame:
    rows: list[dict[str, Any]] = [
        {
            "item_id": item,
            "exposure": n,
            "step": step,
            "arm": "duplication",
            "lang": "en",
            "variant": 0,
            "copies": 1,
            "loss_weight": 1.0,
        }
        for n, (item, step) in enumerate(steps)
    ]
    return SCHEDULE.build(rows)


def test_default_is_dense_after_exposures_and_log_spaced_behind_the_last() -> None:
    found = readings(shown(("a", 8), ("a", 208)), 2208, 8, ProbingConfig())
    states = set(found.states)
    assert set(range(9)) <= states  # the baseline, and the state before the first exposure
    for step in (8, 208):
        assert {step, *(step + lag for lag in LAGS)} <= states
    assert 408 in states  # where the next exposure would come
    behind = [t - 208 for t in found.states if t > 208 + 60]
    spaced = {round(10 ** (k / 12)) for k in range(40)}
    assert set(behind) <= spaced | {200, 2000}
    assert 2208 in states
    assert len(behind) < 25
    assert {9 + 55, 100, 207} & states == set()


def test_stagger_reads_the_union() -> None:
    found = readings(shown(("a", 8), ("b", 21)), 100, 8, ProbingConfig())
    assert {step + lag for step in (8, 21) for lag in (0, *LAGS)} <= set(found.states)


def test_every_state_or_every_other() -> None:
    every = readings(shown(("a", 8)), 20, 8, ProbingConfig(at="every"))
    assert every.states == tuple(range(21))
    other = readings(shown(("a", 8)), 20, 8, ProbingConfig(at="every:2", extras_every=4))
    assert other.states == tuple(range(0, 21, 2))
    assert other.extras == {0, 8, 16}
    assert readings(shown(("a", 8)), 20, 8, ProbingConfig(extras_every=0)).extras == set()


def test_nothing_beyond_the_run_is_read() -> None:
    assert max(readings(shown(("a", 8)), 20, 8, ProbingConfig()).states) == 20


def names(settings: dict[str, Any]) -> list[str]:
    specs = runs_of(InjectConfig.parse({"model": "m", **settings}))
    assert len({spec.digest for spec in specs}) == len(specs)
    return [spec.run_id for spec in specs]


def test_control_runs_are_made_once() -> None:
    assert names({"seeds": 2}) == [
        "main seed 0",
        "main seed 1",
        "sham seed 0",
        "background seed 0",
    ]


def test_a_batch_contrast_makes_what_its_contrasts_share_once() -> None:
    settings: dict[str, Any] = {
        "batch": {
            "small": 8,
            "large": 32,
            "match": ["none", "share", "count"],
            "lr": ["equal", "sqrt"],
        },
        "seeds": 1,
        "controls": {"sham": False, "background_only": False},
    }
    specs = runs_of(InjectConfig.parse({"model": "m", **settings}))
    made = [(s.config.background.batch_size, s.match, s.lr_rule, s.lr_factor) for s in specs]
    assert made == [
        (8, "none", "equal", 1.0),
        (8, "share", "equal", 1.0),
        (32, "none", "equal", 1.0),
        (32, "none", "sqrt", 2.0),
        (32, "count", "equal", 1.0),
        (32, "count", "sqrt", 2.0),
    ]
    weights = {(s.match, s.config.background.batch_size): s.config.arms[0] for s in specs}
    assert weights["share", 8].loss_weight == 0.25
    assert weights["none", 32].loss_weight == 1.0
    assert weights["count", 32].copies == 4
    only = settings | {"batch": settings["batch"] | {"match": ["share"], "lr": ["equal"]}}
    found = runs_of(InjectConfig.parse({"model": "m", **only}))
    assert [(s.config.background.batch_size, s.match) for s in found] == [
        (8, "share"),
        (32, "none"),
    ]


def test_a_sweep_of_intervals_matches_the_last_exposure() -> None:
    config = InjectConfig.parse({"model": "m", "intervals": [4, 16], "interval_exposures": 5})
    sweep = next(spec for spec in runs_of(config) if spec.condition == "interval")
    injected = [arm for arm in sweep.config.arms if arm.n]
    assert [(arm.interval, arm.n, arm.anchor) for arm in injected] == [
        (4, 5, "last"),
        (16, 5, "last"),
    ]
    assert [arm.name for arm in sweep.config.arms if not arm.n] == ["never"]


def test_a_condition_that_begins_elsewhere_differs_in_that_alone() -> None:
    settings = {
        "model": "m",
        "revision": "800",
        "optimizer_state": "moments",
        "conditions": [
            {"name": "early", "set": {"revision": 400}},
            {"name": "own place", "set": {"revision": 400, "background.first": 640}},
            {"name": "large", "set": {"model": "n"}},
            {"name": "slow", "set": {"revision": "400", "train.rate.learning_rate": 1e-5}},
        ],
        "seeds": 1,
    }
    specs = {spec.condition: spec for spec in runs_of(InjectConfig.parse(settings))}
    places = {
        name: (spec.config.model, spec.config.revision, spec.config.optimizer_state)
        for name, spec in specs.items()
    }
    assert places["main"] == places["sham"] == ("m", "800", "moments")
    assert places["early"] == places["slow"] == ("m", "400", None)
    assert places["large"] == ("n", None, None)
    alike = ("main", "early", "own place", "large")
    assert len({specs[name].settings for name in alike}) == 1
    assert specs["slow"].settings != specs["main"].settings
    assert len({specs[name].digest for name in (*alike, "slow")}) == 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"conditions": [{"name": "main"}]}, "names must differ"),
        ({"conditions": [{"name": "x", "set": {"train.speed": 1}}]}, "train.speed is not a known"),
        ({"conditions": [{"name": "x", "set": {"train.a.b": 1}}]}, r"train\.a\.b is not a known"),
        ({"conditions": [{"name": "x", "set": {"items.source": "f"}}]}, "the same in all runs"),
        ({"intervals": [16, 4]}, "must ascend"),
        ({"arms": [{"name": "never", "n": 0}]}, "must inject something"),
        ({"batch": {"small": 32, "large": 16}}, "large must be larger"),
        ({"batch": {"small": 6, "large": 16, "match": ["count"]}}, "no multiple"),
        ({"probes": {"at": "sometimes"}}, "probes.at"),
    ],
)
def test_settings_that_cannot_be_meant(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        names(settings)


def test_built_in_studies_can_be_read() -> None:
    import yaml

    found = dict(INJECT_STUDIES.purposes())
    assert {"smoke", "laptop", "intervals", "gpu", "paper"} <= set(found)
    for name in found:
        values = yaml.safe_load(Path(INJECT_STUDIES.file(name)).read_text("utf-8"))
        assert runs_of(InjectConfig.parse({"model": "m", **values}, name))
    with pytest.raises(ConfigError, match="There is no built-in study huge"):
        INJECT_STUDIES.file("huge")


def test_seconds_of_other_runs_follow_from_those_of_one() -> None:
    timing = Timing(update=1.0, first_update=3.0, reading=0.5, with_extras=2.0, first_reading=4.0)
    design = SimpleNamespace(updates=11, readings=Readings((0, 2, 4, 6), frozenset({0, 4})))
    one = {"training_flop": 110.0, "updates": 11, "parameters": 7}
    one |= {"probe_tokens": 50, "heldout_tokens": 30}
    same = timed_costs(timing, design, one, one)  # type: ignore[arg-type]
    assert (same["training_seconds"], same["reading_seconds"]) == (13.0, 4.0 + 2 * 0.5 + 2.0)
    assert not same["scaled"]
    large = one | {"training_flop": 440.0, "parameters": 14}
    other = timed_costs(timing, design, large, one)  # type: ignore[arg-type]
    assert (other["training_seconds"], other["reading_seconds"]) == (52.0, 14.0)
    assert other["scaled"]
    more = timed_costs(timing, design, one | {"heldout_tokens": 110}, one)  # type: ignore[arg-type]
    assert (more["training_seconds"], more["reading_seconds"]) == (13.0, 14.0)


@pytest.mark.parametrize("anchor", ["first", "last"])
def test_arms_of_a_sweep_share_their_first_or_last_exposure(settings, anchor):
    config = InjectConfig.parse(settings | {"intervals": [2, 4], "interval_anchor": anchor})
    assert [(arm.interval, arm.anchor) for arm in config.swept] == [(2, anchor), (4, anchor)]
