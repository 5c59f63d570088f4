"""The three scoring engines, and the choice between them.

``plain`` reads every candidate as one whole string: slow and obviously right. ``packed`` reads each
shared prefix once, together with all that follows it (see `polylore.models.packing`). ``cached``
reads it before what follows (see `polylore.models.prefix_cache`); it takes more passes, but also
models that take no tree mask. ``auto`` is the first of ``packed`` and ``cached`` that agrees with
``plain`` on a few of the very questions, and ``plain`` if neither does.
"""

import logging
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from polylore.errors import ModelError
from polylore.models.forward import collate, target_logprobs
from polylore.models.loading import LanguageModel
from polylore.models.memory import Budget, attempt, out_of_memory
from polylore.models.packing import LIMITS, Row, common_length
from polylore.models.prefix_cache import read_on_cache
from polylore.models.questions import EngineReport, Prepared
from polylore.models.weights import said

Engine = Literal["auto", "packed", "cached", "plain"]
FAST = ("packed", "cached")
"""The engines that have to agree with plain, best first."""
Progress = Callable[[int, int, str], None]

_log = logging.getLogger(__name__)

_TOLERANCE = {"float64": 1e-9, "float32": 1e-5}
_COARSE = 0.05
"""Tolerance of half-precision formats, whose own rounding is of this size."""


@cache
def say(text: str) -> None:
    _log.warning(text)


def run_rows(
    lm: LanguageModel,
    prepared: Prepared,
    engine: str,
    limit: int,
    token_budget: int,
    progress: Progress | None = None,
    *,
    keen: bool = False,
) -> npt.NDArray[np.float64]:
    """Sum of target log-probabilities per string; `keen` as in `read_on_cache`."""
    budget = Budget.start(token_budget, lm.model.get_input_embeddings().weight.shape[0])
    groups = prepared.arranged(engine, token_budget if engine == "cached" else limit)
    total = sum(map(len, groups))
    strings: list[npt.NDArray[np.int64]] = []
    values: list[npt.NDArray[np.float64]] = []
    done = 0
    for rows in groups:
        heads = [len(row.places) for row in rows]
        first = 0
        while first < len(rows):
            batch = rows[first : first + budget.take(rows, first, heads)]
            logprobs = attempt(partial(read_rows, lm, batch, engine, keen))
            if logprobs is None and engine == "packed" and len(batch) == 1 and limit > LIMITS[0]:
                # A tree row is longer than its strings; the longest come first, so little is lost.
                return run_rows(
                    lm, prepared, engine, limit // 2, budget.tokens, progress, keen=keen
                )
            if logprobs is None:
                budget.halve(len(batch))
                continue
            values.append(logprobs.double().cpu().numpy())
            strings.extend(row.pair_string for row in batch)
            first += len(batch)
            done += len(batch)
            if progress:
                progress(done, total, "scoring")
    sums = np.bincount(
        np.concatenate(strings), np.concatenate(values), minlength=len(prepared.strings)
    )
    return np.asarray(sums, dtype=np.float64)


def read_rows(
    lm: LanguageModel, rows: Sequence[Row], engine: str, keen: bool = False
) -> torch.Tensor:
    """Log-probability of each target token of rows that an engine reads together."""
    if engine == "cached":
        return read_on_cache(lm.model, rows, keen=keen)
    return target_logprobs(lm.model, collate(rows, lm.device), tree=engine == "packed")


def choose(
    lm: LanguageModel, prepared: Prepared, engine: Engine, limit: int, token_budget: int
) -> EngineReport:
    """The first engine that agrees with plain on some of the questions; plain if none does.

    Raises:
        ModelError: the engine that was asked for does not agree.
    """
    if engine == "plain":
        return EngineReport("plain", "asked for", 0, None)
    part = prepared.part(sample(prepared))
    checked = len({*part.owner})
    plain = run_rows(lm, part, "plain", limit, token_budget)
    refused: list[str] = []
    for name in FAST if engine == "auto" else (engine,):
        try:
            found = run_rows(lm, part, name, limit, token_budget, keen=True)
        except Exception as error:
            if out_of_memory(error):
                raise
            refused.append(f"{name} fails ({type(error).__name__}: {said(error)})")
            continue
        apart = difference(plain, found, lm.dtype)
        if apart <= 1:
            reason = "; ".join([f"{name} agrees with plain", *refused])
            return EngineReport(name, reason, checked, apart)
        refused.append(f"{name} differs by {apart:.3g} times the tolerance")
    reason = "; ".join(refused)
    if engine != "auto":
        raise ModelError(
            f"The {engine} engine is not exact for {lm.name} ({reason}); use engine='auto' or "
            "'plain'."
        )
    say(f"{type(lm.model).__name__} is scored one candidate at a time, slowly: {reason}.")
    return EngineReport("plain", reason, checked, None)


def sample(prepared: Prepared) -> list[int]:
    """Strings that show what could go wrong, as indices into `prepared.strings`.

    Of four questions the two shortest and the two longest candidates: the question with the longest
    string (if any string reaches beyond a window, this one does), the one that shares most with it
    (so that something is shared between questions too), the one with the longest candidate, and the
    one with the shortest string.
    """
    strings, owner = prepared.strings, prepared.owner
    every = range(len(strings))
    longest = max(every, key=lambda k: len(strings[k].ids))
    others = [k for k in every if owner[k] != owner[longest]]
    own = strings[longest].ids
    shown = [
        longest,
        min(every, key=lambda k: len(strings[k].ids)),
        max(every, key=lambda k: strings[k].stop - strings[k].start),
        *sorted(others, key=lambda k: -common_length(strings[k].ids, own))[:1],
    ]
    picked: set[int] = set()
    for question in {owner[k] for k in shown}:
        members = [k for k in every if owner[k] == question]
        members.sort(key=lambda k: strings[k].stop - strings[k].start)
        picked.update(members[:2] + members[-2:])
    return sorted(picked)


def difference(plain: npt.NDArray[np.float64], found: npt.NDArray[np.float64], dtype: str) -> float:
    """Largest difference between two engines, in units of the tolerance."""
    tolerance = _TOLERANCE.get(dtype, _COARSE)
    with np.errstate(invalid="ignore"):  # infinite scores differ by NaN
        ratio = np.abs(plain - found) / (tolerance * np.maximum(1, np.abs(plain)))
    # Scores that are not numbers are the model's fault, not the engine's; `_scores` reports them.
    ratio = np.where(np.isnan(plain) & np.isnan(found), 0, ratio)
    return float(np.nan_to_num(ratio, nan=np.inf).max())


def row_limit(lm: LanguageModel, prepared: Prepared, token_budget: int) -> int:
    """Length of tree rows that needs the least work on this model."""
    config = lm.model.config.get_text_config()
    width, layers = int(config.hidden_size), int(config.num_hidden_layers)
    embedding = lm.model.get_input_embeddings().weight.numel()
    inner = max(1, lm.model.num_parameters() - embedding)
    # Never longer than the context, which is what masks and positions of a model are made for.
    ceiling = max(prepared.longest, min(token_budget, lm.context))
    return prepared.tree().best_limit(2.0 * inner, 4.0 * width * layers, ceiling)
