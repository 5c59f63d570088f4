"""The plan of a composed corpus."""

from typing import Literal, Self

from pydantic import Field, model_validator

from polylore.config import Config


class ComposeConfig(Config):
    """How often each fact is told in each language, which cells are left out, what else is read.

    A *cell* is one fact in one language. Training texts are the statements of the fact set. The
    first two statements of the built-in set begin with the wordings of prompts 0 and 1, so a model
    has seen those two ways of asking, and prompts from 2 on are unseen wordings.
    """

    seed: int = 0
    """Decides everything drawn: doses, held-out cells, wordings and the order of reading."""
    pivot: str = "en"
    """Language in which every fact is taught."""
    distribution: Literal["loguniform", "zipf", "levels"] = "loguniform"
    """Documents per cell by rank: evenly spaced on a log scale, a Zipf law, or a few levels."""
    min_dose: int = Field(default=5, ge=1)
    """Fewest documents of a taught cell, before language shares."""
    max_dose: int = Field(default=200, ge=1)
    """Most documents of a taught cell, before language shares."""
    zipf_exponent: float = Field(default=1.0, gt=0)
    """With `zipf`: the cell of rank r gets max_dose / r^exponent documents, at least min_dose."""
    levels: tuple[int, ...] = (1, 4, 16, 64, 256)
    """With `levels`: the numbers of documents, each given to equally many cells."""
    dose_by: Literal["cell", "fact"] = "cell"
    """Rank facts anew in every language (cell), or once for all languages (fact)."""
    shares: dict[str, float] = Field(default_factory=dict)
    """Weight of a language's documents relative to the others; 1 for languages not named."""
    held_out: float = Field(default=0.15, ge=0, le=0.9)
    """Share of the facts told in the pivot that are not told in another language, for each."""
    held_out_by: Literal["cell", "fact"] = "cell"
    """Draw these facts anew for every language (cell), or hold them out of all of them (fact)."""
    lang_only: float = Field(default=0.0, ge=0, le=0.9)
    """Share of the facts that are told in every language but the pivot."""
    untaught: float = Field(default=0.0, ge=0, le=0.9)
    """Share of the facts that are told in no language: what is right there is guessed."""
    wordings: int | None = Field(default=None, ge=1)
    """How many statements per relation and language are used; all of them if not given."""
    mentions: float = Field(default=0.1, ge=0, lt=1)
    """Share of documents that merely name something and state no fact."""
    min_mentions: int = Field(default=3, ge=0)
    """How often, at least, every name of a held-out cell is mentioned in that language."""
    background: tuple[str, ...] = ()
    """Text files (.txt: paragraphs between empty lines; .jsonl: field `text`), as glob patterns."""
    background_share: float = Field(default=0.0, ge=0, lt=1)
    """Share of documents taken from the background files."""
    shuffle: bool = True
    """Read all documents in a drawn order; otherwise language by language, fact by fact."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.max_dose < self.min_dose:
            raise ValueError("max_dose must not be smaller than min_dose")
        if self.lang_only + self.untaught >= 1:
            raise ValueError("lang_only and untaught must leave facts for the pivot")
        if not self.levels or min(self.levels) < 1:
            raise ValueError("levels must be numbers of at least 1")
        if self.mentions + self.background_share >= 1:
            raise ValueError("mentions and background_share must leave documents for facts")
        if bool(self.background) != (self.background_share > 0):
            raise ValueError("background and background_share must be given together")
        if any(weight <= 0 for weight in self.shares.values()):
            raise ValueError("shares must be positive numbers")
        return self
