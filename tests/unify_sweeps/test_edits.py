"""Which facts are edited, rehearsed and asked, and which are compared: never the same twice."""

from typing import Any

import numpy as np
import pytest

from polylore.errors import DataError
from polylore.facts.worlds import World, WorldConfig, make_world, token_preset
from polylore.studies.unify import causal
from polylore.studies.unify.sample import facts_of
from polylore.training.tiny.config import Recipe
from polylore.training.tiny.edits import STEPS
from polylore.training.tiny.sizes import Sizes
from polylore.training.tiny.stack import TinyModel


def world(**knobs: Any) -> World:
    sharing = token_preset(knobs.pop("tokens", "shared_names"))
    return make_world(WorldConfig.parse({"entities": 16, "relations": 2, **sharing, **knobs}))


@pytest.fixture
def rehearsed(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Rows that were trained beside the edits, of a model that knows everything."""
    rows: list[np.ndarray] = []

    def edited(model: TinyModel, edits: Any, rest: Any, **_: Any) -> TinyModel:
        rows.extend(rest(step) for step in range(1, STEPS + 1))
        return model

    monkeypatch.setattr(causal, "edited", edited)
    monkeypatch.setattr(causal, "says", lambda model, asked: np.zeros(len(asked.prompts), int))
    return rows


def fresh(made: World) -> TinyModel:
    return TinyModel.fresh(Sizes.of(Recipe(hidden=32), len(made.words)), 0)


@pytest.mark.parametrize("retained", [512, 8])
def test_what_measures_retention_is_not_rehearsed(
    rehearsed: list[np.ndarray], monkeypatch: pytest.MonkeyPatch, retained: int
) -> None:
    monkeypatch.setattr(causal, "RETAINED", retained)
    made = world(p=0.5)
    rows = causal.edit_rows(fresh(made), made, "run", 1, 4)
    kept = rows.filter(set="retention")
    assert kept.height == min(retained, (made.seen.sum() - _edited(made, rows)) // 2)
    asked = {
        tuple(row)
        for fact, lang in kept.select("fact_id", "lang").iter_rows()
        for row in made.evaluation(
            np.array([made.cell_of[made.fact_ids.index(fact), made.languages.index(lang)]])
        ).tokens.tolist()
    }
    of_first = rehearsed[:STEPS]  # the other set has a copy of its own
    trained = {tuple(row[: made.prompt_len]) for step in of_first for row in step.tolist()}
    assert trained
    assert not asked & trained


def _edited(made: World, rows: Any) -> int:
    """Seen cells of the facts of the first set."""
    facts = [made.fact_ids.index(fact) for fact in rows.filter(set="x")["fact_id"]]
    return int((made.seen & np.isin(made.fact, facts)).sum())


def test_facts_without_another_value_are_not_edited(rehearsed: list[np.ndarray]) -> None:
    made = world(values=2, lam=1, relations=1, tokens="shared")  # one value to a language
    assert causal.edit_rows(fresh(made), made, "run", 1, 4).height == 0
    with pytest.raises(DataError, match=r"has no other value .* measure\.edits: 0"):
        causal._new_values(made, np.array([0]), np.random.default_rng(0))


def test_facts_told_in_some_languages_are_parallel_alone() -> None:
    made = world(languages=4, values=8, p=0.5, parallel_langs=2)
    mono, parallel = facts_of(made, "mono"), facts_of(made, "parallel")
    told = np.array([made.seen[made.cell_of[fact]].sum() for fact in range(len(made.fact_ids))])
    assert set(told[mono]) == {1}
    assert set(told[parallel]) == {2}
    assert len(mono) + len(parallel) == (told > 0).sum()
