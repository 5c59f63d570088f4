"""Everything that `align run` can be told (specification of `align`, section 4.4)."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from polylore.config import Config
from polylore.facts.fiction.config import Direction, PrimerConfig, WorldConfig
from polylore.studies.align.asking.config import AlignAskConfig, AlignSetsConfig
from polylore.studies.align.conducting.config import ConductAskConfig
from polylore.training.adapters.config import LoraConfig
from polylore.training.config import ModelConfig

Kind = Literal["none", "cpt", "mix", "itune", "inject", "seq"]
Match = Literal["total", "target"]
START, NONE, BASE_MIX = "start", "none", "base_mix"


def _one_is_a_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _sources(value: Any) -> Any:
    return {"sources": value} if isinstance(value, list) else value


Several = Annotated[list[str], BeforeValidator(_one_is_a_list)]


class StartConfig(Config):
    """What every arm goes on from: a folder, a model of the hub, or one trained here first."""

    path: str | None = None
    """Folder of a checkpoint or of a training run."""
    model: str | None = None
    """Model of the hub, ORG/NAME."""
    revision: str | None = None
    """Its revision, or the step of a training run."""
    fresh: ModelConfig | None = None
    """Sizes of a model to train from scratch, one per seed."""
    updates: int = Field(default=800, ge=1)
    """Updates of that training."""
    learning_rate: float = Field(default=4e-3, gt=0)
    """Its peak rate."""
    ratio: dict[str, float] | None = None
    """Share of its tokens by language: the start mixture, which base_mix goes on with."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(value is not None for value in (self.path, self.model, self.fresh)) != 1:
            raise ValueError("give exactly one of path, model and fresh")
        return self


