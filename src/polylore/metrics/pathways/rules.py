"""The choices that pathways depend on, with their specified defaults."""

from dataclasses import dataclass
from typing import Literal

from polylore.errors import ConfigError

Donors = Literal["pivot", "all"]
CurveForm = Literal["relation", "pooled"]


@dataclass(frozen=True)
class PathwayRules:
    """Specification of `trace`, section 2.5."""

    pivot: str
    """Language that facts may come from, and whose strings are compared."""
    donors: Donors = "pivot"
    """Languages that a fact may come from: the pivot, or every other language."""
    curve: CurveForm = "relation"
    """Whether the no-donor curve has an effect per relation, or one curve serves all."""
    sustained: int = 3
    """Right answers in a row that make knowledge of a donor last."""
    string_level: bool = True
    """Whether counts mix languages, or let subject and object overlap: a shared string then
    explains a right answer before exposure does."""
    guess: float = 0.5
    """Guess strength from which a right answer is labelled a guess."""
    frequency: float = 0.5
    """Probability without a donor from which a right answer is labelled known by frequency."""
    similar: float = 1.0
    """Similarity to the pivot's object from which an answer counts as a shared string."""

    def donors_of(self, langs: tuple[str, ...]) -> list[list[int]]:
        """Positions of each language's donors; the pivot has none.

        Raises:
            ConfigError: the pivot is not among the languages.
        """
        if self.pivot not in langs:
            raise ConfigError(
                f"Pathways need the pivot language '{self.pivot}', which was not asked (only "
                f"{', '.join(langs)}); name another pivot."
            )
        every = range(len(langs))
        home = langs.index(self.pivot)
        pool = [home] if self.donors == "pivot" else list(every)
        return [[] if at == home else [d for d in pool if d != at] for at in every]
