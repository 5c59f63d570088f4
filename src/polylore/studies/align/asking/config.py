"""Everything that `align evaluate` can be told."""

from typing import Any, Literal

from pydantic import Field, field_validator

from polylore.config import Config
from polylore.facts.choices.ask import Manner
from polylore.studies.align.config import AlignScoreConfig
from polylore.studies.series import SeriesConfig
from polylore.studies.work_config import WorkConfig

Mode = Literal["letter_ll", "text_ll", "generate", "rank"]
PAPER_TOKENS = 4


class AlignSetsConfig(Config):
    """Which parallel sets are asked."""

    sources: list[str] = Field(default=["cldr"], min_length=1)
    """Folders of <set>.<lang>.jsonl, or fact sets: cldr (built in), a folder, a file, a world."""
    only: list[str] | None = None
    """Sets to ask, by name; all if not given. Sets made from facts are NAME and NAME.free."""
    languages: list[str] | None = None
    """Languages to ask in, the pivot among them; all of the sets if not given."""
    limit: int | None = Field(default=None, ge=1)
    """Ask at most this many items of each set, drawn by hash; the same ones in every language."""
    relations: list[str] | None = None
    """Relations of fact sets; all if not given."""
    options: int = Field(default=4, ge=2, le=5)
    """Options of questions that are made from facts."""
    variant: int = Field(default=0, ge=0)
    """Prompt template that asks them, by number."""
    seed: int = 0
    """Seed of wrong options, places and draws."""


class AlignAskConfig(Config):
    """How a set is put before a model."""

    layout: Literal["default", "paper"] = "default"
    """Words around a question; paper: English, with one English demonstration (our wording)."""
    modes: list[Mode] | None = None
    """Ways of answering; by default letter_ll and text_ll, and of free-form sets rank, generate."""
    instruction: list[Literal["item", "pivot"]] = Field(default=["item"], min_length=1)
    """Language of the words around a question: the item's, or the pivot's; several are compared."""
    n_shot: int = Field(default=1, ge=0)
    """Demonstrations, in the item's language; their letters are balanced."""
    rotate: bool = True
    """Show the options in every cyclic order and average the letters' scores by option."""
    chat: Literal["plain", "template", "auto"] = "plain"
    """Put the model's chat template around prompts: never, always, or where there is one."""
    max_new_tokens: int | None = Field(default=None, ge=1)
    """Cap on generated tokens; by default 4 more than the longest option, at least 16."""
    bos: bool = True
    """Put the tokenizer's begin-of-text token in front, if it has one."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Number format of the forward pass; log-softmax is always float32."""
    seed: int = 0
    """Seed of the demonstrations."""

    def effective_modes(self) -> tuple[str, ...]:
        """Modes in a fixed order; in the published form answers are read from text."""
        usual = ["generate"] if self.layout == "paper" else ["letter_ll", "text_ll", "rank"]
        wanted = usual if self.modes is None else self.modes
        return tuple(m for m in ("letter_ll", "text_ll", "rank", "generate") if m in wanted)

    def free_modes(self) -> tuple[str, ...]:
        """Modes of free-form sets."""
        wanted = ["rank", "generate"] if self.modes is None else self.modes
        return tuple(m for m in ("rank", "generate") if m in wanted)

    def manners(self) -> list[Manner]:
        """One per language of the instruction."""
        paper = self.layout == "paper"
        return [
            Manner(
                layout=self.layout,
                instruction=name,
                n_shot=self.n_shot,
                rotate=self.rotate and not paper,
                seed=self.seed,
            )
            for name in (["pivot"] if paper else dict.fromkeys(self.instruction))
        ]

    def cap(self) -> int | None:
        """Cap on generated tokens, if one was said or published."""
        if self.max_new_tokens is None and self.layout == "paper":
            return PAPER_TOKENS
        return self.max_new_tokens


class AlignEvaluateConfig(Config):
    """Configuration of `align evaluate`."""

    models: list[str] = Field(min_length=1)
    """Models to ask: folders with checkpoints (or one), or on the hub ORG/NAME[+ORG/NAME]."""
    names: list[str] | None = None
    """Their names in tables, in the same order; by default those of folder or repository."""
    series: SeriesConfig = SeriesConfig()
    """Which checkpoints, and how those on the hub are fetched."""
    sets: AlignSetsConfig = AlignSetsConfig()
    """Which parallel sets."""
    ask: AlignAskConfig = AlignAskConfig()
    """How they are put before a model."""
    score: AlignScoreConfig = AlignScoreConfig(pairs="all")
    """How answers become numbers."""
    execution: WorkConfig = WorkConfig()
    """How fast, never what."""

    @field_validator("models", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    def question(self) -> dict[str, object]:
        """The part of the configuration that decides raw answers; models can be added later."""
        return {
            "sets": self.sets.plain(),
            "ask": self.ask.plain(),
            "pivot": self.score.pivot,
        }
