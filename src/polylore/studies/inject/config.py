"""Configuration of the study `inject`."""

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from polylore.config import Config
from polylore.corpus.injection.arms import NEVER, STANDARD, ArmConfig, interval_sweep
from polylore.facts.people.make import FictionConfig
from polylore.training.continued.config import ContinueConfig

LAGS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 25, 32, 40, 50)
"""States after an exposure that are read by default (specification of `inject`, section 4.3)."""


class ItemsConfig(Config):
    """What is injected and asked."""

    source: str = "made"
    """made (from language packs), published:FOLDER (Chang et al. 2024), or a folder of item files.
    """
    languages: list[str] = Field(default=["en", "de"])
    """With `made`: languages, or paths of language packs."""
    made: FictionConfig = FictionConfig()
    """With `made`: which items."""
    sham: str | None = None
    """Folder of other items that the sham run injects; `made` makes them itself."""
    lint: Literal["refuse", "report"] = "refuse"
    """Refuse items in which `lint-items` finds errors, or only report them, as is always done of
    published items."""


class BackgroundConfig(Config):
    """The stream of rows that passages are put into: in a fixed order, the same for all arms."""

    source: list[str] = Field(default=[])
    """Files, folders or patterns of documents; a file of token numbers; a folder of packed rows;
    or a training run of polylore, whose rows are read again."""
    kind: Literal["documents", "tokens", "rows", "training"] = "documents"
    """What the source is."""
    text: str = "text"
    """Field or column with the text of a document."""
    lang: str = "lang"
    """Field or column with its language, if there is one."""
    txt: Literal["paragraph", "line", "file"] = "paragraph"
    """A document of a .txt file."""
    dtype: Literal["uint16", "uint32"] = "uint16"
    """Number format of a file of tokens."""
    rows: Literal["auto", "full", "padded"] = "auto"
    """Cut one stream of documents into full rows, or keep documents whole and pad; auto: as the
    model was trained, if polylore trained it, else full."""
    length: int | None = Field(default=None, ge=8)
    """Tokens of a row; that of the model's own training if polylore trained it."""
    batch_size: int = Field(default=32, ge=1)
    """Rows of a step, over all processes."""
    eos: str | None = None
    """Token that ends documents, if not the tokenizer's own."""
    first: int = Field(default=0, ge=0)
    """Row that opens step 0; those before it are there for a burn-in."""
    heldout: int = Field(default=8, ge=0)
    """Rows that no update reads, whose loss is read beside the probes: so many of every language
    of the items, or the last ones of rows made elsewhere; 0 for none."""

    @field_validator("source", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value


class PlanConfig(Config):
    """When passages are shown, and where in the batch."""

    preset: Literal["default", "paper"] = "default"
    """paper: the published plan, on the published items only."""
    first: int = Field(default=8, ge=0)
    """Step of the first exposure; states up to it are baseline replicates."""
    last: int | None = Field(default=None, ge=0)
    """Step of the last exposure of arms that are anchored there, before any stagger."""
    tail: int = Field(default=200, ge=1)
    """Updates after the last exposure, where train.updates does not say how many there are."""
    stagger: bool = True
    """Let items start at different steps of an interval."""
    languages: list[str] | None = None
    """Languages that are injected; all that passages have if not given."""
    per_row: int = Field(default=1, ge=1)
    """Passages that may share a row."""
    split: bool = False
    """Lay passages longer than a row over several rows."""
    allow_dose: bool = False
    """Accept more than 10 % of rows or 5 % of the loss."""


class ProbingConfig(Config):
    """When probes are read, and how."""

    at: str = Field(default="default", pattern=r"^(default|every(:[1-9]\d*)?)$")
    """default (dense after exposures, then log-spaced), every (state), or every:N."""
    lags: list[int] = Field(default=list(LAGS))
    """With `default`: states after each exposure that are read."""
    per_decade: int = Field(default=12, ge=1)
    """With `default`: states per factor of ten after the last exposure."""
    extras_every: int = Field(default=8, ge=0)
    """Margins, swapped subjects and free answers at every so many readings; 0 for never."""
    languages: list[str] | None = None
    """Languages that are asked; all that probes have if not given."""
    depths: list[str] | None = None
    """Depths that are asked; all that probes have if not given."""
    begin: Literal["auto", "yes", "no"] = "auto"
    """Put the begin-of-text token before probes; auto: if rows of training begin with one."""
    ceiling: bool = True
    """Once per run, read every probe with the item's passage before it."""
    token_budget: int = Field(default=16384, ge=1)
    """Tokens, padding included, of one forward pass."""


class ControlsConfig(Config):
    """What the numbers are held against."""

    fewest: int = Field(default=20, ge=1)
    """Fewest never-injected items per language of probes; at least a fifth of all items too."""
    no_control: bool = False
    """Do without never-injected items; every corrected estimate is null then."""
    sham: bool = True
    """One run with the same plan and other items, which are not asked."""
    background_only: bool = True
    """One run without any passage."""


class ScanConfig(Config):
    """Search of the background for what is to be injected."""

    enabled: bool = True
    """Whether to search."""
    ngram: int = Field(default=8, ge=2)
    """Tokens in a row that count as a trace of a passage."""
    strict: bool = False
    """Refuse a background with traces, instead of reporting them."""


class BatchConfig(Config):
    """Batch contrast (specification of `inject`, section 2.8)."""

    small: int = Field(default=16, ge=1)
    """Rows of the small batch; the learning rate is that of this one."""
    large: int = Field(default=64, ge=2)
    """Rows of the large batch."""
    match: list[Literal["none", "share", "count"]] = Field(default=["none", "share"])
    """How the dose is matched."""
    lr: list[Literal["equal", "sqrt", "linear"]] = Field(default=["equal"])
    """How the learning rate of the large batch follows from that of the small one."""
    optimizer: list[Literal["restore", "fresh_burn_in"]] = Field(default=["restore"])
    """State of the optimizer."""

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if self.large <= self.small:
            raise ValueError("large must be larger than small")
        if not (self.match and self.lr and self.optimizer):
            raise ValueError("match, lr and optimizer need a value each")
        return self


class ConditionConfig(Config):
    """Settings that make a condition of its own."""

    name: str = Field(min_length=1)
    """Name of the condition."""
    set: dict[str, Any] = Field(default_factory=dict)
    """Settings, such as background.batch_size: 64, train.rate.learning_rate: 1e-4, or revision: 400
    for another checkpoint of the same tokenizer."""


class ExecutionConfig(Config):
    """How fast, never what."""

    jobs: int = Field(default=1, ge=1)
    """Runs that are trained side by side, each in a process of its own."""
    executor: str = Field(default="local", pattern=r"^(local|ray(://\S+)?)$")
    """Where to work: local (processes), ray (a cluster for this run), ray://auto, ray://host:port."""
    gpus_per_worker: float = Field(default=0, ge=0)
    """GPUs that each process asks Ray for."""
    retries: int = Field(default=2, ge=0)
    """How often Ray gives work to a fresh process after the one that had it died."""
    calibrate: bool = True
    """Time a few updates and readings before the first run, so that the plan's share of probing
    is known beside the measured one."""


class InjectConfig(Config):
    """Facts put into a running training, watched as they arrive and fade."""

    model: str = ""
    """Checkpoint to go on from: a model folder, a training run of polylore, or a hub name."""
    revision: str | None = None
    """Step or name of the checkpoint within a series."""
    optimizer_state: str | None = None
    """State of its optimizer, if it lies elsewhere."""
    items: ItemsConfig = ItemsConfig()
    """What is injected."""
    background: BackgroundConfig = BackgroundConfig()
    """What else is read."""
    arms: list[ArmConfig] = Field(default=list(STANDARD))
    """Conditions of items within a run; items take turns in them over the seeds."""
    intervals: list[int] = Field(default=[])
    """Sweep of exposure intervals: one more condition, with an arm for each."""
    interval_exposures: int = Field(default=6, ge=2)
    """Exposures of every item in the sweep."""
    interval_anchor: Literal["last", "first"] = "last"
    """Which exposure all arms of the sweep share: the last one, or the first."""
    batch: BatchConfig | None = None
    """Batch contrast in place of the one condition `main`."""
    conditions: list[ConditionConfig] = Field(default=[])
    """Further conditions, in which other settings hold."""
    plan: PlanConfig = PlanConfig()
    """When and where."""
    train: ContinueConfig = ContinueConfig()
    """How training goes on."""
    probes: ProbingConfig = ProbingConfig()
    """When and how probes are read."""
    controls: ControlsConfig = ControlsConfig()
    """What the numbers are held against."""
    scan: ScanConfig = ScanConfig()
    """Search of the background for what is to be injected."""
    seeds: int = Field(default=3, ge=1)
    """Runs of every condition; items take another turn in each."""
    execution: ExecutionConfig = ExecutionConfig()
    """Where and how fast."""

    @field_validator("revision", mode="before")
    @classmethod
    def _a_step_is_a_name(cls, value: object) -> object:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _means_something(self) -> Self:
        if not self.model:
            raise ValueError("model: name the checkpoint to go on from, as --model FOLDER does")
        if not any(arm.n for arm in self.arms):
            raise ValueError("arms: at least one arm must inject something")
        names = [arm.name for arm in self.arms]
        if len(set(names)) != len(names):
            raise ValueError("arms: every arm needs a name of its own")
        conditions = [one.name for one in self.conditions]
        if len(set(conditions)) != len(conditions) or set(conditions) & RESERVED:
            raise ValueError(
                f"conditions: names must differ from each other and from {', '.join(RESERVED)}"
            )
        if self.intervals and sorted(set(self.intervals)) != self.intervals:
            raise ValueError("intervals: must ascend")
        return self

    @property
    def swept(self) -> list[ArmConfig]:
        """Arms of the sweep of intervals."""
        return interval_sweep(self.intervals, self.interval_exposures, anchor=self.interval_anchor)

    def question(self) -> dict[str, Any]:
        """What decides the numbers; seeds and conditions may be added to a study later."""
        plain = self.plain()
        for key in ("execution", "seeds", "conditions", "batch", "intervals"):
            del plain[key]
        plain["train"] = self.train.identity()
        del plain["probes"]["token_budget"]
        del plain["scan"]["strict"], plain["items"]["lint"]  # refuse a study, and change no number
        return plain


RESERVED = {"main", "interval", "sham", "background"}
NOT_INJECTED = "none"
"""Language of injection of items that are never injected."""

__all__ = ["LAGS", "NEVER", "NOT_INJECTED", "InjectConfig"]
