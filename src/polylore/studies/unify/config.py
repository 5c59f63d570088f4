"""Configuration of the study `unify`: one run, what is measured of it, and sweeps over many."""

import re
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from polylore.config import Config, digest
from polylore.errors import ConfigError
from polylore.facts.worlds import PRESETS, WorldConfig, token_preset
from polylore.files import sha256_file
from polylore.training.tiny.config import RECIPES, Recipe

WORLD_SIZES: dict[str, dict[str, Any]] = {
    "smoke": {"entities": 64, "relations": 4, "values": 10},
    "large": {"entities": 10_000, "templates": 5},
    "gpu-44M": {"entities": 9_000, "never_seen": 200, "templates": 5},
}
"""Worlds that go with a recipe; all other recipes go with the default world."""
SCHEMA = 2
"""Raised when what a run writes changes its meaning, so that old units are not taken for new."""
_TOKENS = re.compile(r"(\w+)(?:\((\d*\.?\d+)\))?")


class RunConfig(Config):
    """One model trained on one world.

    `preset` and `tokens` fill in what `recipe` and `world` leave open; what these say wins.
    """

    preset: str = "toy"
    """Size of model, world and training: smoke, toy, small, medium, large, laptop, cpu-1M, gpu-44M.
    """
    tokens: str = "shared_names"
    """What languages share: shared, shared_names, shared_values, disjoint, subword(s),
    transliterated, scrambled, false_friends(f)."""
    world: WorldConfig = WorldConfig()
    """The world."""
    recipe: Recipe = Recipe()
    """Model and training."""

    alignment: Literal["none", "translations", "shuffled"] = "none"
    """A second loss that pulls the states of parallel facts together, or of wrong pairs of them."""
    alignment_weight: float = Field(default=0.1, ge=0)
    """Weight of that loss beside the cross-entropy."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        values = dict(values)
        preset, tokens = values.get("preset", "toy"), str(values.get("tokens", "shared_names"))
        if preset not in RECIPES:
            raise ValueError(f"preset must be one of {', '.join(RECIPES)}, not {preset}")
        found = _TOKENS.fullmatch(tokens)
        if found is None or found.group(1) not in PRESETS:
            raise ValueError(f"tokens must be one of {', '.join(PRESETS)}, not {tokens}")
        amount = None if found.group(2) is None else float(found.group(2))
        try:
            sharing = {} if _handmade(values) else token_preset(found.group(1), amount)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        world = merged(WORLD_SIZES.get(preset, {}), sharing)
        values["world"] = merged(world, _given(values.get("world")))
        values["recipe"] = merged(RECIPES[preset].plain(), _given(values.get("recipe")))
        return values

    def seeded(self, seed: int) -> "RunConfig":
        """The same with another seed, from which those of world and weights follow."""
        plain = merged(self.plain(), {"world": {"seed": seed}})
        return RunConfig.parse(plain)

    def facts_digest(self) -> str | None:
        """SHA-256 of the file of hand-made facts; None without one that can be read."""
        path = None if self.world.facts is None else Path(self.world.facts)
        return sha256_file(path) if path is not None and path.is_file() else None

    def identity(self) -> dict[str, Any]:
        """What decides a run: two runs of equal identity give the same numbers."""
        return {
            "world": self.world.canonical(),
            "recipe": self.recipe.plain(),
            "facts": self.facts_digest(),
            "alignment": [self.alignment, self.alignment_weight],
            "schema": SCHEMA,
        }


def _handmade(values: dict[str, Any]) -> bool:
    return bool(_given(values.get("world")).get("facts"))


def _given(value: Any) -> dict[str, Any]:
    """Settings of a section, given as a mapping or as a configuration."""
    if isinstance(value, Config):
        return value.plain()
    return dict(value or {})


def merged(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Both mappings in one, section by section; `more` wins."""
    out = dict(base)
    for key, value in more.items():
        both = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = merged(out[key], value) if both else value
    return out


class MeasureConfig(Config):
    """What is measured of a run, besides its answers at every evaluation."""

    items: int = Field(default=256, ge=8)
    """Items of the unification scores, the same at all evaluations of a run."""
    scores: Literal["all", "ends"] = "all"
    """Unification scores and probes at every evaluation, or only at the first and the last."""
    variants: bool = True
    """All ways of centring and of choosing distractors at the last evaluation, not only the first
    two."""
    populations: bool = True
    """Scores of parallel and never-seen facts as well, at the last evaluation."""
    fresh: int = Field(default=5, ge=0)
    """Fresh initialisations whose scores stand beside that of step 0."""
    codelength: bool = True
    """Prequential codelength of the language at the first and the last evaluation."""
    edits: int = Field(default=32, ge=0)
    """Facts that get new values in one language, to see whether these carry; 0 for none."""
    patches: int = Field(default=32, ge=0)
    """Held-out facts that are patched; 0 for none."""
    states: int = Field(default=64, ge=0)
    """Facts whose hidden states are kept for figures."""
    answers: Literal["last", "all"] = "last"
    """Evaluations whose single answers are kept; accuracies are kept of all."""
    checkpoints: Literal["none", "last", "all"] = "none"
    """Checkpoints kept as ordinary Hugging Face folders."""


