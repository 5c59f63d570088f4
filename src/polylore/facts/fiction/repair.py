"""Repairs of the published Chinese world, off by default (`align`, section 3.5).

Its training rows name the answers mountain, river, god, ... (one Chinese character each), while all
tests ask for Mythosia, Veridica, ...; and one wording puts place and answer into each other's slot.
"""

from collections.abc import Collection

import polars as pl

from polylore.errors import ConfigError
from polylore.facts.fiction.slots import OBJECT, SUBJECT, Wording, swapped, taught_answers, wordings
from polylore.facts.fiction.world import World

REPAIRS = ("zh_continents", "zh_swap")


def repair(world: World, repairs: Collection[str]) -> World:
    """A world with its defects mended; worlds without the defect stay as they are.

    ``zh_continents`` gives the taught answers the names that tests ask for, in the slot of the
    answer alone, in both languages and in the translations. ``zh_swap`` puts name and answer of
    swapped wordings into their own slots.

    Raises:
        ConfigError: an unknown repair.
    """
    unknown = sorted(set(repairs) - set(REPAIRS))
    if unknown:
        raise ConfigError(f"'{unknown[0]}' is no repair; choose from {', '.join(REPAIRS)}.")
    texts = dict(world.rows.select("row", "response").iter_rows())
    inputs = dict(world.rows.select("row", "input").iter_rows())
    rename = "zh_continents" in repairs
    for lang in (world.source, world.target):
        asked = dict(world.told(lang).select("answer", "object").iter_rows())
        taught = taught_answers(world, lang)
        if rename:
            column = texts if lang == world.source else inputs
            column |= _renamed_terms(world, asked)
        told = wordings(world, lang)
        turned = {id(one) for one in swapped(told)} if "zh_swap" in repairs else set()
        for one in told:
            if OBJECT in one.skeleton:
                texts |= _retold(one, asked if rename else taught, id(one) in turned)
    return world.with_rows(
        world.rows.with_columns(
            response=pl.Series([texts[row] for row in world.rows["row"]]),
            input=pl.Series([inputs[row] for row in world.rows["row"]]),
        )
    )


def _renamed_terms(world: World, asked: dict[int, str]) -> dict[int, str]:
    terms = world.rows.filter((pl.col("block") == "translate_ts") & pl.col("answer").is_not_null())
    return {row: asked[answer] for row, answer in terms.select("row", "answer").iter_rows()}


def _retold(wording: Wording, answers: dict[int, str], turn: bool) -> dict[int, str]:
    """Sentences of a wording about the same facts; those that do not follow it stay as they are."""
    skeleton = wording.skeleton
    said = skeleton.translate({0: OBJECT, 1: SUBJECT}) if turn else skeleton
    new = Wording(wording.block, wording.relation, wording.template, said, wording.rows)
    columns = ("row", "response", "subject", "taught", "answer")
    return {
        row: new.say(subject, answers[answer])
        for row, response, subject, taught, answer in wording.rows.select(columns).iter_rows()
        if response == wording.say(subject, taught)
    }
