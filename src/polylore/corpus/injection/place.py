"""From a schedule to a plan: every passage gets a row of the batch."""

import warnings
from collections.abc import Mapping
from typing import Any

import polars as pl

from polylore.corpus.draw import permutation
from polylore.corpus.injection.format import RowFormat, Tokens
from polylore.errors import ConfigError, DataError
from polylore.tables.inject import PLAN, SCHEDULE

Row = dict[str, Any]


def place(
    schedule: pl.DataFrame,
    passages: pl.DataFrame,
    tokens: Mapping[str, Tokens],
    form: RowFormat,
    batch: int,
    *,
    mode: Mapping[str, str] | str = "prepend",
    per_row: int = 1,
    split: bool = False,
    shuffle: bool = True,
    seed: int = 0,
) -> pl.DataFrame:
    """Choose a row for every exposure, by a permutation of the rows that is drawn for every step.

    Args:
        schedule: contract `tables.inject.SCHEDULE`.
        passages: contract `tables.inject.PASSAGES`.
        tokens: tokens of every passage.
        form: what rows look like.
        batch: rows of a whole optimiser step.
        mode: how rows take up passages; one for all arms, or one for each.
        per_row: passages that may share a row.
        split: lay passages that are longer than a row over several rows instead of refusing them.
        shuffle: draw the rows; otherwise passage k of a step is in row k.
        seed: decides the rows.

    Returns:
        Table PLAN, ordered by step, row and slot.

    Raises:
        ConfigError: a step has more passages than rows.
        DataError: the schedule names a passage that does not exist, or one is longer than a row.
    """
    schedule = SCHEDULE.validate(schedule)
    keys = ["item_id", "lang", "variant"]
    known = {(i, lang, v): p for i, lang, v, p in passages.select(*keys, "passage_id").iter_rows()}
    rows: list[Row] = []
    long = 0
    for step_key, frame in schedule.group_by("step", maintain_order=True):
        step = int(str(step_key[0]))
        parts: list[Row] = []
        for shown in frame.iter_rows(named=True):
            key = tuple(shown[k] for k in keys)
            if key not in known:
                raise DataError(
                    f"The schedule shows variant {key[2]} of item {key[0]} in {key[1]} at step "
                    f"{step}, but there is no such passage."
                )
            own = mode if isinstance(mode, str) else mode[shown["arm"]]
            pieces = _pieces(known[key], len(tokens[known[key]]), form, split)
            long += len(pieces) > 1
            for _ in range(shown["copies"]):
                parts += [_part(shown, known[key], own, piece) for piece in pieces]
        rows += _placed(parts, step, batch, per_row, form, seed if shuffle else None)
    if long:
        warnings.warn(
            f"{long} exposures are longer than a row of {form.length} tokens and lie over several.",
            stacklevel=2,
        )
    return PLAN.build(sorted(rows, key=lambda row: (row["step"], row["row"], row["slot"])))


def _part(shown: Row, passage: str, mode: str, piece: tuple[int, int]) -> Row:
    offset, n_tokens = piece
    same = ("step", "item_id", "lang", "exposure", "arm", "loss_weight")
    return {name: shown[name] for name in same} | {
        "passage_id": passage,
        "mode": mode,
        "n_tokens": n_tokens,
        "offset": offset,
    }


def _pieces(name: str, n: int, form: RowFormat, split: bool) -> list[tuple[int, int]]:
    """(offset, tokens) of the parts of a passage; the last leaves room for the boundary."""
    room = form.capacity - 1
    if n <= room:
        return [(0, n)]
    if not split:
        raise DataError(
            f"Passage {name} has {n} tokens, but a row of {form.length} holds {room} and the "
            "closing boundary; use longer rows, or split the passage."
        )
    return [(start, min(room, n - start)) for start in range(0, n, room)]


def _placed(
    parts: list[Row], step: int, batch: int, per_row: int, form: RowFormat, seed: int | None
) -> list[Row]:
    """Fill rows in their drawn order, up to `per_row` passages and the length of a row each."""
    order = range(batch) if seed is None else permutation(batch, seed, "rows", step).tolist()
    placed: list[Row] = []
    at, slot, used = 0, 0, 0
    for part in parts:
        size = part["n_tokens"] + 1
        if slot and (slot == per_row or used + size > form.capacity):
            at, slot, used = at + 1, 0, 0
        if at == batch:
            raise ConfigError(
                f"Step {step} has {len(parts)} passages, but {batch} rows with {per_row} each "
                "cannot hold them; stagger the exposures, or allow more passages per row."
            )
        placed.append(part | {"row": int(order[at]), "slot": slot})
        slot, used = slot + 1, used + size
    return placed
