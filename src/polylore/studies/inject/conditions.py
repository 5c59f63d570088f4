"""The runs of a study: conditions times seeds, and the control runs."""

from dataclasses import dataclass
from typing import Any, Literal

from polylore.config import digest
from polylore.corpus.injection.arms import ArmConfig, batch_matched
from polylore.errors import ConfigError
from polylore.studies.inject.config import BatchConfig, InjectConfig

Match = Literal["none", "share", "count"]
MAIN, INTERVAL, SHAM, BACKGROUND = "main", "interval", "sham", "background"


@dataclass(frozen=True)
class RunSpec:
    """One training run."""

    condition: str
    """Runs that differ in their seed alone share it."""
    role: str
    """main, sham (other items injected) or background (nothing injected)."""
    seed: int
    config: InjectConfig
    """What holds in it; `arms` are those of this run."""
    match: str | None = None
    """How the dose of a batch contrast is matched."""
    lr_rule: str | None = None
    lr_factor: float = 1.0
    """How much higher its learning rate is than the study's."""

    @property
    def run_id(self) -> str:
        """Its name, and that of its unit."""
        return f"{self.condition} seed {self.seed}"

    @property
    def settings(self) -> str:
        """SHA-256 of all but seed and where a run begins: equal ones differ in these alone.

        To the latter belong the checkpoint and its place in the background.
        """
        about = self.config.question()
        for key in CHECKPOINT:
            del about[key]
        del about["background"]["first"]
        arms = [arm.plain() for arm in self.config.arms]
        return digest([about, arms, self.role, self.match, self.lr_rule, self.lr_factor])

    @property
    def digest(self) -> str:
        """SHA-256 of all settings that decide its numbers."""
        identity = [self.config.question(), [arm.plain() for arm in self.config.arms]]
        return digest([*identity, self.role, self.seed, self.match, self.lr_rule, self.lr_factor])


def runs_of(config: InjectConfig) -> list[RunSpec]:
    """All runs of a study, in the order in which they are done: seed by seed.

    Raises:
        ConfigError: settings of a condition that cannot be meant, or an arm that cannot be matched.
    """
    specs = _batches(config) if config.batch else [RunSpec(MAIN, MAIN, 0, config)]
    if config.intervals:
        changed = config.model_copy(update={"arms": [*config.swept, *_never(config.arms)]})
        specs.append(RunSpec(INTERVAL, MAIN, 0, changed))
    specs += [
        RunSpec(one.name, MAIN, 0, _changed(config, one.name, one.set)) for one in config.conditions
    ]
    found = [
        RunSpec(s.condition, s.role, seed, s.config, s.match, s.lr_rule, s.lr_factor)
        for seed in range(config.seeds)
        for s in specs
    ]
    first = specs[0]
    for role, wanted in (
        (SHAM, config.controls.sham),
        (BACKGROUND, config.controls.background_only),
    ):
        if wanted:
            found.append(RunSpec(role, role, 0, first.config, first.match, first.lr_rule))
    return found


def _never(arms: list[ArmConfig]) -> list[ArmConfig]:
    return [arm for arm in arms if not arm.n]


CHECKPOINT = ("model", "revision", "optimizer_state")
"""Settings that say where a run begins."""
_OWN = ("arms", "plan.", "train.", "probes.", "background.batch_size", "background.first",
        *CHECKPOINT)  # fmt: skip
_SHARED = ("probes.languages", "probes.depths")


def _changed(config: InjectConfig, name: str, settings: dict[str, Any]) -> InjectConfig:
    plain = config.plain()
    for key, value in settings.items():
        if not key.startswith(_OWN) or key in _SHARED:
            raise ConfigError(
                f"Condition {name}: {key} is the same in all runs of a study; conditions may "
                "change arms, plan, train, probes, background.batch_size, background.first, "
                "model, revision and optimizer_state."
            )
        *path, last = key.split(".")
        place = plain
        for part in path:
            inner = place.get(part)
            if not isinstance(inner, dict):
                raise ConfigError(f"Condition {name}: {key} is not a known setting.")
            place = inner
        place[last] = value
    # What was not given must stay so: the number of updates follows from the plan then.
    if "updates" not in config.train.model_fields_set and "train.updates" not in settings:
        del plain["train"]["updates"]
    if not set(settings).isdisjoint(("model", "revision")):
        # Another checkpoint has another optimizer, and another model other revisions.
        for key in CHECKPOINT[2 if "revision" in settings else 1 :]:
            plain[key] = settings.get(key)
    return InjectConfig.parse(plain, f"condition {name}")


def _batches(config: InjectConfig) -> list[RunSpec]:
    """The runs of a batch contrast; what two ways of matching share is done once.

    A small batch is plain (match `none`, also the partner of `count`) or has its passages weigh
    less (`share`); a large one is plain (`none`, also the partner of `share`) or carries more rows
    of each passage (`count`).
    """
    batch = config.batch or BatchConfig()
    specs = []
    for optimizer in batch.optimizer:
        for match in _own(batch, "share"):
            specs.append(_batch(config, batch.small, match, "equal", optimizer))
        for match in _own(batch, "count"):
            for rule in batch.lr:
                specs.append(_batch(config, batch.large, match, rule, optimizer))
    return specs


def _own(batch: BatchConfig, changes: Match) -> list[Match]:
    """Ways of matching under which a batch differs, where only `changes` changes it."""
    found: list[Match] = ["none"] if set(batch.match) - {changes} else []
    return [*found, *([changes] if changes in batch.match else [])]


def _batch(config: InjectConfig, rows: int, match: Match, rule: str, optimizer: str) -> RunSpec:
    batch = config.batch or BatchConfig()
    large = rows == batch.large
    arms = [
        batch_matched(arm, match, batch.small, batch.large)[int(large)] if arm.n else arm
        for arm in config.arms
    ]
    changed = config.model_copy(
        update={
            "arms": arms,
            "background": config.background.model_copy(update={"batch_size": rows}),
            "train": config.train.model_copy(update={"optimizer": optimizer}),
        }
    )
    ratio = batch.large / batch.small if large else 1.0
    factor = {"equal": 1.0, "sqrt": ratio**0.5, "linear": ratio}[rule]
    name = f"batch {rows} {match} lr {rule} {optimizer}"
    return RunSpec(name, MAIN, 0, changed, match, rule, factor)