class DataConfig(Config):
    """What can be read. Files hold one document per row (Parquet, CSV, JSON Lines, text)."""

    text: dict[str, str] = Field(default={})
    """Files of text by language, for continued training."""
    start_text: dict[str, str] = Field(default={})
    """Files of the start model's own mixture by language; those of `text` where not given."""
    questions: str | None = None
    """JSON Lines, Parquet or CSV of instructions: lang, prompt, response, and fact_id if known."""
    held_out: int = Field(default=64, ge=0)
    """Documents per language set aside to measure the loss."""
    primer: PrimerConfig | None = None
    """Ordinary facts made here instead of files, in the languages of `world`."""
    world: WorldConfig | None = None
    """Invented facts to inject, made here."""
    worlds: str | None = None
    """Or a folder written by `align world`."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.primer is not None and self.world is None:
            raise ValueError("primer needs world, whose languages it speaks")
        if self.world is not None and self.worlds is not None:
            raise ValueError("give world or worlds, not both")
        return self


class ArmsTrainConfig(Config):
    """How arms are trained; the same for all of them."""

    global_batch: int = Field(default=128, ge=1)
    """Rows per update, over all processes and micro-batches."""
    optimizer: Literal["adamw"] = "adamw"
    """Optimizer; every arm begins with fresh moments."""
    learning_rate: float = Field(default=1.5e-3, gt=0)
    """Peak rate."""
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    """How it falls."""
    warmup: int = Field(default=0, ge=0)
    """Updates in which it rises linearly."""
    final: float = Field(default=0.0, ge=0, le=1)
    """Share of the peak at the last update."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    """Decay of AdamW's mean of gradients."""
    beta2: float = Field(default=0.95, ge=0, lt=1)
    """Decay of its mean of squares."""
    weight_decay: float = Field(default=0.1, ge=0)
    """Decoupled weight decay."""
    clip: float = Field(default=1.0, gt=0)
    """Largest gradient norm."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of forward and backward passes."""
    context: int = Field(default=512, ge=8)
    """Tokens of a row, at most."""
    packing: Literal["packed", "single"] = "packed"
    """Rows of text: full rows cut from a stream of documents, or one document each."""
    seeds: list[int] = Field(default=[0, 1, 2], min_length=1)
    """Training seeds; every arm is trained with each."""

    @model_validator(mode="after")
    def _once(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("every seed counts once; give different seeds")
        return self


class BudgetConfig(Config):
    """How long arms are trained."""

    match: Match = "total"
    """Equal tokens in all, or of the target language (the others come on top)."""
    updates: int = Field(default=300, ge=1)
    """Updates of an arm."""
    max_updates_until_gate: int = Field(default=1500, ge=20)
    """Cap on updates of an injection, which ends when its gate passes."""


class ArmConfig(Config):
    """One arm."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    """Its name in tables."""
    kind: Kind | None = None
    """What it does; none and base_mix need not say it."""
    lang: Several | None = None
    """cpt: its language; itune: the languages of the questions."""
    ratio: dict[str, float] | Literal["start"] | None = None
    """mix: share of tokens by language, or the start mixture."""
    new: list[str] | None = None
    """mix: languages whose text is new to the model; by default all, and none if ratio is start."""
    replay: float = Field(default=0.0, ge=0, lt=1)
    """Share of the start mixture: of tokens in cpt and mix, of rows in itune and inject."""
    match: Match | None = None
    """How its budget is matched, if not as all."""
    target: str | None = None
    """Language that it is for: of cpt its own; of a mix matched by target the one that counts."""
    source: str | None = None
    """inject: language of the facts; that of the world if not given."""
    targets: Several | None = None
    """inject: languages that they should carry over to; all of the world if not given."""
    design: Literal["pair", "row"] = "pair"
    """inject: one run per target, or one for all."""
    translate: list[Direction] | None = None
    """inject: directions in which translations are taught; as in the world if not given."""
    parallel_exposure: bool = False
    """inject: also teach facts of type 1 in the target (the ceiling)."""
    shuffled: bool = False
    """inject: answers shuffled over subjects (a control)."""
    method: Literal["full", "lora"] = "full"
    """Which weights are trained."""
    lora: LoraConfig = LoraConfig()
    """LoRA."""
    learning_rate: float | None = Field(default=None, gt=0)
    """Peak rate, if not that of all."""
    global_batch: int | None = Field(default=None, ge=1)
    """Rows per update, if not as for all."""
    updates: int | None = Field(default=None, ge=1)
    """Updates, if not as for all; of an injection: no gate, exactly so many."""
    epochs: int | None = Field(default=None, ge=1)
    """inject: passes over the rows instead of a gate (published: 3)."""
    stages: list[str] | None = None
    """seq: arms one after the other, each kept and evaluated."""

    @property
    def what(self) -> Kind:
        """Its kind."""
        if self.kind is not None:
            return self.kind
        return "none" if self.name == NONE else "mix"

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind is None and self.name not in (NONE, BASE_MIX):
            raise ValueError(f"arm {self.name}: give its kind")
        needs = {"cpt": "lang", "itune": "lang", "seq": "stages", "mix": "ratio"}
        field = needs.get(self.what)
        if field is not None and not getattr(self, field) and self.name != BASE_MIX:
            raise ValueError(f"arm {self.name}: {self.what} needs {field}")
        if self.what == "cpt" and len(self.lang or ()) != 1:
            raise ValueError(f"arm {self.name}: cpt has one language; mix has several")
        if isinstance(self.ratio, dict) and (not self.ratio or min(self.ratio.values()) <= 0):
            raise ValueError(f"arm {self.name}: shares of a ratio must be above 0")
        if self.epochs is not None and self.updates is not None:
            raise ValueError(f"arm {self.name}: give updates or epochs, not both")
        return self


class ComparisonConfig(Config):
    """Two arms to hold against each other, and the one factor in which they differ."""

    arm: str
    """Arm that is judged."""
    minus: str
    """Arm that it is compared with."""
    factor: Literal[
        "training", "data", "replay", "translate", "parallel", "shuffled", "start", "method", "rate"
    ] = "data"
    """What differs; anything else makes them no siblings. training: with and without."""


class ArmsEvalConfig(Config):
    """What is asked of every arm, and when."""

    sets: Annotated[AlignSetsConfig, BeforeValidator(_sources)] | None = None
    """Parallel sets, or a list of their sources; by default those of the primer."""
    ask: AlignAskConfig = AlignAskConfig()
    """How sets are put before a model."""
    conduct: ConductAskConfig = ConductAskConfig()
    """How invented facts are."""
    langs: list[str] | None = None
    """Languages to ask in; all if not given."""
    at: list[int | Literal["log", "end"]] = Field(default=[0, "end"], min_length=1)
    """Updates at which sets are asked: numbers, log (1, 3, 10, 30, ...), end."""
    gate: float = Field(default=0.9, gt=0, le=1)
    """Share right from which on a component of the gate passes."""


class ArmsScoreConfig(Config):
    """How raw rows become numbers; can be changed afterwards."""

    draws: int = Field(default=2000, ge=0)
    """Bootstrap draws."""
    seed: int = 0
    """Their seed."""
    margins: list[float] = Field(default=[0.05, 0.0])
    """Margins at which claims are judged."""


class ArmsExecutionConfig(Config):
    """How fast, never what."""

    jobs: int = Field(default=1, ge=1)
    """Trainings side by side on this machine; under a launcher they run one after the other."""
    threads: int = Field(default=1, ge=1)
    """CPU threads of each."""
    per_device: int | None = Field(default=None, ge=1)
    """Rows of a micro-batch; all of a process's rows if not given."""
    shard: bool = False
    """Share weights among processes (FSDP), for models that do not fit."""
    state_every: int = Field(default=500, ge=1)
    """Updates between states to resume from."""


class ArmsConfig(Config):
    """Configuration of `align run`."""

    start: StartConfig
    """What every arm goes on from."""
    data: DataConfig = DataConfig()
    """What can be read."""
    train: ArmsTrainConfig = ArmsTrainConfig()
    """How."""
    budget: BudgetConfig = BudgetConfig()
    """How long."""
    eval: ArmsEvalConfig = ArmsEvalConfig()
    """What is asked."""
    pivot: str = "en"
    """Language that the others are compared with."""
    arms: list[ArmConfig] = Field(min_length=1)
    """The arms; none and base_mix are added."""
    compare: list[ComparisonConfig] = Field(default=[])
    """Further comparisons; those behind the claims are made without asking."""
    score: ArmsScoreConfig = ArmsScoreConfig()
    """How raw rows become numbers."""
    execution: ArmsExecutionConfig = ArmsExecutionConfig()
    """How fast."""

    @model_validator(mode="after")
    def _names(self) -> Self:
        names = [arm.name for arm in self.arms]
        if len(set(names)) < len(names):
            raise ValueError("every arm needs a name of its own")
        return self

    def question(self) -> dict[str, Any]:
        """The part that decides raw rows; arms and seeds may be added later."""
        values = self.plain()
        for name in ("arms", "compare", "score", "execution"):
            del values[name]
        for name in ("seeds", "optimizer"):  # of the latter there is only one
            del values["train"][name]
        return values
