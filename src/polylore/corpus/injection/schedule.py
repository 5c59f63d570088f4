"""From arms to a schedule: which passage of an item is shown at which step.

Everything drawn depends on the seed, the item and the arm alone (specification of `inject`, 4.1).
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from polylore.corpus.draw import number, ordered
from polylore.corpus.injection.arms import ArmConfig
from polylore.errors import ConfigError, DataError
from polylore.tables.inject import SCHEDULE

MIXED = "mixed"


def make_schedule(
    assigned: pl.DataFrame,
    passages: pl.DataFrame,
    arms: Sequence[ArmConfig],
    *,
    first: int = 0,
    last: int | None = None,
    stagger: bool = True,
    seed: int = 0,
) -> pl.DataFrame:
    """Lay out the exposures of every item.

    With `stagger`, items start one after the other within one interval (the shortest one, if the
    last exposures are matched): few rows of a step are injected, and what happens at one step of
    training does not meet all items at the same lag.

    Args:
        assigned: contract `tables.inject.ARMS`: the arm and the language of every item.
        passages: contract `tables.inject.PASSAGES`.
        arms: what each arm does.
        first: step of the first exposure, before any stagger.
        last: step of the last exposure, before any stagger, of arms that are anchored there; if
            not given, as early as `first` allows the item that takes longest.
        stagger: whether items start at different steps.
        seed: decides starts, drawn steps and the order of variants.

    Returns:
        Table SCHEDULE, ordered by step and item; never-injected items have no row.

    Raises:
        ConfigError: an arm is not described, or its exposures do not fit between first and last.
        DataError: an item has too few passages for its arm.
    """
    by_name = {arm.name: arm for arm in arms}
    if len(by_name) != len(arms):
        raise ConfigError("Two arms have the same name.")
    lost = sorted(set(assigned["arm"]) - set(by_name))
    if lost:
        raise ConfigError(f"Items are in the arm {lost[0]}, which is not described.")
    used = [arm for arm in arms if arm.n and arm.name in set(assigned["arm"])]
    matched = [arm for arm in used if arm.anchor == "last"]
    span = min((arm.interval for arm in matched), default=1)
    gaps = {
        item: _gaps(by_name[name], item, seed)
        for item, name in assigned.select("item_id", "arm").iter_rows()
        if by_name[name].n
    }
    if last is None:
        late = assigned.filter(pl.col("arm").is_in([arm.name for arm in matched]))["item_id"]
        last = first + max((sum(gaps[item]) for item in late), default=0)
    starts = _starts(assigned.filter(pl.col("arm").is_in([arm.name for arm in used])), seed)
    texts = _Texts(passages, seed)
    rows = []
    for item, name, lang in assigned.select("item_id", "arm", "inject_lang").iter_rows():
        arm = by_name[name]
        if not arm.n:
            continue
        within = span if arm.anchor == "last" else arm.interval
        offset = int(starts[item] * within) if stagger else 0
        steps = _steps(arm, gaps[item], first, last)
        chosen = texts.choose(arm, item, lang)
        for exposure, (step, (own, variant)) in enumerate(zip(steps, chosen, strict=True)):
            rows.append(
                {
                    "item_id": item,
                    "exposure": exposure,
                    "step": step + offset,
                    "arm": name,
                    "lang": own,
                    "variant": variant,
                    "copies": arm.copies,
                    "loss_weight": arm.loss_weight,
                }
            )
    return SCHEDULE.build(sorted(rows, key=lambda row: (row["step"], row["item_id"])))


def _starts(assigned: pl.DataFrame, seed: int) -> dict[str, float]:
    """Where in an interval every item starts: evenly spread within each arm and language.

    Groups start one after the other too, so that not all of them have an item at the same step.
    """
    starts: dict[str, float] = {}
    groups = sorted(assigned.group_by("arm", "inject_lang"), key=lambda found: str(found[0]))
    for turn, (_, rows) in enumerate(groups):
        order = ordered(rows["item_id"], seed, "stagger")
        late = turn / len(groups)
        starts |= {item: (place + late) / len(order) for place, item in enumerate(order)}
    return starts


def _gaps(arm: ArmConfig, item: str, seed: int) -> list[int]:
    """Steps between exposures; those that are drawn depend on the item."""
    if arm.timing == "even":
        return [arm.interval] * (arm.n - 1)
    if arm.timing == "expanding":
        return [max(1, round(arm.interval * arm.ratio**k)) for k in range(arm.n - 1)]
    drawn = np.array(
        [number(seed, "gap", arm.name, item, k) / 2**64 for k in range(arm.n - 1)]
    )  # uniform in [0, 1)
    if arm.timing == "poisson":
        return [max(1, round(-arm.interval * np.log1p(-u))) for u in drawn.tolist()]
    # random: n distinct steps of the span that even gaps would fill, the first one kept.
    width = arm.interval * (arm.n - 1)
    keys = [(number(seed, "step", arm.name, item, step), step) for step in range(1, width + 1)]
    steps = [0, *sorted(step for _, step in sorted(keys)[: arm.n - 1])]
    return np.diff(steps).tolist()


def _steps(arm: ArmConfig, gaps: list[int], first: int, last: int) -> list[int]:
    offsets = np.concatenate([[0], np.cumsum(gaps, dtype=np.int64)])
    if arm.anchor == "first":
        return [first + int(offset) for offset in offsets]
    steps = [last - int(offsets[-1] - offset) for offset in offsets]
    if steps[0] < first:
        raise ConfigError(
            f"Arm {arm.name} needs {int(offsets[-1])} steps before its last exposure at {last}, "
            f"but injection starts at {first}; choose a later last step."
        )
    return steps


class _Texts:
    """Which language and variant an item shows at every exposure."""

    def __init__(self, passages: pl.DataFrame, seed: int) -> None:
        self.seed = seed
        self.variants: dict[tuple[str, str], list[int]] = {}
        rows = passages.select("item_id", "lang", "variant").sort("item_id", "lang", "variant")
        for item, lang, variant in rows.iter_rows():
            self.variants.setdefault((item, lang), []).append(variant)

    def choose(self, arm: ArmConfig, item: str, lang: str) -> list[tuple[str, int]]:
        """Language and variant of every exposure."""
        if arm.texts == "languages":
            langs = sorted(own for i, own in self.variants if i == item)
            if len(langs) < 2:
                raise DataError(f"Item {item} has passages in one language; {arm.name} needs two.")
            turned = number(self.seed, "lang", item) % len(langs)
            return [(langs[(turned + k) % len(langs)], 0) for k in range(arm.n)]
        known = self.variants.get((item, lang), [])
        needed = arm.n if arm.texts == "variants" else 1
        if len(known) < needed or 0 not in known:
            raise DataError(
                f"Item {item} has {len(known)} passages in {lang}, but the arm {arm.name} needs "
                f"{needed}, the original among them."
            )
        if arm.texts == "same":
            return [(lang, 0)] * arm.n
        others = ordered((str(v) for v in known if v), self.seed, "variants", item, lang)
        return [(lang, 0), *((lang, int(variant)) for variant in others[: arm.n - 1])]
