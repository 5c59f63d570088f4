"""Reading all probes at one state of a model."""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from polylore.errors import ModelError
from polylore.models.forward import evaluation
from polylore.models.generation import generate_prepared
from polylore.models.live import sharded
from polylore.models.loading import LanguageModel
from polylore.models.probing.dense import NAMES, batches, read_group
from polylore.models.probing.sheet import Extras, Forms, Sheet
from polylore.models.questions import Prepared
from polylore.models.scoring import sums_prepared
from polylore.tables.inject import TARGET_SUFFIX

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
    give the target; log-softmax in float32 (float64 for a model in it), sums in float64. Accepted
    forms enter by the log-sum-exp of their sums; the mean is over the tokens of the first form, the
    target; and so it is after another subject. Scores that are not finite stay so and are flagged,
    and so are probes whose target is scored together with a suffix (their margins are over
    distractors with the same suffix). With several processes the probes are divided among them, and
    each gets all numbers; all of them must call this together.

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
    share = _share(lm)
    own = sheet.part(*share)
    sums = _with_accepted(
        sheet, values["sum"], _sums(lm, own.accepted, share, sheet.accepted, token_budget)
    )
    margin, swap = np.full(n, np.nan), np.full(n, np.nan)
    texts: list[str | None] = [None] * n
    if extras:
        wrong = _sums(lm, own.distractors, share, sheet.distractors, token_budget)
        with np.errstate(invalid="ignore"):
            margin = sums - _best(sheet.distractors, wrong, n)
        turned = _sums(lm, own.swapped, share, sheet.swapped, token_budget)
        swap = _swapped(sheet.swapped, turned, n)
        texts = _continued(lm, own, share, n, token_budget)
    mean = sums / n_tokens
    flags = [
        [*([TARGET_SUFFIX] if p.suffix else []), *span.flags, *([] if fine else [NOT_FINITE])]
        for p, span, fine in zip(sheet.probes, sheet.spans, np.isfinite(mean), strict=True)
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


def _share(lm: LanguageModel) -> tuple[int, int]:
    """Which part of the strings and prompts this process reads: (number, of how many).

    Sharded weights are gathered by all processes together for every pass, and generation takes as
    many as the answers need; so each reads everything then.
    """
    return (0, 1) if sharded(lm.model) else _place()


def _sums(
    lm: LanguageModel, own: Prepared, share: tuple[int, int], forms: Forms, token_budget: int
) -> Floats:
    """Sums of all strings of some forms; each process reads its own part of them."""
    rank, world = share
    found = sums_prepared(lm, own, token_budget=token_budget)
    if world == 1:
        return found
    values = np.zeros(len(forms.owners))
    values[rank::world] = found
    return _added(values, lm.device)


def _with_accepted(sheet: Sheet, sums: Floats, found: Floats) -> Floats:
    """Log-sum-exp of the sums of all accepted forms."""
    whole = sums.copy()
    with np.errstate(invalid="ignore"):
        np.logaddexp.at(whole, sheet.accepted.owners, found)
    return whole


def _swapped(forms: Forms, sums: Floats, n: int) -> Floats:
    """Log-sum-exp of each probe's sums over the tokens of its first form; NaN without any."""
    whole = np.full(n, -np.inf)
    with np.errstate(invalid="ignore"):
        np.logaddexp.at(whole, forms.owners, sums)
    owners, first = np.unique(forms.owners, return_index=True)
    found = np.full(n, np.nan)
    found[owners] = whole[owners] / forms.n_tokens[first]
    return found


def _best(forms: Forms, sums: Floats, n: int) -> Floats:
    """Largest sum of each probe's forms; NaN without any."""
    best = np.full(n, -np.inf)
    with np.errstate(invalid="ignore"):
        np.maximum.at(best, forms.owners, sums)
    best[~np.isin(np.arange(n), forms.owners)] = np.nan
    return best


def _continued(
    lm: LanguageModel, own: Extras, share: tuple[int, int], n: int, token_budget: int
) -> list[str | None]:
    """The model's own text behind each prefix, as long as the longest form that it could be."""
    found = generate_prepared(lm, own.prompts, max_new_tokens=own.caps, token_budget=token_budget)
    texts = [generation.text for generation in found]
    world = share[1]
    if world == 1:
        return list(texts)
    parts: list[Any] = [None] * world
    torch.distributed.all_gather_object(parts, texts)
    whole: list[str | None] = [None] * n
    for rank, part in enumerate(parts):
        whole[rank::world] = part
    return whole
