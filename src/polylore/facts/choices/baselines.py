"""What answering without knowledge would reach (specification of `align`, section 3.8)."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import polars as pl

from polylore.tables import align_lint

_YEAR = re.compile(r"\s*(\d+)\s*(BC)?\s*")


def baselines(questions: pl.DataFrame) -> pl.DataFrame:
    """Accuracy of guessing, of the most frequent letter, of overlap and of order.

    Args:
        questions: table ALIGN_QUESTIONS.

    Returns:
        Table ALIGN_BASELINES; order baselines only where all options are numbers or years.
    """
    made = []
    keys = ["dataset", "lang"]
    for (dataset, lang), group in questions.group_by(keys, maintain_order=True):
        rows = group.to_dicts()
        scores = {
            "chance": sum(1 / len(row["options"]) for row in rows),
            "position": max(Counter(row["gold_index"] for row in rows).values()),
            "overlap": sum(map(overlap_score, rows)),
        }
        ranks = gold_ranks(group)
        if ranks is not None:
            scores["smallest"], scores["largest"] = ranks[0], ranks[-1]
        made += [
            {"dataset": dataset, "lang": lang, "baseline": name, "n": len(rows),
             "acc": 100 * score / len(rows)}
            for name, score in scores.items()
        ]  # fmt: skip
    return align_lint.BASELINES.build(made)


def overlap_score(row: dict[str, Any]) -> float:
    """Chance to be right when guessing among the options most like the question (lower case)."""
    question = row["question"].lower()
    shared = [longest_common(option.lower(), question) for option in row["options"]]
    best = [at for at, length in enumerate(shared) if length == max(shared)]
    return 1 / len(best) if row["gold_index"] in best else 0.0


def longest_common(short: str, text: str) -> int:
    """Length of the longest common substring."""
    best = start = 0
    while start + best < len(short):
        if short[start : start + best + 1] in text:
            best += 1
        else:
            start += 1
    return best


def gold_ranks(questions: pl.DataFrame) -> list[int] | None:
    """How often the gold is the smallest, ..., largest option; None unless all are numbers.

    Args:
        questions: rows of one set and language with the same number of options.
    """
    counts: list[int] = []
    for options, gold in questions.select("options", "gold_index").iter_rows():
        values = _numbers(options)
        if values is None:
            return None
        counts = counts or [0] * len(values)
        counts[sorted(values).index(values[gold])] += 1
    return counts


def _numbers(options: Sequence[str]) -> list[int] | None:
    found = [_YEAR.fullmatch(option) for option in options]
    if any(match is None for match in found):
        return None
    return [-int(m[1]) if m[2] else int(m[1]) for m in found if m is not None]
