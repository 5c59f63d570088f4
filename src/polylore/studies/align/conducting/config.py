"""Everything that `align conduct` can be told."""

from typing import Any, Literal

from pydantic import Field, field_validator

from polylore.config import Config
from polylore.facts.fiction.config import FormConfig
from polylore.studies.series import SeriesConfig
from polylore.studies.work_config import WorkConfig

Component = Literal["source_0", "source_1", "target_0", "target_1", "translate_ts", "translate_st"]


class ConductAskConfig(Config):
    """How invented facts are put before a model."""

    form: FormConfig = FormConfig()
    """What stands around a question; that of the training."""
    rank: bool = True
    """Also rank all answers by their probability."""
    max_new_tokens: int | None = Field(default=None, ge=1)
    """Cap on generated tokens; by default 2 more than the longest answer that was taught."""
    bos: bool = True
    """Put the tokenizer's begin-of-text token in front, if it has one."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Number format of the forward pass; log-softmax is always float32."""


class ConductScoreConfig(Config):
    """How answers become numbers."""

    trained: list[Component] | None = None
    """What the models were taught, for the gate; by default what the world's rows teach."""
    draws: int = Field(default=2000, ge=0)
    """Bootstrap draws over subjects behind every interval; 0 leaves them out."""
    seed: int = 0
    """Seed of the bootstrap."""


class AlignConductConfig(Config):
    """Configuration of `align conduct`."""

    models: list[str] = Field(min_length=1)
    """Models to ask: folders with checkpoints (or one), or on the hub ORG/NAME[+ORG/NAME]."""
    names: list[str] | None = None
    """Their names in tables, in the same order; by default those of folder or repository."""
    world: str
    """Folder that `polylore align world` wrote; its facts were taught to the models."""
    targets: list[str] | None = None
    """Target languages to ask about; all of the world if not given."""
    design: Literal["pair", "row"] = "pair"
    """Whether a model was taught one target language, or all of them at once."""
    allow_defect: bool = False
    """Ask although training rows never name an answer as the test does (the published zh world)."""
    series: SeriesConfig = SeriesConfig()
    """Which checkpoints, and how those on the hub are fetched."""
    ask: ConductAskConfig = ConductAskConfig()
    """How invented facts are put before a model."""
    score: ConductScoreConfig = ConductScoreConfig()
    """How answers become numbers."""
    execution: WorkConfig = WorkConfig()
    """How fast, never what."""

    @field_validator("models", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    def question(self) -> dict[str, object]:
        """The part of the configuration that decides raw answers; models can be added later."""
        return {"ask": self.ask.plain(), "targets": self.targets, "design": self.design}
