"""Settings of unify: presets, what overrides what, and what is refused before anything starts."""

import pytest

from polylore.errors import ConfigError
from polylore.studies.built_in import UNIFY_SWEEPS
from polylore.studies.unify.conditions import conditions, nested
from polylore.studies.unify.config import RunConfig, SweepConfig, TrainConfig, run_hash


def test_presets_fill_in_what_is_left_open() -> None:
    config = RunConfig.parse({"preset": "smoke", "tokens": "shared", "world": {"lam": 1}})
    assert (config.world.entities, config.world.relations, config.world.values) == (64, 4, 10)
    assert config.world.share.values == 1
    assert config.world.cue.label == "tag"
    assert config.recipe.hidden == 32
    assert config.recipe.steps == 300
    assert config.world.lam == 1


def test_what_is_said_outright_wins_over_presets() -> None:
    config = RunConfig.parse(
        {
            "preset": "smoke",
            "tokens": "subword(0.25)",
            "world": {"entities": 8, "share": {"values": 0.5}},
            "recipe": {"steps": 7},
        }
    )
    assert config.world.entities == 8
    assert config.world.share.names == 0.25
    assert config.world.share.values == 0.5
    assert config.recipe.steps == 7
    assert config.recipe.hidden == 32


def test_a_configuration_survives_being_written_down() -> None:
    config = RunConfig.parse({"preset": "smoke", "tokens": "transliterated", "world": {"p": 0.5}})
    assert RunConfig.parse(config.plain()) == config
    assert config.seeded(3).world.seed == 3
    assert config.seeded(3).world.p == 0.5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"preset": "huge"}, "preset must be one of smoke"),
        ({"tokens": "sharedd"}, "tokens must be one of shared"),
        ({"tokens": "disjoint(0.5)"}, "has no amount"),
        ({"world": {"p": 1.5}}, "world.p"),
        ({"world": {"values": 21}}, "divisible by the number of languages"),
        ({"world": {"colour": 1}}, "world.colour is not a known setting"),
        ({"recipe": {"hidden": 33}}, "even multiple"),
    ],
)
def test_bad_settings_are_named(values: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RunConfig.parse(values)


def test_a_sweep_is_spelled_out() -> None:
    sweep = SweepConfig.parse(
        {
            "base": {"preset": "smoke"},
            "grid": {"world.p": [0, 0.5], "world.lam": [0, 1]},
            "zip": {"recipe.steps": [10, 20], "recipe.warmup": [1, 2]},
        }
    )
    found = conditions(sweep)
    assert len(found) == 8
    assert len({one.name for one in found}) == 8
    first, last = found[0].config, found[-1].config
    assert (first.world.p, first.world.lam, first.recipe.steps, first.recipe.warmup) == (
        0,
        0,
        10,
        1,
    )
    assert (last.world.p, last.world.lam, last.recipe.steps, last.recipe.warmup) == (0.5, 1, 20, 2)
    assert found[0].family == "shared_names"


def test_arms_have_names_families_and_baselines() -> None:
    sweep = SweepConfig.parse(
        {
            "base": {"preset": "smoke"},
            "arms": [
                {"name": "a", "family": "one"},
                {"name": "b", "set": {"world.p": 0.5}, "baseline": "a"},
                {"name": "c", "grid": {"world.p": [0.1, 0.2]}},
            ],
        }
    )
    found = conditions(sweep)
    assert [one.name for one in found] == ["a", "b", "c p=0.1", "c p=0.2"]
    assert found[0].family == "one"
    assert found[1].baseline == "a"


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ([{"name": "a"}, {"name": "a"}], "Two conditions are named 'a'"),
        ([{"name": "a", "baseline": "z"}], "The baseline 'z' of 'a'"),
        ([{"name": "a", "set": {"world.p": 2}}], "condition 'a'.*world.p"),
        ([{"name": "a", "set": {"wrld.p": 1}}], "wrld is not a known setting"),
    ],
)
def test_bad_arms_are_refused(arms: list, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        conditions(SweepConfig.parse({"base": {"preset": "smoke"}, "arms": arms}))


def test_uneven_zips_and_empty_lists_are_refused() -> None:
    with pytest.raises(ConfigError, match="equally long"):
        SweepConfig.parse({"zip": {"world.p": [0, 1], "world.lam": [0]}})
    with pytest.raises(ConfigError, match="every list needs a value"):
        SweepConfig.parse({"grid": {"world.p": []}})


def test_identity_is_what_decides_numbers() -> None:
    config = TrainConfig.parse({"preset": "smoke"})
    sweep = config.sweep()
    assert sweep.question() == SweepConfig.parse({**sweep.plain(), "seeds": 9}).question()
    one = conditions(sweep)[0].config
    assert run_hash(one.seeded(0), sweep.measure) != run_hash(one.seeded(1), sweep.measure)
    other = sweep.measure.model_copy(update={"items": 100})
    assert run_hash(one, other) != run_hash(one, sweep.measure)


@pytest.mark.parametrize("name", [name for name, _ in UNIFY_SWEEPS.purposes()])
def test_every_built_in_sweep_is_whole(name: str) -> None:
    from polylore.cli.options import read_config

    found = conditions(read_config(SweepConfig, UNIFY_SWEEPS.file(name), (), {}))
    assert len(found) > 1


def test_an_unknown_sweep_names_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"choose .*smoke"):
        UNIFY_SWEEPS.file("smok")


def test_dotted_keys_are_nested() -> None:
    assert nested("a.b.c", 1) == {"a": {"b": {"c": 1}}}
