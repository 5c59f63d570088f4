"""Everything that `unify link` can be told."""

from typing import Literal, Self

from pydantic import Field, model_validator

from polylore.config import Config
from polylore.studies.series import SeriesConfig
from polylore.studies.trace.config import ExecutionConfig, FactsConfig


class StatesConfig(Config):
    """What is read of a model: states of questions without their answers."""

    positions: list[Literal["subject_last", "prompt_end"]] = Field(
        default=["subject_last", "prompt_end"], min_length=1
    )
    """Where states are taken: last token of the subject, last token of the question."""
    variant: int | None = None
    """Prompt template, by number; by default the first one that the answers were asked with."""
    bos: bool | None = None
    """Put the tokenizer's begin-of-text token in front; by default as the answers were asked."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Number format of the forward pass."""
    centers: list[Literal["none", "lang"]] = Field(default=["none", "lang"], min_length=1)
    """Scores of states as they are, and minus each language's mean."""
    fresh: int = Field(default=1, ge=0)
    """Freshly initialised copies of the architecture, for the corrected score."""
    seed: int = 0
    """Seed of these copies and of shuffled pairs."""

    @model_validator(mode="after")
    def _once(self) -> Self:
        if any(len({*names}) < len(names) for names in (self.positions, self.centers)):
            raise ValueError("every position and every way of centring can be named once")
        return self


class LinkAnalyseConfig(Config):
    """How scores are held against answers."""

    matcher: Literal["auto", "default", "paper", "candidates"] = "auto"
    """Whose grades say what is right; by default those of free answers, if there are any."""
    judge: str | None = None
    """Name of the external judge whose verdicts stand in the column judge of the answers."""
    hand: str | None = None
    """Answers labelled by hand (ckpt_id, fact_id, lang, right), 50 or more; a judge needs them."""
    overlaps: bool = False
    """Also hold overlaps of neighbours and of active units (Jaccard) against answers."""
    draws: int = Field(default=1000, ge=0)
    """Bootstrap draws over facts behind every 95 % interval; 0 leaves intervals out."""
    seed: int = 0
    """Seed of draws, permutations and of the halves of facts."""


class LinkConfig(Config):
    """Configuration of `unify link`."""

    model: str
    """Folder with checkpoints (or one checkpoint) to read, or a hub model: ORG/NAME[+ORG/NAME]."""
    answers: str
    """Folder of a finished trace of the model, or a table: ckpt_id, fact_id, lang, right."""
    exposure: str | None = None
    """Exposure table, or a folder that holds one; by default that of the trace, if it has one."""
    series: SeriesConfig = SeriesConfig()
    """Which checkpoints, and how those on the hub are fetched."""
    facts: FactsConfig | None = None
    """Which facts, in which languages; by default those of the trace."""
    states: StatesConfig = StatesConfig()
    """What is read of the model."""
    analyse: LinkAnalyseConfig = LinkAnalyseConfig()
    """How scores are held against answers."""
    execution: ExecutionConfig = ExecutionConfig()
    """How fast, never what."""
