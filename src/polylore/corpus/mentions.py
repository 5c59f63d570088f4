"""Documents that merely name something: who is mentioned how often in which language.

Without them a name of a held-out cell might never occur in that language, and no transfer could
show (specification of `trace`, section 4.8).
"""

from typing import TYPE_CHECKING

import polars as pl

from polylore.corpus.config import ComposeConfig
from polylore.corpus.draw import ordered
from polylore.corpus.expressed import Finder
from polylore.corpus.wordings import mention_wordings
from polylore.errors import ConfigError

if TYPE_CHECKING:
    from polylore.facts.factset import FactSet

MENTIONS = {"lang": pl.String(), "name": pl.String(), "count": pl.Int64()}
"""Schema of the plan of mentions."""


def mention_table(factset: "FactSet", config: ComposeConfig, design: pl.DataFrame) -> pl.DataFrame:
    """How often every name is mentioned in every language.

    The documents of a language that are mentions are spread evenly over all its names, so that a
    mention does not tell taught from held out; names of held-out cells get `min_mentions` first.

    Raises:
        ConfigError: the share of mentions is too small for that.
    """
    rows: list[tuple[str, str, int]] = []
    per_fact = config.mentions / (1 - config.mentions - config.background_share)
    for lang in factset.languages:
        facts = factset.facts.filter(pl.col("lang") == lang)
        cells = facts.join(design, on=("fact_id", "lang"), maintain_order="left")
        taught = int(cells["dose"].sum())
        budget = round(taught * per_fact)
        held = cells.filter(pl.col("dose") == 0)
        required = dict.fromkeys([*held["subject"], *held["object"]])
        names = _nameable(factset, facts, lang)
        first = ordered((n for n in names if n in required), config.seed, "mention", lang)
        rest = ordered((n for n in names if n not in required), config.seed, "mention", lang)
        if len(first) < len(required) and config.min_mentions:
            lost = next(name for name in required if name not in names)
            raise ConfigError(
                f"The name {lost!r} of a held-out cell in {lang} cannot be mentioned without "
                "stating a fact, so min_mentions cannot be met; set min_mentions to 0 or choose "
                "another seed."
            )
        if budget < config.min_mentions * len(first):
            raise ConfigError(
                f"mentions = {config.mentions} gives {budget} mentions in {lang}, but the "
                f"{len(first)} names of its held-out cells need {config.min_mentions} each; raise "
                "mentions, or lower min_mentions or held_out."
            )
        rows += [(lang, name, n) for name, n in _spread(first, rest, budget, config).items() if n]
    return pl.DataFrame(rows, schema=MENTIONS, orient="row")


def _nameable(factset: "FactSet", facts: pl.DataFrame, lang: str) -> dict[str, None]:
    """Names whose mention expresses no fact of the language."""
    names = list(dict.fromkeys([*facts["subject"], *facts["object"]]))
    finder, bad = Finder(facts, lang), set()
    for wording in mention_wordings(factset, lang):
        found = finder([wording.fill(name=name) for name in names])
        bad |= {name for name, facts_found in zip(names, found, strict=True) if facts_found}
    return dict.fromkeys(name for name in names if name not in bad)


def _spread(
    first: list[str], rest: list[str], budget: int, config: ComposeConfig
) -> dict[str, int]:
    """Even counts over all names, except that `first` never falls below the minimum."""
    names = [*first, *rest]
    if not names:
        return {}
    low, extra = divmod(budget, len(names))
    if low >= config.min_mentions or not rest:
        return {name: low + (i < extra) for i, name in enumerate(names)}
    left = budget - config.min_mentions * len(first)
    low, extra = divmod(left, len(rest))
    if low > config.min_mentions:
        low, extra = config.min_mentions, 0
    counts = {name: low + (i < extra) for i, name in enumerate(rest)}
    return dict.fromkeys(first, config.min_mentions) | counts
