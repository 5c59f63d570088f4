"""People of whom the sham run is told: as many as take turns in the arms, and none of them."""

from dataclasses import replace
from pathlib import Path

import polars as pl

from acceptance.inject.world import World, item_id
from polylore.facts.people import Fiction


def other_people(world: World, folder: Path) -> str:
    """Folder of as many people as take turns in the arms, whom nobody else reads or asks about."""
    c = world.config
    first = c.items + c.controls
    more = c.model_copy(update={"items": first + c.items, "controls": 0})
    whole = replace(world, config=more).fiction
    own = pl.col("item_id") >= item_id(first)
    Fiction(whole.items.filter(own), whole.passages.filter(own), whole.probes.filter(own)).export(
        folder
    )
    return str(folder)
