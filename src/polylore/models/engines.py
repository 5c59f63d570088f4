"""The two scoring engines, and the choice between them.

``plain`` reads every candidate as one whole string: slow and obviously right. ``packed`` reads each
shared prefix once (see `polylore.models.packing`). ``auto`` compares them on a few of the very
questions before every run and keeps ``packed`` only if they agree.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt

from polylore.errors import ModelError
from polylore.models.forward import collate, target_logprobs
from polylore.models.loading import LanguageModel
from polylore.models.memory import Budget, attempt, out_of_memory
from polylore.models.packing import Row, Trie, plain_rows
from polylore.models.questions import EngineReport, Prepared

Engine = Literal["auto", "packed", "plain"]
Progress = Callable[[int, int, str], None]

_log = logging.getLogger(__name__)

_TOLERANCE = {"float64": 1e-9, "float32": 1e-5}
_COARSE = 0.05
"""Tolerance of half-precision formats, whose own rounding is of this size."""


def run_rows(
    lm: LanguageModel,
    rows: Sequence[Row],
    n_strings: int,
    token_budget: int,
    *,
    tree: bool,
    progress: Progress | None = None,
) -> npt.NDArray[np.float64]:
    """Sum of target log-probabilities per string."""
    budget = Budget.start(token_budget, lm.model.get_input_embeddings().weight.shape[0])
    heads = [len(row.places) for row in rows]
    strings, values, done = [], [], 0
    while done < len(rows):
        count = budget.take(rows, done, heads)
        batch = collate(rows[done : done + count], lm.device)
        logprobs = attempt(partial(target_logprobs, lm.model, batch, tree=tree))
        if logprobs is None:
            budget.halve(count)
            continue
        values.append(logprobs.double().cpu().numpy())
        strings.append(batch.pair_string_P)
        done += count
        if progress:
            progress(done, len(rows), "scoring")
    sums = np.bincount(np.concatenate(strings), np.concatenate(values), minlength=n_strings)
    return np.asarray(sums, dtype=np.float64)


def choose(
    lm: LanguageModel, prepared: Prepared, engine: Engine, limit: int, token_budget: int
) -> EngineReport:
    if engine == "plain":
        return EngineReport("plain", "asked for", 0, None)
    difference, failure = None, ""
    sample = _sample(prepared)
    try:
        difference = _difference(lm, prepared, sample, limit, token_budget)
    except Exception as error:
        if out_of_memory(error):
            raise
        failure = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    if difference is not None and difference <= 1:
        return EngineReport("packed", "agrees with plain", len(sample), difference)
    reason = failure or f"packed differs by {difference:.3g} times the tolerance"
    if engine == "packed":
        raise ModelError(
            f"The packed engine is not exact for {lm.name} ({reason}); use engine='auto' or "
            "'plain'."
        )
    _log.info("Scoring %s with the plain engine: %s.", lm.name, reason)
    return EngineReport("plain", reason, len(sample), difference)


def _sample(prepared: Prepared) -> list[int]:
    """Questions that show what could go wrong: longest, shortest, most and longest candidates."""
    lengths: dict[int, int] = {}
    targets: dict[int, int] = {}
    for owner, string in zip(prepared.owner, prepared.strings, strict=True):
        lengths[owner] = max(lengths.get(owner, 0), len(string.ids))
        targets[owner] = max(targets.get(owner, 0), string.stop - string.start)
    counts = {k: len(prepared.questions[k].candidates) for k in lengths}
    picked = [
        max(lengths, key=lengths.__getitem__),
        min(lengths, key=lengths.__getitem__),
        max(counts, key=counts.__getitem__),
        max(targets, key=targets.__getitem__),
    ]
    return sorted(set(picked))


def _difference(
    lm: LanguageModel, prepared: Prepared, sample: list[int], limit: int, token_budget: int
) -> float:
    """Largest difference between the engines on some questions, in units of the tolerance."""
    chosen = set(sample)
    part = [k for k, owner in enumerate(prepared.owner) if owner in chosen]
    strings = [prepared.strings[k] for k in part]
    trie = Trie(strings, [prepared.owner[k] for k in part])
    plain = run_rows(lm, plain_rows(strings), len(strings), token_budget, tree=False)
    packed = run_rows(lm, trie.rows(limit), len(strings), token_budget, tree=True)
    tolerance = _TOLERANCE.get(lm.dtype, _COARSE)
    ratio = np.abs(plain - packed) / (tolerance * np.maximum(1, np.abs(plain)))
    # Scores that are not numbers are the model's fault, not the engine's; `_scores` reports them.
    ratio = np.where(np.isnan(plain) & np.isnan(packed), 0, ratio)
    return float(np.nan_to_num(ratio, nan=np.inf).max())


def row_limit(lm: LanguageModel, prepared: Prepared, token_budget: int) -> int:
    """Length of tree rows that needs the least work on this model."""
    config = lm.model.config.get_text_config()
    width, layers = int(config.hidden_size), int(config.num_hidden_layers)
    embedding = lm.model.get_input_embeddings().weight.numel()
    inner = max(1, lm.model.num_parameters() - embedding)
    ceiling = max(prepared.longest, token_budget)
    return prepared.tree().best_limit(2.0 * inner, 4.0 * width * layers, ceiling)
