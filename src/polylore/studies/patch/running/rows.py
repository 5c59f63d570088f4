"""From readings and answers to raw rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from polylore.metrics.patching import answer_of
from polylore.models.patching import Reading
from polylore.studies.patch.running.questions import Asked
from polylore.tables.patch import ANSWERS, SCORES

Array = npt.NDArray[np.float64]
KEYS = ("lang_a", "lang_b", "setting", "draw", "k", "pair_id", "fact_id", "fact_id_target")


@dataclass(frozen=True)
class Stamp:
    """What stands in every row of a unit."""

    ckpt_id: str
    dtype: str
    plan_hash: str

    def plain(self, engine: str) -> dict[str, str]:
        """The columns, with the engine that did the work."""
        return {
            "ckpt_id": self.ckpt_id,
            "dtype": self.dtype,
            "plan_hash": self.plan_hash,
            "engine": engine,
        }


def probabilities(readings: Sequence[Reading], asked: Sequence[Asked]) -> tuple[Array, Array]:
    """p_first and logp_full of items with the same cells, (items, 1 + onsets, cells); NaN: none."""
    shape = (len(readings), len(readings[0].sets), len(asked[0].cells))
    first, full = np.full(shape, np.nan), np.full(shape, np.nan)
    for n, (reading, one) in enumerate(zip(readings, asked, strict=True)):
        for c, (set_, forms) in enumerate(zip(one.sets, one.forms, strict=True)):
            if set_ is not None:
                first[n, :, c] = np.exp(reading.sets[:, set_])
            if forms:
                full[n, :, c] = np.logaddexp.reduce(reading.forms[:, list(forms)], axis=1)
    return first, full


def score_rows(
    items: pl.DataFrame,
    asked: Sequence[Asked],
    onsets: Sequence[int | None],
    first: Array,
    full: Array,
    stamp: Mapping[str, str],
) -> pl.DataFrame:
    """Rows of SCORES.

    Args:
        items: rows of ITEMS.
        asked: of each item, its queries; all with the same cells.
        onsets: what the second axis of the numbers stands for; null: unpatched.
        first, full: numbers (items, onsets, cells).
        stamp: constant columns.
    """
    n, j, c = first.shape
    where_n = np.repeat(np.arange(n), j * c)
    where_j = np.tile(np.repeat(np.arange(j), c), n)
    where_c = np.tile(np.arange(c), n * j)
    cells = asked[0].cells
    counts = np.array([one.n_forms for one in asked])
    merged = np.array([one.merged for one in asked])
    frame = items.select(*KEYS, "intervention")[where_n].with_columns(
        pl.Series("onset", list(onsets), dtype=pl.Int32)[where_j].alias("onset"),
        pl.Series([name for name, _ in cells])[where_c].alias("cell_concept"),
        pl.Series([lang for _, lang in cells])[where_c].alias("cell_lang"),
        pl.Series("p_first", first.ravel(), nan_to_null=True),
        pl.Series("logp_full", full.ravel(), nan_to_null=True),
        pl.Series("n_forms", counts[where_n, where_c], dtype=pl.Int32),
        pl.Series("boundary_merge", merged[where_n, where_c]),
        *(pl.lit(value).alias(name) for name, value in stamp.items()),
    )
    return SCORES.validate(frame.select(SCORES.schema.keys()))


class Decoder:
    """Text of new tokens, as it reads behind its prompt."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._known: dict[tuple[tuple[int, ...], tuple[int, ...]], str] = {}

    def text(self, prompt: Sequence[int], new: Sequence[int]) -> str:
        """The prompt is decoded with it: some tokenizers drop a space at the beginning."""
        key = (tuple(prompt), tuple(new))
        if key not in self._known:
            echo = self._decode(key[0])
            self._known[key] = self._decode(key[0] + key[1])[len(echo) :]
        return self._known[key]

    def _decode(self, ids: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(
            list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return text


def answer_rows(
    items: Sequence[Mapping[str, Any]],
    prompts: Sequence[Sequence[int]],
    onsets: Sequence[int | None],
    written: Sequence[Sequence[Sequence[int]]],
    decoder: Decoder,
    eos: int | None,
    stamp: Mapping[str, str],
) -> pl.DataFrame:
    """Rows of ANSWERS.

    Args:
        items: rows of ITEMS.
        prompts: of each, its tokens.
        onsets: what the answers of an item stand for; null: unpatched.
        written: new tokens of each item at each of them.
        decoder: makes text of them.
        eos: end-of-text token; it is no part of an answer.
        stamp: constant columns.
    """
    rows = []
    for item, prompt, answers in zip(items, prompts, written, strict=True):
        keys = {name: item[name] for name in (*KEYS, "intervention")}
        for onset, tokens in zip(onsets, answers, strict=True):
            new = tokens[:-1] if tokens and tokens[-1] == eos else tokens
            text = decoder.text(prompt, new)
            rows.append(
                {
                    **stamp,
                    **keys,
                    "onset": onset,
                    "raw_text": text,
                    "n_new_tokens": len(new),
                    "unterminated": answer_of(text)[1],
                    "error": None,
                }
            )
    return ANSWERS.build(rows)
