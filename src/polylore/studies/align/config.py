"""Everything that `align rescore` can be told."""

from typing import Literal

from pydantic import Field

from polylore.config import Config
from polylore.facts.choices.known import LANGUAGES, LEVELS, SETS
from polylore.metrics.align.analysis import Rules

Parser = Literal["robust", "first_char", "lenient"]


class CompareModels(Config):
    """Two models to hold against each other."""

    arm: str
    """Model that is judged."""
    minus: str
    """Model that it is compared with, such as the one it was trained from."""
    target: str | None = None
    """Language that the arm was trained for."""
    inside: list[str] = Field(default=[])
    """Other languages in its training mix."""


class AlignScoreConfig(Config):
    """How answers become numbers."""

    pivot: str = "en"
    """Language that the others are compared with."""
    pairs: Literal["pivot", "all"] = "pivot"
    """Compare each language with the pivot, or every source with every target."""
    parsers: list[Parser] = Field(default=["robust", "first_char", "lenient"], min_length=1)
    """Parsers to grade by; each has rows of its own."""
    reference: str = "constants"
    """Accuracy that counts as 1: constants, own_pivot, model:<name>:<lang> or human:<percent>."""
    exposure: str | None = None
    """What training told: a table `exposure`, or a training or counting folder; splits consistency
    into facts seen in both languages, in one, and in neither."""
    draws: int = Field(default=2000, ge=0)
    """Bootstrap draws over items (persons, subjects) behind every interval; 0 leaves them out."""
    seed: int = 0
    """Seed of the bootstrap."""
    compare: list[CompareModels] = Field(default=[])
    """Models to compare, such as [{arm: b, minus: a, target: de}]."""
    margins: list[float] = Field(default=[0.0, 0.05])
    """Margins of relative accuracy at which claims are judged."""

    def rules(self) -> Rules:
        """The same, with what is known of the published sets."""
        return Rules(
            pivot=self.pivot,
            languages=LANGUAGES,
            parsers=tuple(self.parsers),
            pairs=self.pairs,
            reference=self.reference,
            constants={name: known.reference for name, known in SETS.items()},
            demonstrations={name: known.demonstration for name, known in SETS.items()},
            levels=LEVELS,
            compare=[(c.arm, c.minus, c.target, tuple(c.inside)) for c in self.compare],
            margins=tuple(self.margins),
            draws=self.draws,
            seed=self.seed,
        )


class AlignImportConfig(Config):
    """Which answers are read."""

    predictions: str
    """File of outputs: Parquet, CSV or JSON Lines with model, task, lang, item, output and gold."""
    tests: str | None = None
    """Folder of the sets (<set>.<lang>.jsonl): checks golds, lets the lenient parser read options,
    and is needed for sets that are not published."""
    model: str | None = None
    """Model of a file with the fields res, label and uuid; give task and lang, too."""
    task: str | None = None
    """Its set."""
    lang: str | None = None
    """Its language."""


class AlignRescoreConfig(AlignImportConfig):
    """Configuration of `align rescore`."""

    score: AlignScoreConfig = AlignScoreConfig()
    """How answers become numbers."""
