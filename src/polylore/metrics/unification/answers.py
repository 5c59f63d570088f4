"""From what a model said before evaluation prompts to the table ANSWERS (section 2.5)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from polylore.errors import DataError
from polylore.metrics.index import Array
from polylore.tables.unify import ANSWERS, VALUES


@dataclass(frozen=True)
class Cells:
    """The cells (fact, language) of a world that can be asked, in the world's order."""

    fact_ids: Sequence[str]
    populations: Sequence[str]
    relation_C: Array
    """Number of each cell's relation."""
    lang_C: Array
    """Number of its language."""
    value_C: Array
    """Number of its value, 0..V-1."""
    languages: Sequence[str]
    relations: Sequence[str]
    value_tokens_RLVK: Array
    """Tokens of every value in every language; -1 where there is none."""
    owner_V: Array | None
    """Number of the language that owns each value; None in worlds without such blocks."""


@dataclass(frozen=True)
class Said:
    """What a model said, one entry per evaluation prompt; parts not measured are absent."""

    cell_M: Array
    """Row of the prompt's cell."""
    template_M: Array
    cue_M: Array
    pred_tokens_MK: Array
    """Most probable tokens over the whole vocabulary, greedily, as many as the gold value has."""
    logp_gold_M: Array | None = None
    rank_M: Array | None = None
    restricted_M: Array | None = None
    """Most probable of the relation's values in the language asked."""
    probs_MV: Array | None = None
    """Softmax over the relation's values in the language asked."""


def answer_rows(
    said: Said, cells: Cells, *, run_hash: str, step: int, tokens: int | None
) -> pl.DataFrame:
    """One row of ANSWERS per prompt.

    Raises:
        DataError: arrays of different lengths, or values of another number of tokens.
    """
    cell = np.asarray(said.cell_M)
    m, length = said.pred_tokens_MK.shape
    if len(cell) != m or length != cells.value_tokens_RLVK.shape[3]:
        raise DataError(
            f"Answers of {m} prompts and {length} tokens do not fit {len(cell)} prompts of values "
            f"of {cells.value_tokens_RLVK.shape[3]} tokens."
        )
    relation, lang, value = (part[cell] for part in (cells.relation_C, cells.lang_C, cells.value_C))
    forms_MLK = cells.value_tokens_RLVK[
        relation[:, None], np.arange(len(cells.languages)), value[:, None]
    ]
    gold_MK = forms_MLK[np.arange(m), lang]
    correct = (said.pred_tokens_MK == gold_MK).all(axis=1)
    foreign_ML = (forms_MLK != gold_MK[:, None]).any(axis=2) & (forms_MLK >= 0).any(axis=2)
    elsewhere = ((said.pred_tokens_MK[:, None] == forms_MLK).all(axis=2) & foreign_ML).any(axis=1)
    restricted, in_block, mass = said.restricted_M, None, None
    if cells.owner_V is not None:
        own_MV = cells.owner_V == lang[:, None]
        in_block = None if restricted is None else own_MV[np.arange(m), restricted]
        mass = None if said.probs_MV is None else (said.probs_MV * own_MV).sum(axis=1)
    facts = pl.Series(cells.fact_ids, dtype=pl.String)
    frame = pl.DataFrame(
        {
            "run_hash": pl.repeat(run_hash, m, eager=True),
            "step": pl.repeat(step, m, eager=True, dtype=pl.Int64),
            "tokens": pl.repeat(tokens, m, eager=True, dtype=pl.Int64),
            "fact_id": facts.gather(cell),
            "lang": pl.Series(cells.languages, dtype=pl.String).gather(lang),
            "template_id": said.template_M,
            "cue_draw": said.cue_M,
            "population": pl.Series(cells.populations, dtype=pl.String).gather(cell),
            "pred_token": pl.Series(said.pred_tokens_MK.astype(np.int32)).cast(pl.List(pl.Int32)),
            "correct": correct,
            "rank": _optional(said.rank_M, m, pl.Float64()),
            "logp_gold": _optional(said.logp_gold_M, m, pl.Float64()),
            "restricted_pred": _optional(restricted, m, pl.Int32()),
            "right_value_other_language": pl.Series(elsewhere),
            "in_pref_block": _optional(in_block, m, pl.Boolean()),
            "pref_mass": _optional(mass, m, pl.Float64()),
        }
    )
    has_foreign = pl.Series(foreign_ML.any(axis=1))
    frame = frame.with_columns(
        right_value_other_language=pl.when(has_foreign).then("right_value_other_language")
    )
    return ANSWERS.validate(frame)


def _optional(values: Array | None, m: int, dtype: pl.DataType) -> pl.Series:
    if values is None:
        return pl.Series([None] * m, dtype=dtype)
    series = pl.Series(np.asarray(values))
    return (series.fill_nan(None) if series.dtype.is_float() else series).cast(dtype)


def value_rows(
    probs_MV: Array, cell_M: Array, cells: Cells, *, run_hash: str, step: int
) -> pl.DataFrame:
    """Table VALUES: mean softmax over values by population, relation and language.

    Args:
        probs_MV: softmax over the relation's values in the language asked, of each prompt.
        cell_M: row of the prompt's cell.
        cells: the world's cells.
        run_hash: the run.
        step: its step.
    """
    keys = pl.DataFrame(
        {
            "population": pl.Series(cells.populations, dtype=pl.String).gather(cell_M),
            "relation": pl.Series(cells.relations, dtype=pl.String).gather(
                cells.relation_C[cell_M]
            ),
            "lang": pl.Series(cells.languages, dtype=pl.String).gather(cells.lang_C[cell_M]),
        }
    ).with_row_index("row")
    parts = []
    for (population, relation, lang), own in keys.group_by(
        "population", "relation", "lang", maintain_order=True
    ):
        mean_V = np.asarray(probs_MV)[own["row"].to_numpy()].astype(np.float64).mean(axis=0)
        parts.append(
            pl.DataFrame({"value_index": np.arange(len(mean_V)), "prob": mean_V}).with_columns(
                run_hash=pl.lit(run_hash),
                step=pl.lit(step),
                population=pl.lit(population),
                relation=pl.lit(relation),
                lang=pl.lit(lang),
                n=pl.lit(own.height),
            )
        )
    return VALUES.validate(pl.concat(parts)) if parts else VALUES.empty()
