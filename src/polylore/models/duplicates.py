"""Checkpoints whose weights are those of another one (specification of `trace`, section 4.1)."""

import logging
from collections.abc import Sequence
from typing import Any

from polylore.errors import ModelError

_log = logging.getLogger("polylore.models.series")

Row = dict[str, Any]

_SAME = ("weight_hash", "files_hash", "answers")
"""What shows that weights are equal; `answers` is there only while `refresh` works."""
_KEPT = "duplicate_kept"


def mark_duplicates(rows: Sequence[Row]) -> None:
    """Fill `duplicate_of` and `suspect` of checkpoint rows, which stand in order of training.

    A final model equal to the highest step is normal: one checkpoint with two names. Every other
    checkpoint that equals another one is suspect; without a final model among them all are.
    """
    for row in rows:
        row["duplicate_of"], row["suspect"] = None, False
    groups = _equal_weights(rows)
    steps = [row for row in rows if not row["final"]]
    top = max((row.get("stage") or 0 for row in steps), default=0)
    # The last step of each branch of the last stage.
    highest = {
        row.get("ingredient"): row["ckpt_id"] for row in steps if (row.get("stage") or 0) == top
    }
    ends = set(highest.values())
    for group in groups:
        if len(group) == 1:
            continue
        finals = [row for row in group if row["final"]]
        normal = [row for row in group if row["ckpt_id"] in ends] if finals else []
        reference = (normal or finals or group)[0]
        for row in group:
            if row is not reference:
                row["duplicate_of"] = reference["ckpt_id"]
            row["suspect"] = not any(row is other for other in (*finals, *normal))


def _equal_weights(rows: Sequence[Row]) -> list[list[Row]]:
    """Groups of rows that share a fingerprint of weights, a hash of files, or all answers."""
    groups: list[list[Row]] = []
    where: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        keys = [(k, row[k]) for k in _SAME if row.get(k)]
        own = [row]
        for group in {id(where[k]): where[k] for k in keys if k in where}.values():
            own = group + own
            groups = [g for g in groups if g is not group]
        groups.append(own)
        for member in own:
            where |= {(k, member[k]): own for k in _SAME if member.get(k)}
    return groups


def apply_policy(rows: Sequence[Row], policy: str, model: str) -> None:
    """Let `exclude` (the default), `keep` or `error` decide what becomes of suspect checkpoints.

    Raises:
        ModelError: with `error`, if there are any.
    """
    suspect = [row for row in rows if row["suspect"]]
    if not suspect or policy == "exclude":
        return
    if policy == "error":
        names = ", ".join(str(row["ckpt_id"]) for row in suspect[:10])
        raise ModelError(
            f"Checkpoints of {model} have the weights of another checkpoint: {names}"
            f"{' and more' if len(suspect) > 10 else ''}; set series.duplicates to exclude or keep."
        )
    for row in suspect:
        row["suspect"] = False
        flags = row.get("flags") or []
        row["flags"] = flags if _KEPT in flags else [*flags, _KEPT]


def warn_suspect(rows: Sequence[Row], model: str) -> None:
    """Say aloud which checkpoints are left out of trajectories."""
    for row in rows:
        if row["suspect"]:
            _log.warning(
                "Checkpoint %s of %s has the weights of another checkpoint and is left out of "
                "trajectories.",
                row["ckpt_id"],
                model,
            )
