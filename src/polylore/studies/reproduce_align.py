"""Recompute the published summary of `align` (specification, section 3.3) from raw outputs.

Every model in the file is scored, whatever its name. Values are rounded as the published ones are.
"""

from pathlib import Path
from typing import Any

import numpy as np

from polylore.facts.choices.known import LANGUAGES, PIVOT, SETS
from polylore.facts.choices.outputs import read_outputs
from polylore.files import write_json
from polylore.metrics.align.layout import Layout, layouts, once
from polylore.metrics.align.overlap import Counts
from polylore.metrics.align.parsed import parse_answers
from polylore.metrics.align.performance import letters
from polylore.tables.align import SYSTEM_KEY

MEAN = "_mean_non_en"
AVERAGED = ("acc", "ra", "acc_robust", "co_iou", "co_given_en", "xltr")
CONSISTENCY = {
    "co_iou": "co_iou",
    "co_given_en": "co_given_p",
    "co_given_l": "co_given_l",
    "xltr": "xltr",
    "co_iou_independent": "co_indep",
}
"""Published name of each form of consistency, and ours."""
FIELDS = (
    "n", "acc", "ra", "acc_robust", *CONSISTENCY, "top_letter", "top_share", "unparsed",
)  # fmt: skip

Cell = dict[str, Any]


def reproduce_align(predictions: str | Path, out: str | Path) -> tuple[dict[str, Any], list[str]]:
    """Write model -> set -> language -> published fields.

    Args:
        predictions: file of outputs (Parquet, CSV or JSON Lines; columns of `read_outputs`).
        out: JSON file to write.

    Returns:
        What was written, and one sentence per cell that was left out because rows are missing.

    Raises:
        DataError: rows that cannot be meant, see `read_outputs`.
    """
    read = read_outputs(predictions)
    parsed = parse_answers(read.answers, read.items)
    flags = {
        (row["model"], row["dataset"], row["lang"]): row
        for row in letters(parsed).iter_rows(named=True)
    }
    exact = {x.dataset: x for x in layouts(parsed, read.items, "first_char", LANGUAGES)}
    robust = {x.dataset: x for x in layouts(parsed, read.items, "robust", LANGUAGES)}
    result: dict[str, Any] = {
        model: {} for model in read.answers["model"].unique().sort().to_list()
    }
    for dataset in SETS:
        if dataset not in exact:
            continue
        for model, cells in _set(exact[dataset], robust[dataset], flags).items():
            result[model][dataset] = cells | {MEAN: _mean(cells)}
    write_json(result, out)
    return result, [_remark(row) for row in read.incomplete.iter_rows(named=True)]


def _remark(row: dict[str, Any]) -> str:
    first = ", ".join(map(str, row["first_missing"]))
    return (
        f"Left out: {row['model']}, {row['dataset']}, {row['lang']} has {row['n']} of "
        f"{row['expected']} items (missing are {first}{', ...' if len(first) else ''})."
    )


def _set(
    exact: Layout, robust: Layout, flags: dict[tuple[str, str, str], dict[str, Any]]
) -> dict[str, dict[str, Cell]]:
    chance, known = 100 / exact.k, SETS[exact.dataset]
    made: dict[str, dict[str, Cell]] = {}
    for at, (model, *_, lang) in enumerate(exact.cells.iter_rows()):
        n = len(exact.items)
        acc = 100 * int(exact.right_IC[:, at].sum()) / n
        flag = flags[model, exact.dataset, lang]
        made.setdefault(model, {})[lang] = dict.fromkeys(FIELDS) | {
            "n": n,
            "acc": round(acc, 2),
            "ra": round(max(0.0, (acc - chance) / (known.reference - chance)), 4),
            "acc_robust": round(100 * int(robust.right_IC[:, at].sum()) / n, 2),
            "top_letter": flag["top_letter"],
            "top_share": round(flag["top_share"], 3),
            "unparsed": int((robust.choice_IC[:, at] == -1).sum()),
        }
    for model, lang, values in _consistency(exact):
        made[model][lang] |= values
    return made


def _consistency(layout: Layout) -> list[tuple[str, str, Cell]]:
    """Published forms of every language of every model that answered in the pivot, too."""
    systems = layout.cells.select(SYSTEM_KEY).rows()
    langs = layout.cells["lang"].to_list()
    columns = [
        (at, layout.column_of[*system, PIVOT])
        for at, (system, lang) in enumerate(zip(systems, langs, strict=True))
        if lang != PIVOT and (*system, PIVOT) in layout.column_of
    ]
    if not columns:
        return []
    own, pivot = np.array(columns).T
    forms = Counts.of(
        once(layout),
        layout.present_IC[:, pivot],
        layout.right_IC[:, pivot],
        layout.right_IC[:, own],
        layout.gold_I,
    ).forms(layout.chance)
    return [
        (
            systems[at][0],
            langs[at],
            {name: _rounded(forms[ours][0, p]) for name, ours in CONSISTENCY.items()},
        )
        for p, at in enumerate(own)
    ]


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)


def _mean(cells: dict[str, Cell]) -> Cell:
    """Means of the rounded values over the other languages."""
    mean: Cell = dict.fromkeys(FIELDS)
    for name in AVERAGED:
        values = [cell[name] for lang, cell in cells.items() if lang != PIVOT]
        values = [value for value in values if value is not None]
        mean[name] = round(sum(values) / len(values), 4) if values else None
    return mean
