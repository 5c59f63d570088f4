"""Was what was taught learned? (specification of `align`, section 2.7)"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import polars as pl

from polylore.metrics.align.hops import Book, books
from polylore.metrics.align.performance import wilson
from polylore.tables.fiction import GATES, RUN_KEY

THRESHOLD = 0.9
COMPONENTS = ("source_0", "source_1", "target_0", "target_1", "translate_ts", "translate_st")
"""What can be asked: facts of a type in a language, and translations in a direction."""
TRAINED = ("source_0", "source_1", "target_0", "translate_ts")
"""What the published design trains."""
PAPER = ("source_0", "source_1", "target_0", "translate_st")
"""What the published gate tests: the translation that is not trained."""


def gates(
    answers: pl.DataFrame,
    facts: pl.DataFrame,
    *,
    trained: Mapping[str, Collection[str]] | None = None,
    threshold: float = THRESHOLD,
) -> pl.DataFrame:
    """Share right of every component of every run, by the default scoring.

    Args:
        answers: table FICTION_ANSWERS.
        facts: table FICTION_FACTS.
        trained: components that each run_id trained; by default those of the published design.
        threshold: share from which on a component passes.

    Returns:
        Table ALIGN_GATES.
    """
    find = books(facts)
    rows = []
    for key, group in answers.group_by(RUN_KEY, maintain_order=True):
        run: dict[str, Any] = dict(zip(RUN_KEY, key, strict=True))
        own = (trained or {}).get(str(run["run_id"]), TRAINED)
        for name, hits in _components(group, find(run["source"], run["target"])).items():
            value = sum(hits) / len(hits) if hits else None
            ends = wilson(np.array([sum(hits)]), np.array([len(hits)])) if hits else ()
            lo, hi = (float(end[0]) for end in ends) if ends else (None, None)
            rows.append(
                run
                | {
                    "component": name,
                    "n": len(hits),
                    "value": value,
                    "lo": lo,
                    "hi": hi,
                    "threshold": threshold,
                    "passed": None if value is None else value >= threshold,
                    "trained": name in own,
                }
            )
    return GATES.build(rows)


def _components(answers: pl.DataFrame, book: Book) -> dict[str, list[bool]]:
    book.check(answers)
    hits: dict[str, list[bool]] = {name: [] for name in COMPONENTS}
    for row in answers.iter_rows(named=True):
        probe, lang = row["probe"], row["lang"]
        if probe == "fact":
            side = {book.source: "source", book.target: "target"}.get(lang)
            name = f"{side}_{book.types.get(row['fact_id'])}"
            if name in hits:
                hits[name].append(
                    book.fact(row["fact_id"], lang, row["raw_output"], "default").right
                )
        elif probe in hits:
            to = book.source if probe == "translate_ts" else book.target
            own = (row["fact_id"], row["answer"], row["raw_output"])
            hits[probe].append(book.translated(*own, to))
    return hits


def passed(
    table: pl.DataFrame, run: Mapping[str, Any], trained: Collection[str]
) -> dict[str, bool | None]:
    """gate_pass and gate_paper of one run: null where a component was not asked.

    Null, too, where nothing was trained. What was trained but is no component of the gate (facts of
    type 1 in the target) does not count.
    """
    rows = table
    for name in RUN_KEY:
        rows = rows.filter(pl.col(name) == run[name])
    by_name = dict(rows.select("component", "passed").iter_rows())

    def judge(names: Collection[str]) -> bool | None:
        found = [by_name.get(name) for name in names]
        return None if None in found or not found else all(found)

    wanted = [name for name in COMPONENTS if name in trained]
    return {"gate_pass": judge(wanted), "gate_paper": judge(PAPER)}