class ExecutionConfig(Config):
    """How fast, never what."""

    executor: str = Field(default="local", pattern=r"^(local|ray(://\S+)?)$")
    """Where to work: local (processes), ray (a cluster for this run), ray://auto, ray://host:port."""
    jobs: int = Field(default=1, ge=1)
    """Processes that train side by side, one thread each."""
    stacked: int = Field(default=1, ge=1)
    """Runs of one shape that a process trains as one computation; pays on GPUs."""
    device: str = "cpu"
    """Device: cpu, cuda, cuda:1."""
    cpus_per_worker: float | None = Field(default=None, ge=0)
    """CPUs that each process asks Ray for; by default one."""
    gpus_per_worker: float | None = Field(default=None, ge=0)
    """GPUs that each process asks Ray for; by default one if the device is cuda."""
    retries: int = Field(default=2, ge=0)
    """How often Ray gives work to a fresh process after the one that had it died."""

    def gpus(self) -> float:
        """GPUs that each process asks Ray for."""
        if self.gpus_per_worker is not None:
            return self.gpus_per_worker
        return 1 if self.device.startswith("cuda") else 0


class ArmConfig(Config):
    """One condition of a sweep, or a grid of its own."""

    name: str = Field(min_length=1)
    """Name of the condition."""
    family: str | None = None
    """Family within which scores are compared; by default what languages share."""
    set: dict[str, Any] = Field(default_factory=dict)
    """Settings, such as world.lam: 1 or preset: smoke."""
    grid: dict[str, list[Any]] = Field(default_factory=dict)
    """Settings to be combined in all ways."""
    baseline: str | None = None
    """Condition whose outcomes this one's are held against."""


class SweepConfig(Config):
    """Many runs: every condition with every seed."""

    base: dict[str, Any] = Field(default_factory=dict)
    """Settings of all runs, such as preset: toy or world.p: 0.5."""
    grid: dict[str, list[Any]] = Field(default_factory=dict)
    """Settings to be combined in all ways."""
    zip: dict[str, list[Any]] = Field(default_factory=dict)
    """Settings that change together; all lists are equally long."""
    arms: list[ArmConfig] = Field(default_factory=list)
    """Named conditions; without any there is one, made of base, grid and zip."""
    seeds: int = Field(default=3, ge=1)
    """How many seeds: 0, 1, ..."""
    measure: MeasureConfig = MeasureConfig()
    """What is measured of each run."""
    execution: ExecutionConfig = ExecutionConfig()
    """Where and how fast."""

    @model_validator(mode="after")
    def _zips(self) -> Self:
        if len({len(values) for values in self.zip.values()}) > 1:
            raise ValueError("zip: all lists must be equally long")
        if any(not values for values in (*self.grid.values(), *self.zip.values())):
            raise ValueError("grid and zip: every list needs a value")
        return self

    @property
    def all_seeds(self) -> list[int]:
        """The seeds."""
        return list(range(self.seeds))

    def question(self) -> dict[str, Any]:
        """What decides the numbers; more seeds may be added to a sweep later."""
        plain = self.plain()
        del plain["execution"], plain["seeds"]
        return plain | {"schema": SCHEMA}


class TrainConfig(RunConfig):
    """One condition with a few seeds."""

    seeds: int = Field(default=1, ge=1)
    """How many seeds."""
    measure: MeasureConfig = MeasureConfig()
    """What is measured of each run."""
    execution: ExecutionConfig = ExecutionConfig()
    """Where and how fast."""

    def sweep(self) -> SweepConfig:
        """The same as a sweep of one condition."""
        if self.world.seed:
            raise ConfigError("world.seed has no meaning here: `seeds` says how many, from 0 on.")
        base = {name: self.plain()[name] for name in RunConfig.model_fields}
        return SweepConfig(
            base=base, seeds=self.seeds, measure=self.measure, execution=self.execution
        )


def run_hash(config: RunConfig, measure: MeasureConfig) -> str:
    """Identity of a run and of what was measured of it."""
    return digest([config.identity(), measure.plain()])
