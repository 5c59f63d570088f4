"""Strings read on top of beginnings that were read before: the way for models without tree masks.

The strings of a batch are cut at one or two depths that are the same for all of them, for example
after the demonstrations and shortly before the answers. The distinct pieces up to a cut are read
once; the model's cache of keys and values (or recurrent states) is then repeated for the pieces
that follow. Nothing is padded but the last pieces, on the right, so that positions, ALiBi slopes,
windows and states come out as if every string had been read whole.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from polylore.errors import ModelError
from polylore.models.forward import collate, head_reads, target_logprobs
from polylore.models.packing import Row, common_length, distinct_rows
from polylore.models.spans import Encoded

ONE_PASS = 64
"""What one more pass costs, in tokens; only decides between ways of the same result."""
KEEN = -1
"""The cost of a pass that cuts also where nothing is gained."""
_ALIKE = 0.75
"""Strings stand together if their answers begin at depths of at least this ratio."""


def cached_groups(strings: Sequence[Encoded], token_budget: int) -> list[list[Row]]:
    """One row per distinct string, in groups that may be read together.

    Strings of one length lose nothing at the cuts, strings of one beginning share more of it;
    which order is the better one depends on the prompts.
    """
    rows = distinct_rows(strings)
    by_length = sorted(rows, key=lambda r: (-answer_at(r), r.ids.tolist()))
    by_beginning = sorted(
        rows, key=lambda r: (r.ids[: answer_at(r) // 2].tolist(), answer_at(r), r.ids.tolist())
    )
    orders = [list(_groups(order, token_budget)) for order in (by_length, by_beginning)]
    return min(orders, key=lambda groups: sum(map(_cost, groups)))


def answer_at(row: Row) -> int:
    """Index of the first token that has to be read in the last piece."""
    return int(row.places[0])


def _cost(rows: Sequence[Row]) -> int:
    return best_cuts([row.ids.tolist() for row in rows], min(map(answer_at, rows)))[0]


def _groups(rows: Sequence[Row], token_budget: int) -> Iterator[list[Row]]:
    group: list[Row] = []
    shallow = deep = width = 0
    for row in rows:
        depth = answer_at(row)
        shallow, deep, width = min(shallow, depth), max(deep, depth), max(width, len(row))
        if group and (shallow < _ALIKE * deep or width * (len(group) + 1) > token_budget):
            yield group
            group = []
        if not group:
            shallow, deep, width = depth, depth, len(row)
        group.append(row)
    if group:
        yield group


def best_cuts(
    strings: Sequence[list[int]], deepest: int, one_pass: int = ONE_PASS
) -> tuple[int, list[int]]:
    """The cheapest cuts for strings that are read together, and what reading them costs, in tokens.

    Args:
        strings: token ids.
        deepest: no cut lies deeper.
        one_pass: what one more pass costs, in tokens.
    """
    shared = np.array([common_length(*pair) for pair in pairwise(sorted(strings))], dtype=np.int64)
    depths = np.arange(deepest + 1)
    distinct = 1 + (shared[:, None] < depths).sum(0)
    first, second = depths[:, None], depths[None, :]
    cost = (
        first * distinct[:, None]
        + (second - first) * distinct
        + (max(map(len, strings)) - second) * len(strings)
        + one_pass * (1 + (first > 0).astype(int) + (second > first))
    )
    cost = np.where(first <= second, cost, np.iinfo(np.int64).max)
    best = np.unravel_index(int(cost.argmin()), cost.shape)
    return int(cost[best]), sorted({int(cut) for cut in best} - {0})


def read_beginnings(model: Any, strings: Sequence[list[int]], cuts: Sequence[int]) -> Any:
    """The model's cache of all strings up to the last cut, one row per string; None without cuts.

    Raises:
        ModelError: the model keeps no cache that can be repeated.
    """
    cache: Any = None
    above = [0] * len(strings)
    start = 0
    for stop in cuts:
        beginnings = [tuple(ids[:stop]) for ids in strings]
        numbers = {ids: k for k, ids in enumerate(dict.fromkeys(beginnings))}
        # Strings of one piece have one beginning, so any of them knows what the piece stands on.
        parents = dict(zip(beginnings, above, strict=True))
        _repeat(model, cache, [parents[ids] for ids in numbers])
        ids_BS = torch.tensor([ids[start:] for ids in numbers], device=model.device)
        first = torch.zeros(1, dtype=torch.long, device=model.device)
        with head_reads(model, first, ids_BS.shape):  # these logits are not needed
            output = model(input_ids=ids_BS, use_cache=True, **_past(cache))
        cache = getattr(output, "past_key_values", None)
        if cache is None:
            raise ModelError(f"{type(model).__name__} keeps no cache of keys and values.")
        above, start = [numbers[ids] for ids in beginnings], stop
    _repeat(model, cache, above)
    return cache


def read_on_cache(model: Any, rows: Sequence[Row], *, keen: bool = False) -> torch.Tensor:
    """Log-probability of each target token, as `target_logprobs` gives them for the rows.

    Args:
        model: a causal language model in evaluation mode.
        rows: one row per distinct string.
        keen: cut also where it does not pay, to see whether it is exact.

    Raises:
        ModelError: the model keeps no cache that can be repeated.
    """
    strings = [row.ids.tolist() for row in rows]
    cuts = best_cuts(strings, min(map(answer_at, rows)), KEEN if keen else ONE_PASS)[1]
    cache = read_beginnings(model, strings, cuts)
    start = cuts[-1] if cuts else 0
    batch = collate([_without(row, start) for row in rows], model.device)
    return target_logprobs(model, batch, tree=False, **_past(cache))


def _past(cache: Any) -> dict[str, Any]:
    return {} if cache is None else {"past_key_values": cache}


def _repeat(model: Any, cache: Any, parents: Sequence[int]) -> None:
    """Make row k of the cache what row `parents[k]` was."""
    if cache is not None:
        # Named after beam search, but it takes rows in any number, for every kind of layer.
        cache.reorder_cache(torch.tensor(parents, device=model.device))


def _without(row: Row, start: int) -> Row:
    return replace(
        row,
        ids=row.ids[start:],
        depths=row.depths[start:],
        ends=row.ends[start:] - start,
        places=row.places - start,
    )
