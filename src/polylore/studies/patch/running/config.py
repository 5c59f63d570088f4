"""Everything that `patch run` and `patch score` can be told."""

from typing import Literal

from pydantic import Field

from polylore.config import Config
from polylore.studies.series import SeriesConfig
from polylore.studies.work_config import WorkConfig

EVERY = 4
"""By default answers are written at the onsets -1 and 0 and at every fourth one."""


class PatchAskConfig(Config):
    """How the model is patched and asked."""

    dtype: Literal["checkpoint", "float32", "bfloat16", "float16"] = "checkpoint"
    """Number format of the blocks: the checkpoint's own, or another; what is read is float32."""
    engine: Literal["auto", "packed", "suffix", "hooks"] = "auto"
    """How patches are computed; auto takes the quickest one that agrees with plain hooks."""
    blocks: str | None = None
    """Name of the model's list of blocks, where it cannot be found out."""
    onsets: list[int] | None = None
    """Onsets to patch from; by default all, -1 (the input of block 0) to the last block."""
    generate: bool = True
    """Write answers, unpatched and patched."""
    onsets_generate: list[int] | None = None
    """Onsets at which answers are written; by default -1, 0, every fourth and the best ones."""
    max_new_tokens: int = Field(default=16, ge=1)
    """Most tokens of an answer; it ends at a closing quote or a newline."""
    init: bool = True
    """Also ask randomly initialised weights, unless the series begins with them."""
    seed: int = 0
    """Seed of these weights, and of the halves of concepts that choose the best onsets."""

    def swept(self, blocks: int) -> list[int]:
        """Onsets to patch from, ascending, in a model of so many blocks."""
        return sorted(set(range(-1, blocks) if self.onsets is None else self.onsets))

    def answered(self, blocks: int, best: list[int]) -> list[int]:
        """Onsets at which answers are written; `best` are those chosen by the scores."""
        swept = self.swept(blocks)
        if self.onsets_generate is not None:
            return [onset for onset in swept if onset in self.onsets_generate]
        usual = {-1, *range(0, blocks, EVERY), *best}
        return [onset for onset in swept if onset in usual]


class PatchRunConfig(Config):
    """Configuration of `patch run`."""

    model: str
    """Folder with checkpoints (or one checkpoint) to patch, or a hub model: ORG/NAME[+ORG/NAME]."""
    plan: str = "runs/patch/plan"
    """Folder of the plan, as `polylore patch plan` writes it."""
    series: SeriesConfig = SeriesConfig()
    """Which checkpoints, and how those on the hub are fetched."""
    ask: PatchAskConfig = PatchAskConfig()
    """How the model is patched and asked."""
    execution: WorkConfig = WorkConfig()
    """How fast, never what."""

    def effective_ask(self, preset: str) -> PatchAskConfig:
        """`ask` with the published values of the plan's preset where nothing else was said.

        Source: specification of `patch`, section 2, presets: ten new tokens at every onset.
        """
        if preset != "paper":
            return self.ask
        published = {"max_new_tokens": 10, "onsets_generate": list(range(-1, 1000))}
        said = self.ask.model_fields_set
        return self.ask.model_copy(update={k: v for k, v in published.items() if k not in said})


class PatchScoreConfig(Config):
    """How raw rows of `patch` become numbers."""

    draws: int = Field(default=2000, ge=1)
    """Bootstrap draws over concepts and language pairs behind every interval."""
    seed: int = 0
    """Seed of the draws, and of the halves of concepts that choose the best onset."""
    phi: float = Field(default=0.5, gt=0, lt=1)
    """Fraction of the final difference from which on it counts as emerged (E2)."""
    floor_margin: float = Field(default=0.01, ge=0)
    """Difference above which it counts as emerged at all (E1)."""
    codes: list[str] = Field(default=[])
    """Sheets coded by people: one or two CSV files that `polylore patch score` exported."""
