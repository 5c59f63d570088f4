"""Conditions of a sweep: base, grid, zip and arms, spelled out before anything starts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from polylore.errors import ConfigError
from polylore.studies.unify.config import ArmConfig, RunConfig, SweepConfig, merged


@dataclass(frozen=True)
class Condition:
    """Everything but the seed."""

    name: str
    family: str
    config: RunConfig
    baseline: str | None = None
    """Condition it is held against."""


def conditions(sweep: SweepConfig) -> list[Condition]:
    """All conditions of a sweep, in its order.

    Raises:
        ConfigError: settings that do not exist or fit together, two conditions of one name, or a
            baseline that is none of them; the sentence names the condition.
    """
    found = list(_spelled_out(sweep))
    names = [condition.name for condition in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"Two conditions are named '{twice[0]}'; give each arm its own name.")
    for condition in found:
        if condition.baseline is not None and condition.baseline not in names:
            raise ConfigError(
                f"The baseline '{condition.baseline}' of '{condition.name}' is no condition of the "
                f"sweep; choose from {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}."
            )
    return found


def _spelled_out(sweep: SweepConfig) -> Iterator[Condition]:
    zipped: list[dict[str, Any]] = [
        dict(zip(sweep.zip, values, strict=True))
        for values in zip(*sweep.zip.values(), strict=True)
    ]
    for arm in sweep.arms or [ArmConfig(name="run")]:
        for own in _combined(arm.grid):
            for common in _combined(sweep.grid):
                for together in zipped or [{}]:
                    yield _condition(sweep, arm, {**common, **together, **own})


def _combined(grid: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    for values in product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def _condition(sweep: SweepConfig, arm: ArmConfig, varied: dict[str, Any]) -> Condition:
    labels = [f"{key.rpartition('.')[2]}={_short(value)}" for key, value in varied.items()]
    named = [arm.name] if sweep.arms else []
    name = " ".join([*named, *labels]) or arm.name
    settings: dict[str, Any] = {}
    for key in (*arm.set, *varied):
        if key.startswith("world.seed"):
            raise ConfigError(
                f"condition '{name}': {key} is set by the sweep; `seeds` says how many there are."
            )
    for key, value in {**sweep.base, **arm.set, **varied}.items():
        settings = merged(settings, nested(key, value))
    config = RunConfig.parse(settings, f"condition '{name}'")
    return Condition(name, arm.family or config.tokens.partition("(")[0], config, arm.baseline)


def nested(key: str, value: Any) -> dict[str, Any]:
    """`{"a.b": 1}` as `{"a": {"b": 1}}`."""
    head, _, rest = key.partition(".")
    return {head: nested(rest, value) if rest else value}


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
