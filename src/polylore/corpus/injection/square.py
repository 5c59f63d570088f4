"""Latin squares: which item is in which condition, so that items and conditions come apart."""

from collections.abc import Collection, Hashable, Sequence
from math import lcm

import polars as pl

from polylore.corpus.draw import number, ordered
from polylore.corpus.injection.arms import NEVER
from polylore.corpus.injection.schedule import MIXED
from polylore.errors import ConfigError
from polylore.tables.inject import ARMS

Condition = tuple[str, str]
"""Name of an arm, and the language its passages are in."""


def crossed(
    arms: Sequence[str], langs: Sequence[str], mixed: Collection[str] = ()
) -> list[Condition]:
    """Arms times languages, in an order in which few runs already cross items with both.

    An item meets conditions that follow each other here, one in each run (`latin_square`). Arm and
    language both advance at every place; where that comes back to a pair before all were there, the
    language stays once. So `len(arms)` places in a row, wherever they begin, hold every arm; if the
    numbers of arms and languages are coprime `len(langs)` hold every language, otherwise less than
    twice as many do; the whole holds every pair.

    Args:
        arms: names of the arms that inject.
        langs: languages of injection.
        mixed: those of the arms that tell an item in all languages. They take as many places as
            other arms, so that all arms have equally many items and take turns alike.

    Raises:
        ConfigError: an arm or a language occurs twice, or there is none.
    """
    if not arms or not langs or len(set(arms)) < len(arms) or len(set(langs)) < len(langs):
        raise ConfigError(
            "Items take turns in arms and languages of injection: name at least one of each, and "
            "none twice (arms, plan.languages)."
        )
    cycle = lcm(len(arms), len(langs))
    found = []
    for place in range(len(arms) * len(langs)):
        arm, lang = arms[place % len(arms)], langs[(place - place // cycle) % len(langs)]
        found.append((arm, MIXED if arm in mixed else lang))
    return found


def runs_to_meet(places: Sequence[Hashable]) -> int:
    """Runs after which every item has met all that the places of a square hold.

    Args:
        places: what stands at each place: `crossed` itself, or the arms of it alone.
    """
    last: dict[Hashable, int] = {}
    longest = 0
    for place, held in enumerate([*places, *places]):  # items begin anywhere, and go round
        longest = max(longest, place - last.get(held, place))
        last[held] = place
    return longest


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
        conditions: arms with their languages, such as `crossed` orders them; each gets equally
            many items, or one more, and one that stands there twice gets twice as many.
        run: number of the run (0, 1, ...): it turns the square by one place.
        seed: decides which items go together; the same for all runs of a study.
        controls: items that are never injected in any run.

    Returns:
        Table ARMS (without intervals).

    Raises:
        ConfigError: there is no condition, an item occurs twice, or there are fewer items than
            conditions.
    """
    if not conditions:
        raise ConfigError("A Latin square needs conditions; there is none.")
    if len({*items, *controls}) != len(items) + len(controls):
        raise ConfigError("A Latin square needs items that differ from each other.")
    if len(items) < len(conditions):
        raise ConfigError(
            f"{len(items)} items cannot be shared by {len(conditions)} conditions (arms times "
            "languages); make more items."
        )
    turn = number(seed, "turn") + run
    rows = []
    for place, item in enumerate(ordered(items, seed, "square")):
        arm, lang = conditions[(place + turn) % len(conditions)]
        rows.append({"item_id": item, "arm": arm, "inject_lang": "none" if arm == NEVER else lang})
    rows += [{"item_id": item, "arm": NEVER, "inject_lang": "none"} for item in controls]
    return ARMS.build(sorted(rows, key=lambda row: row["item_id"]))
