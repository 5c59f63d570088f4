"""Reading all probes at one state of a model."""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from polylore.errors import ModelError
from polylore.models.forward import evaluation
from polylore.models.generation import generate_prepared
from polylore.models.loading import LanguageModel
from polylore.models.probing.dense import NAMES, batches, read_group
from polylore.models.probing.sheet import Forms, Sheet
from polylore.models.scoring import sums_prepared

Floats = npt.NDArray[np.float64]
NOT_FINITE = "not_finite"
READING = {
    "probe_id": pl.String(),
    "n_target_tokens": pl.Int32(),
    "n_target_bytes": pl.Int32(),
    "sum_logprob": pl.Float64(),
    "mean_logprob": pl.Float64(),
    "first_logprob": pl.Float64(),
    "full_mean_logprob": pl.Float64(),
    "first_rank": pl.Int64(),
    "greedy_text": pl.String(),
    "greedy_exact": pl.Boolean(),
    "margin": pl.Float64(),
    "swap_mean_logprob": pl.Float64(),
    "flags": pl.List(pl.String()),
}
"""Columns of a reading: those of `tables.inject.LOG` that a model decides."""


def read(
    lm: LanguageModel, sheet: Sheet, *, token_budget: int, extras: bool = True
) -> pl.DataFrame:
    """Every score of every probe (specification of `inject`, sections 2.1 and 4.3).

    One forward gives sum, mean, first token, whole text, rank and whether greedy decoding would
    give the target; log-softmax in float32, sums in float64. Accepted forms enter by the
    log-sum-exp of their sums; the mean is over the tokens of the first form, the target. Scores
    that are not finite stay so and are flagged. With several processes the probes are divided among
    them, and each gets all numbers; all of them must call this together.

    Args:
        lm: the model, in any mode; it is left in it.
        sheet: the probes.
        token_budget: tokens, padding included, of one forward pass.
        extras: also the margin to the best distractor, the score after another subject, and the
            model's own continuation; null otherwise.

    Returns:
        Columns of `READING`, one row per probe in the order of the sheet.

    Raises:
        ModelError: the sheet was made for another tokenizer.
    """
    if sheet.tokenizer_hash != lm.tokenizer_hash:
        raise ModelError(f"The probes were tokenised for another tokenizer than that of {lm.name}.")
    n = len(sheet)
    values = dict(zip(NAMES, _dense(lm, sheet, token_budget).T, strict=True))
    n_tokens = np.array(sheet.n_tokens)
    sums = _with_accepted(lm, sheet, values["sum"], token_budget)
    margin, swap = np.full(n, np.nan), np.full(n, np.nan)
    texts: list[str | None] = [None] * n
    if extras:
        best = _best(sheet.distractors, _sums(lm, sheet.distractors, token_budget), n)
        with np.errstate(invalid="ignore"):
            margin = sums - best
        turned = _sums(lm, sheet.swapped, token_budget)
        swap[sheet.swapped.owners] = turned / np.maximum(1, sheet.swapped.n_tokens)
        texts = _continued(lm, sheet, token_budget)
    mean = sums / n_tokens
    flags = [
        [*span.flags, *([] if fine else [NOT_FINITE])]
        for span, fine in zip(sheet.spans, np.isfinite(mean), strict=True)
    ]
    columns = {
        "probe_id": [probe.probe_id for probe in sheet.probes],
        "n_target_tokens": n_tokens,
        "n_target_bytes": [probe.n_bytes for probe in sheet.probes],
        "sum_logprob": sums,
        "mean_logprob": mean,
        "first_logprob": values["first"],
        "full_mean_logprob": values["full"],
        "first_rank": _nullable(values["rank"]),
        "greedy_text": texts,
        "greedy_exact": values["exact"] > 0,
        "margin": _nullable(margin),
        "swap_mean_logprob": _nullable(swap),
        "flags": flags,
    }
    frame = pl.DataFrame(columns, schema_overrides={"greedy_text": pl.String()})
    return frame.select(pl.col(name).cast(dtype) for name, dtype in READING.items())


def _nullable(values: Floats) -> pl.Series:
    return pl.Series(values).fill_nan(None)


def _dense(lm: LanguageModel, sheet: Sheet, token_budget: int) -> Floats:
    """What one forward gives, (probes, names); each process reads its share of the batches."""
    rank, world = _place()
    groups = batches(lm, sheet.rows, token_budget)
    values = np.zeros((len(sheet), len(NAMES)))
    with evaluation(lm.model):
        for start in range(0, len(groups), world):
            # Sharded weights are gathered by all processes together, so all make equally many
            # passes; where none is left, one is made for nothing.
            spare = start + rank >= len(groups)
            rows = groups[start if spare else start + rank]
            found = read_group(lm, rows)
            if not spare:
                values[[int(row.pair_string[0]) for row in rows]] = found
    return _added(values, lm.device) if world > 1 else values


def _place() -> tuple[int, int]:
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()):
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def _added(values: Floats, device: Any) -> Floats:
    whole = torch.from_numpy(values).to(device)
    torch.distributed.all_reduce(whole)
    return np.asarray(whole.cpu().numpy())


def _sums(lm: LanguageModel, forms: Forms, token_budget: int) -> Floats:
    return sums_prepared(lm, forms.prepared, token_budget=token_budget)


def _with_accepted(lm: LanguageModel, sheet: Sheet, sums: Floats, token_budget: int) -> Floats:
    """Log-sum-exp of the sums of all accepted forms."""
    if not len(sheet.accepted.owners):
        return sums
    whole, found = sums.copy(), _sums(lm, sheet.accepted, token_budget)
    with np.errstate(invalid="ignore"):
        np.logaddexp.at(whole, sheet.accepted.owners, found)
    return whole


def _best(forms: Forms, sums: Floats, n: int) -> Floats:
    """Largest sum of each probe's forms; NaN without any."""
    best = np.full(n, -np.inf)
    with np.errstate(invalid="ignore"):
        np.maximum.at(best, forms.owners, sums)
    best[~np.isin(np.arange(n), forms.owners)] = np.nan
    return best


def _continued(lm: LanguageModel, sheet: Sheet, token_budget: int) -> list[str | None]:
    """The model's own text behind each prefix, as long as the longest form that it could be."""
    found = generate_prepared(
        lm, sheet.prompts, max_new_tokens=sheet.caps, token_budget=token_budget
    )
    return [generation.text for generation in found]
