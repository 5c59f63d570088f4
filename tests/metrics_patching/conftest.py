"""Small lexicons, plans and answers."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from polylore.facts.lexicon import Lexicon, flags_table
from polylore.tables import patch
from polylore.tables.lexicon import LEXICON, SIMILARITY
from polylore.tables.raw import CHECKPOINTS

Words = Mapping[str, Mapping[str, Sequence[str]]]


def make_lexicon(words: Words, similarity: Sequence[tuple[str, str, float]] = ()) -> Lexicon:
    """concept -> language -> forms; `form@sense` names the sense row of a form."""
    rows = []
    for concept, by_lang in words.items():
        for lang, forms in by_lang.items():
            for rank, text in enumerate(forms):
                form, _, sense = text.partition("@")
                senses = [sense or f"{concept}-1"]
                rows.append(
                    {
                        "concept_id": concept, "lang": lang, "rank": rank, "form": form,
                        "aliases": [], "sense_id": senses[0], "senses": senses, "n_slots": 1,
                        "erratum": False, "flags": [], "source": "test",
                    }
                )  # fmt: skip
    scored = [
        {"concept_a": min(a, b), "concept_b": max(a, b), "score": s} for a, b, s in similarity
    ]
    return Lexicon("test", LEXICON.build(rows), similarity=SIMILARITY.build(scored))


def make_pairs(pairs: Sequence[tuple[str, str]], shots: Sequence[str] = ()) -> pl.DataFrame:
    rows: list[dict[str, Any]] = [
        {
            "pair_id": f"p{i:04d}", "fact_id": s, "fact_id_target": t,
            "source_shots": list(shots), "target_shots": list(shots),
        }
        for i, (s, t) in enumerate(pairs)
    ]  # fmt: skip
    return patch.PAIRS.build(rows)


def make_checkpoints(tokens: Sequence[int]) -> pl.DataFrame:
    return CHECKPOINTS.build(
        [
            {
                "ckpt_id": f"c{i}", "family": "test", "model": "test", "step": i * 100,
                "tokens": n, "tokens_exact": True, "final": False, "suspect": False,
            }
            for i, n in enumerate(tokens)
        ]
    )  # fmt: skip


def run_keys(
    pair: Mapping[str, Any], a: str, b: str, setting: str, onset: int | None, **more: Any
) -> dict[str, Any]:
    """Key columns of a raw row."""
    return {
        "ckpt_id": "c0", "lang_a": a, "lang_b": b, "setting": setting, "draw": 0,
        "k": 0 if onset is None else 4, "pair_id": pair["pair_id"], "fact_id": pair["fact_id"],
        "fact_id_target": pair["fact_id_target"], "onset": onset, "engine": "suffix",
        "intervention": "none" if onset is None else "object:onset", "dtype": "float32",
        "plan_hash": "x",
    } | more  # fmt: skip


def make_answers(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    defaults = {"n_new_tokens": 1, "unterminated": False}
    return patch.ANSWERS.build([defaults | dict(row) for row in rows])


def make_scores(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Rows of run_keys with logp_full, by default of the cell (s, b)."""
    return patch.SCORES.build(
        [
            {
                "cell_concept": "src", "cell_lang": row["lang_b"], "n_forms": 1,
                "boundary_merge": False,
            } | dict(row)
            for row in rows
        ]
    )  # fmt: skip


def make_flags(lexicon: Lexicon, pairs: Sequence[tuple[str, str]]) -> pl.DataFrame:
    return flags_table(lexicon, pairs)


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """Builders of small tables."""
    return SimpleNamespace(
        lexicon=make_lexicon,
        pairs=make_pairs,
        checkpoints=make_checkpoints,
        keys=run_keys,
        answers=make_answers,
        scores=make_scores,
        flags=make_flags,
    )
