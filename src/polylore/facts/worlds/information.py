"""Information in bits: estimators, and what single tokens of a prompt say about its language.

Source: specification of `unify`, sections 2.3 and 2.4.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from polylore.facts.worlds.stream import Stream
from polylore.facts.worlds.world import World

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]

SAMPLED = 20_000
"""Presentations of the realised stream in which the bits of a cue are checked."""


def plug_in(table: Floats | Ids) -> float:
    """Mutual information of rows and columns of a table [a, b] of counts or probabilities."""
    joint = np.asarray(table, dtype=float)
    joint = joint / joint.sum()
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    there = joint > 0
    return max(0.0, float((joint[there] * np.log2(joint[there] / apart[there])).sum()))


def miller_madow(table: Floats | Ids, n: float | None = None) -> float:
    """The plug-in corrected by the numbers of non-empty rows, columns and cells.

    Right only without parallel units: with them it over-corrects, since the same value then enters
    several languages.

    Args:
        table: [a, b] counts.
        n: observations that are independent; the sum of the table if None.
    """
    counts = np.asarray(table, dtype=float)
    rows = int((counts.sum(axis=1) > 0).sum())
    columns = int((counts.sum(axis=0) > 0).sum())
    cells = int((counts > 0).sum())
    excess = (rows - 1) + (columns - 1) - (cells - 1)
    return plug_in(counts) + excess / float(2 * (n or counts.sum()) * np.log(2))


def stage_shares(world: World) -> Floats:
    """[stages] share of the presentations of a curriculum that fall into each stage."""
    steps = [stage.steps for stage in world.config.curriculum] or [1]
    return np.array(steps) / sum(steps)


def presented(world: World) -> Floats:
    """[cells] expected share of all presentations; adds up to 1."""
    weights = world.stage_weights / world.stage_weights.sum(axis=1, keepdims=True)
    found: Floats = stage_shares(world) @ weights
    return found


def token_information(world: World) -> pl.DataFrame:
    """What every prompt position says about the language, over the training stream.

    Returns:
        Columns position, part (cue, name or relation), bits (I(token; language)).
    """
    first, relation = world.name_span
    rows = []
    for position in range(world.prompt_len):
        if position < first:
            part, table = "cue", _cue_table(world, [position])
        else:
            part = "relation" if position == relation else "name"
            table = _body_table(world, position - first)
        rows.append((position, part, plug_in(table)))
    return pl.DataFrame(rows, schema=["position", "part", "bits"], orient="row")


def unigram(world: World) -> float:
    """I_uni: the largest information of a single cue position, in bits; 0 without a cue."""
    return max(
        (plug_in(_cue_table(world, [position])) for position in range(world.cue.length)),
        default=0.0,
    )


def joint(world: World) -> float:
    """I_joint: information of the whole cue, in bits; 0 without a cue."""
    return plug_in(_cue_table(world, list(range(world.cue.length)))) if world.cue.length else 0.0


def _language_shares(world: World) -> Floats:
    """[stages, languages] share of a stage's presentations in each language."""
    weights = world.stage_weights / world.stage_weights.sum(axis=1, keepdims=True)
    return np.array(
        [np.bincount(world.lang, weights=own, minlength=len(world.languages)) for own in weights]
    )


def _cue_table(world: World, positions: list[int]) -> Floats:
    """[cue tokens, languages] joint probability over the stream, cues cut to some positions."""
    parts: list[tuple[Ids, Ids, Floats]] = []
    shares = stage_shares(world)[:, None] * _language_shares(world)
    for own, cue in zip(shares, world.stage_cues, strict=True):
        for code, (tokens, prob) in enumerate(zip(cue.tokens, cue.prob, strict=True)):
            parts.append((tokens[:, positions], np.full(len(prob), code), prob * own[code]))
    cues, lang, weight = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return _table(np.unique(cues, axis=0, return_inverse=True)[1].ravel(), lang, weight, world)


def _body_table(world: World, position: int) -> Floats:
    """[tokens, languages] of a position behind the cue."""
    weight = presented(world)
    parts: list[tuple[Ids, Ids, Floats]] = []
    cells = np.flatnonzero(weight)
    for teller, prob in world.switches(cells):
        if position < world.name_len:
            tokens, own = world.name_tokens[teller][:, [position]], weight[cells] * prob
        else:
            template = world.train_templates[cells]
            tokens = world.relation_tokens[
                world.relation[cells][:, None], world.lang[teller][:, None], template
            ]
            own = weight[cells] * prob / template.shape[1]
        n = tokens.shape[1]
        parts.append((tokens.ravel(), np.repeat(world.lang[cells], n), np.repeat(own, n)))
    token, lang, share = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return _table(np.unique(token, return_inverse=True)[1].ravel(), lang, share, world)


def _table(row: Ids, lang: Ids, weight: Floats, world: World) -> Floats:
    n = len(world.languages)
    size = (int(row.max()) + 1) * n
    found = np.bincount(row * n + lang, weights=weight, minlength=size)
    return found.reshape(-1, n).astype(float)


def realised_bits(world: World, batch_size: int = 512) -> pl.DataFrame:
    """Single cue positions of the realised stream held against the design.

    Unequal bit probabilities are the silent way to ruin an exclusive-or cue. A position fails if it
    says more than the design by three standard errors and the bias of the estimate.

    Returns:
        Columns position, design, realised, limit (bits), ok.
    """
    stream, rows = Stream(world, batch_size), []
    steps = range(1, -(-SAMPLED // batch_size) + 1)
    samples = [stream.samples(step) for step in steps]
    lang = np.concatenate([world.lang[stream.cells(step)] for step in steps])
    for position in range(world.cue.length):
        tokens = np.concatenate([tokens[:, position] for tokens in samples])
        kinds = np.unique(tokens, return_inverse=True)[1].ravel()
        table = _table(kinds, lang, np.ones(len(lang)), world)
        design = plug_in(_cue_table(world, [position]))
        limit = design + _margin(table)
        realised = plug_in(table)
        rows.append((position, design, realised, limit, realised <= limit))
    columns = ["position", "design", "realised", "limit", "ok"]
    types = [pl.Int64(), pl.Float64(), pl.Float64(), pl.Float64(), pl.Boolean()]
    return pl.DataFrame(rows, schema=dict(zip(columns, types, strict=True)), orient="row")


def _margin(table: Floats) -> float:
    """Bias of the plug-in and three standard errors (delta method; chi-square near 0)."""
    n = table.sum()
    probability = table / n
    apart = probability.sum(axis=1, keepdims=True) * probability.sum(axis=0, keepdims=True)
    there = probability > 0
    log = np.log2(probability[there] / apart[there])
    mean = (probability[there] * log).sum()
    error = np.sqrt(max(0.0, (probability[there] * log**2).sum() - mean**2) / n)
    free = (table.shape[0] - 1) * (table.shape[1] - 1)
    return float((free + 3 * np.sqrt(2 * free)) / (2 * n * np.log(2)) + 3 * error)
