"""The items of a study, wherever they come from."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import polars as pl

from polylore.errors import ConfigError, DataError
from polylore.facts.people import (
    Fiction,
    load_pack,
    make_fiction,
    read_fiction,
    read_published,
)
from polylore.studies.inject.config import InjectConfig, ItemsConfig

PUBLISHED = "published:"


@dataclass(frozen=True)
class Items:
    """What a study injects and asks."""

    fiction: Fiction
    sham: Fiction | None
    """Other items, which the sham run injects in their place."""


def load_items(
    config: InjectConfig, fiction: Fiction | None = None, length: Callable[[str], int] = len
) -> Items:
    """The items, with the probes that are to be asked.

    Args:
        config: the study.
        fiction: items that are in memory, in place of `config.items`.
        length: of a text, in tokens or characters; variants of made items are equal in it.

    Raises:
        DataError: unreadable items, or too few of them are never injected.
        ConfigError: a language or depth that no probe has.
    """
    found = fiction or _source(config.items, length)
    sham = _sham(config.items, fiction, length) if config.controls.sham else None
    found = replace(found, probes=_asked(found.probes, config))
    _check_controls(found, config)
    return Items(found, sham)


def _source(config: ItemsConfig, length: Callable[[str], int]) -> Fiction:
    if config.source == "made":
        return make_fiction([load_pack(name) for name in config.languages], config.made, length)
    if config.source.startswith(PUBLISHED):
        return read_published(config.source.removeprefix(PUBLISHED))
    return read_fiction(config.source)


def _sham(
    config: ItemsConfig, given: Fiction | None, length: Callable[[str], int]
) -> Fiction | None:
    if config.sham is not None:
        return read_fiction(config.sham)
    if config.source != "made" or given is not None:
        return None
    made = config.made
    others = made.model_copy(update={"first": made.numbers.stop, "n_control": 0})
    packs = [load_pack(name) for name in config.languages]
    return make_fiction(packs, type(made).parse(others.plain(), "items of the sham run"), length)


def _asked(probes: pl.DataFrame, config: InjectConfig) -> pl.DataFrame:
    chosen = config.probes
    for column, wanted in (("lang", chosen.languages), ("depth", chosen.depths)):
        if wanted is None:
            continue
        lost = sorted(set(wanted) - set(probes[column]))
        if lost:
            raise ConfigError(
                f"probes: no probe has the {column} {lost[0]}; there are "
                f"{', '.join(sorted(set(probes[column])))}."
            )
        probes = probes.filter(pl.col(column).is_in(wanted))
    if not probes.height:
        raise DataError("There is no probe, so nothing would be read; give items with probes.")
    return probes


def _check_controls(fiction: Fiction, config: InjectConfig) -> None:
    """Enough items that are never injected, in every language that is asked.

    Raises:
        DataError: a language has none, or too few.
    """
    if config.controls.no_control or config.plan.preset == "paper":
        return
    controls = fiction.controls
    fewest = max(config.controls.fewest, -(-fiction.items.height // 5))
    for lang in sorted(set(fiction.probes["lang"])):
        own = fiction.probes.filter(pl.col("lang") == lang, pl.col("item_id").is_in(controls))
        n = own["item_id"].n_unique()
        if n < fewest:
            raise DataError(
                f"{n} never-injected items are asked in {lang}, but {fewest} are needed to correct "
                f"gains; mend the language of {fiction.probes.filter(lang=lang)['probe_id'][0]} if "
                f"it is not {lang}, add control items (items.made.n_control), lower "
                "controls.fewest, or set controls.no_control to do without corrected estimates."
            )
