"""A fact list as compact JSON: one short string per fact and language for its whole history.

Per fact and language the history is a string of `1` right, `0` wrong, `-` not asked, one character
per checkpoint; exposures are written as differences between checkpoints, zeros left out
(`3,,,12` is 3, 3, 3, 15). The page expands a fact only when it is opened.
"""

from typing import Any

import polars as pl

from polylore.report.model import FactList

CHECKPOINT_LIMIT = 24
"""Columns of the history that fit a reader's eye; more are thinned out evenly."""
ANSWER_LIMIT = 120
"""Characters of an answer kept in the page."""


def thinned(
    checkpoints: tuple[tuple[str, str], ...], limit: int = CHECKPOINT_LIMIT
) -> list[tuple[str, str]]:
    """At most `limit` checkpoints, evenly spread, always with the first and the last."""
    n = len(checkpoints)
    if n <= limit:
        return list(checkpoints)
    return [checkpoints[round(i * (n - 1) / (limit - 1))] for i in range(limit)]


def fact_values(block: FactList) -> dict[str, Any]:
    """What the page's script needs to show the list."""
    shown = thinned(block.checkpoints)
    relations = block.facts["relation"].unique(maintain_order=True).to_list()
    strings = _by_cell(block.facts, ["subject", "object"])
    answers = _by_cell(block.answers, ["answer"]) if block.answers.height else {}
    history = _histories(block.history, [ckpt for ckpt, _ in shown])
    rows = []
    ids = block.facts.select("fact_id", "relation").unique("fact_id", maintain_order=True)
    for fact_id, relation in ids.iter_rows():
        cells = [(fact_id, lang) for lang in block.languages]
        found = [strings.get(cell, (None, None)) for cell in cells]
        rows.append(
            {
                "id": fact_id,
                "r": relations.index(relation),
                "s": [subject for subject, _ in found],
                "o": [object_ for _, object_ in found],
                "h": [history.get(cell, (None, None))[0] for cell in cells],
                "e": [history.get(cell, (None, None))[1] for cell in cells],
                "a": [_short(answers.get(cell, (None,))[0]) for cell in cells],
            }
        )
    return {
        "languages": list(block.languages),
        "checkpoints": [label for _, label in shown],
        "all_checkpoints": len(block.checkpoints),
        "relations": relations,
        "facts": rows,
    }


def _by_cell(frame: pl.DataFrame, names: list[str]) -> dict[tuple[str, str], tuple[Any, ...]]:
    rows = frame.select("fact_id", "lang", *names).iter_rows()
    return {(row[0], row[1]): row[2:] for row in rows}


def _histories(
    history: pl.DataFrame, checkpoints: list[str]
) -> dict[tuple[str, str], tuple[str, str | None]]:
    place = {ckpt: i for i, ckpt in enumerate(checkpoints)}
    marks: dict[tuple[str, str], list[str]] = {}
    seen: dict[tuple[str, str], list[int | None]] = {}
    kept = history.filter(pl.col("ckpt_id").is_in(checkpoints))
    for fact_id, lang, ckpt, y, exposure in kept.select(
        "fact_id", "lang", "ckpt_id", "y", "exposure"
    ).iter_rows():
        cell = (fact_id, lang)
        marks.setdefault(cell, ["-"] * len(checkpoints))[place[ckpt]] = (
            "-" if y is None else "1" if y else "0"
        )
        seen.setdefault(cell, [None] * len(checkpoints))[place[ckpt]] = exposure
    return {cell: ("".join(marks[cell]), _differences(seen[cell])) for cell in marks}


def _differences(counts: list[int | None]) -> str | None:
    if any(count is None for count in counts):
        return None
    steps = [b - a for a, b in zip([0, *counts[:-1]], counts, strict=True)]  # type: ignore[operator]
    return ",".join(str(step) if step else "" for step in steps)


def _short(text: str | None) -> str | None:
    if text is None:
        return None
    flat = " ".join(text.split())
    return flat if len(flat) <= ANSWER_LIMIT else flat[: ANSWER_LIMIT - 1] + "…"
