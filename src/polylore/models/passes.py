"""The forward passes that scoring and generation will make, counted without making them.

Rows, their order and how many are read at once come from the very code that the engines use, so
the shapes are exact unless memory runs out on the way. Works on a model without weights.
"""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

from polylore.errors import ModelError
from polylore.models.answers import PreparedPrompts
from polylore.models.cost import Pass
from polylore.models.engines import row_limit, sample
from polylore.models.generation import COMPACT, reading_order
from polylore.models.hidden import Layers, hidden_batches
from polylore.models.loading import LanguageModel
from polylore.models.masks import windows
from polylore.models.memory import Budget
from polylore.models.packing import Row
from polylore.models.prefill import sample as prompts_sample
from polylore.models.prefix_cache import KEEN, ONE_PASS, answer_at, best_cuts
from polylore.models.questions import Prepared
from polylore.models.sentences import Placed


def expected_engine(model: Any) -> str:
    """The scoring engine that will most likely answer; only the check before a run can tell."""
    takes_positions = "position_ids" in inspect.signature(model.forward).parameters
    return "packed" if takes_positions and _masked(model) else "cached"


def expected_sharing(model: Any, prompts: PreparedPrompts, caps: Sequence[int]) -> bool:
    """Whether what prompts begin with will most likely be read once when they are continued."""
    if len(prompts.ids) < 2 or not _masked(model):
        return False
    longest = max(len(ids) + cap for ids, cap in zip(prompts.ids, caps, strict=True))
    return all(width is None or width >= longest for width in windows(model).values())


def _masked(model: Any) -> bool:
    try:
        windows(model)
    except ModelError:
        return False
    return True


def scoring_batches(
    lm: LanguageModel, prepared: Prepared, token_budget: int, engine: str, limit: int | None = None
) -> list[list[Row]]:
    """The rows that an engine reads together when every candidate is scored once.

    Args:
        lm: the model; it needs no weights.
        prepared: the questions.
        token_budget: tokens of one pass.
        engine: packed, cached or plain.
        limit: length of tree rows, if not the best one.
    """
    if not prepared.strings:
        return []
    if limit is None:
        limit = row_limit(lm, prepared, token_budget)
    budget = Budget.start(token_budget, lm.model.get_input_embeddings().weight.shape[0])
    batches = []
    for rows in prepared.arranged(engine, token_budget if engine == "cached" else limit):
        heads = [len(row.places) for row in rows]
        done = 0
        while done < len(rows):
            count = budget.take(rows, done, heads)
            batches.append(list(rows[done : done + count]))
            done += count
    return batches


def scoring_passes(rows: Sequence[Row], engine: str, *, keen: bool = False) -> list[Pass]:
    """The passes that read some rows together; `keen` as in `read_on_cache`."""
    cuts: list[int] = []
    strings = [row.ids.tolist() for row in rows]
    if engine == "cached":
        cuts = best_cuts(strings, min(map(answer_at, rows)), KEEN if keen else ONE_PASS)[1]
    start = cuts[-1] if cuts else 0
    longest = max(map(len, rows))
    last = Pass(
        kind=engine,
        rows=len(rows),
        width=longest - start,
        keys=longest,
        reads=sum(len(row.places) for row in rows),
        tokens=sum(len(row) - start for row in rows),
        masked=engine == "packed",
        cached=bool(cuts),
    )
    return [*_beginnings(strings, cuts), last]


def checking_passes(
    lm: LanguageModel, prepared: Prepared, token_budget: int, engine: str
) -> Iterator[Pass]:
    """The passes that compare an engine with plain before a model object is asked first."""
    if not prepared.strings or engine == "plain":
        return
    part = prepared.part(sample(prepared))
    limit = row_limit(lm, prepared, token_budget)
    for name in ("plain", engine):
        for rows in scoring_batches(lm, part, token_budget, name, limit):
            yield from scoring_passes(rows, name, keen=True)


def generation_batches(
    lm: LanguageModel, prepared: PreparedPrompts, caps: Sequence[int], token_budget: int
) -> list[list[int]]:
    """The prompts that are continued together, by index."""
    budget = Budget.start(token_budget, lm.model.get_input_embeddings().weight.shape[0])
    order = reading_order(prepared, caps)
    spans = [range(len(prepared.ids[k]) + caps[k]) for k in order]
    batches, done = [], 0
    while done < len(order):
        count = budget.take(spans, done)
        batches.append(order[done : done + count])
        done += count
    return batches


def generation_passes(
    prompts: Sequence[list[int]], lengths: Sequence[int], *, share: bool, keen: bool = False
) -> Iterator[Pass]:
    """The passes that continue one batch.

    Args:
        prompts: token ids of each prompt.
        lengths: tokens that the model will choose for each, an end-of-text token included.
        share: whether what they begin with is read only once.
        keen: as in `prefill`.
    """
    cuts: list[int] = []
    if share:
        deepest = min(map(len, prompts)) - 1
        cuts = best_cuts(prompts, deepest, KEEN if keen else ONE_PASS)[1]
    start, longest, rows = cuts[-1] if cuts else 0, max(map(len, prompts)), list(lengths)
    yield from _beginnings(prompts, cuts)
    yield Pass(
        "prompt",
        rows=len(rows),
        width=longest - start,
        keys=longest,
        reads=len(rows),
        tokens=sum(len(ids) - start for ids in prompts),
        masked=min(map(len, prompts)) < longest,
        cached=True,
    )
    chosen = 1
    while alive := [length for length in rows if length > chosen]:
        if len(alive) <= (1 - COMPACT) * len(rows):
            rows = alive
        yield Pass("word", len(rows), 1, longest + chosen, len(rows), len(alive), cached=True)
        chosen += 1


def sharing_passes(prompts: PreparedPrompts) -> Iterator[Pass]:
    """The passes that find out whether prompts may share what they begin with."""
    some = prompts_sample(prompts.ids)
    for share in (False, True):
        yield from generation_passes(some, [1] * len(some), share=share, keen=True)


def hidden_passes(placed: Placed, layers: Layers, tokens: int) -> Iterator[Pass]:
    """The passes that read sentences once for the vectors of some layers.

    Args:
        placed: the sentences.
        layers: what all layers put out, since all of it lives until a pass ends.
        tokens: tokens of one pass.
    """
    for batch in hidden_batches(placed, tokens):
        rows = [placed.rows[k] for k in batch]
        width, read = max(map(len, rows)), sum(map(len, rows))
        yield Pass("hidden", len(rows), width, width, 0, read, layers=len(layers.widths))


def _beginnings(strings: Sequence[list[int]], cuts: Sequence[int]) -> Iterator[Pass]:
    """The passes of `read_beginnings`."""
    start = 0
    for stop in cuts:
        rows = len({tuple(ids[:stop]) for ids in strings})
        width = stop - start
        yield Pass("beginning", rows, width, stop, 1, rows * width, cached=True)
        start = stop
