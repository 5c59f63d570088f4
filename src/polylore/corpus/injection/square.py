"""Latin squares: which item is in which condition, so that items and conditions come apart."""

from collections.abc import Sequence

import polars as pl

from polylore.corpus.draw import number, ordered
from polylore.corpus.injection.arms import NEVER
from polylore.errors import ConfigError
from polylore.tables.inject import ARMS

Condition = tuple[str, str]
"""Name of an arm, and the language its passages are in."""


def latin_square(
    items: Sequence[str],
    conditions: Sequence[Condition],
    run: int,
    *,
    seed: int = 0,
    controls: Sequence[str] = (),
) -> pl.DataFrame:
    """Conditions of the items in one run; over as many runs as conditions, every item is in each.

    Args:
        items: items that take turns.
        conditions: arms with their languages; each gets equally many items, or one more.
        run: number of the run (0, 1, ...): it turns the square by one place.
        seed: decides which items go together; the same for all runs of a study.
        controls: items that are never injected in any run.

    Returns:
        Table ARMS (without intervals).

    Raises:
        ConfigError: a condition or an item occurs twice, or there are fewer items than conditions.
    """
    if len(set(conditions)) != len(conditions) or not conditions:
        raise ConfigError("A Latin square needs conditions that differ from each other.")
    if len({*items, *controls}) != len(items) + len(controls):
        raise ConfigError("A Latin square needs items that differ from each other.")
    if len(items) < len(conditions):
        raise ConfigError(
            f"{len(items)} items cannot be shared by {len(conditions)} conditions; make more items."
        )
    turn = number(seed, "turn") + run
    rows = []
    for place, item in enumerate(ordered(items, seed, "square")):
        arm, lang = conditions[(place + turn) % len(conditions)]
        rows.append({"item_id": item, "arm": arm, "inject_lang": "none" if arm == NEVER else lang})
    rows += [{"item_id": item, "arm": NEVER, "inject_lang": "none"} for item in controls]
    return ARMS.build(sorted(rows, key=lambda row: row["item_id"]))
