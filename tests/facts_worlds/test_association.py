"""Golden numbers of the specification of `unify`, section 9.2, and of 2.3 to 2.5."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from polylore.facts.worlds import (
    World,
    WorldConfig,
    association,
    attribute_design,
    baselines,
    joint,
    make_card,
    make_world,
    unigram,
)
from polylore.facts.worlds.association import fact_design, permutation_null
from polylore.facts.worlds.cues import Cue
from polylore.facts.worlds.design import Grid, draw_homes, draw_seen, draw_values, draw_weights
from polylore.facts.worlds.information import (
    miller_madow,
    plug_in,
    realised_bits,
    token_information,
)

TOY = {"never_seen": 0, "share": {"names": 1, "relations": 1, "values": 1}, "cue": "tag"}


def world(**knobs) -> World:
    return make_world(WorldConfig.parse({**TOY, "relations": 2, **knobs}))


@pytest.mark.parametrize(
    ("table", "plug", "corrected"),
    [
        ([[3, 1], [1, 3]], 0.1887, 0.0986),
        ([[4, 0], [0, 4]], 1, 1.0902),
        ([[2, 2], [2, 2]], 0, -0.0902),
        ([[6, 2, 0], [1, 3, 4]], 0.4377, 0.3926),
    ],
)
def test_estimators(table: list, plug: float, corrected: float) -> None:
    assert plug_in(np.array(table)) == pytest.approx(plug, abs=1e-4)
    assert miller_madow(np.array(table)) == pytest.approx(corrected, abs=1e-4)
    assert plug_in(np.array(table).T) == pytest.approx(plug, abs=1e-4)


DESIGN = [
    (0.25, [0.0456, 0.0358, 0.0304, 0.0050, 0.0009, 0.0368, 0.0113, 0.0028]),
    (0.5, [0.1887, 0.1469, 0.1243, 0.0201, 0.0037, 0.1515, 0.0456, 0.0113]),
    (0.75, [0.4564, 0.3482, 0.2919, 0.0456, 0.0083, 0.3597, 0.1040, 0.0255]),
    (0.9, [0.7136, 0.5280, 0.4376, 0.0659, 0.0120, 0.5471, 0.1515, 0.0368]),
    (1.0, [1, 0.6862, 0.5605, 0.0817, 0.0148, 0.7136, 0.1887, 0.0456]),
]
ARMS = [("steps", 0), ("steps", 0.06), ("steps", 0.1), ("steps", 0.5), ("steps", 0.75)]
ARMS += [("fact", 0.1), ("fact", 0.5), ("fact", 0.75)]


@pytest.mark.parametrize(("lam", "expected"), DESIGN)
def test_design(lam: float, expected: list) -> None:
    found = [attribute_design(world(lam=lam, p=p, exposure=mode)) for mode, p in ARMS]
    assert found == pytest.approx(expected, abs=1e-4)
    assert attribute_design(world(lam=lam, exposure="dup", delta=0.5)) == pytest.approx(
        expected[0], abs=1e-4
    )


def test_design_of_four_languages() -> None:
    assert attribute_design(world(languages=4, lam=0.5)) == pytest.approx(0.4512, abs=1e-4)
    assert attribute_design(world(languages=4, lam=1.0)) == pytest.approx(2)


@pytest.mark.parametrize(
    ("languages", "mode", "expected"),
    [
        (2, "steps", [1, 0.6, 0.3333, 0.1429, 0]),
        (2, "fact", [1, 0.75, 0.5, 0.25, 0]),
        (4, "steps", [2, 0.8571, 0.4, 0.1538, 0]),
    ],
)
def test_facts_and_languages(languages: int, mode: str, expected: list) -> None:
    worlds = [world(languages=languages, exposure=mode, p=p) for p in (0, 0.25, 0.5, 0.75, 1)]
    assert [fact_design(one) for one in worlds] == pytest.approx(expected, abs=1e-4)
    # These shares of 256 entities are whole numbers, so what was drawn is what was designed.
    drawn = [
        association(one, 1).filter(quantity="fact", estimator="plug_in")["value"][0]
        for one in worlds
    ]
    assert drawn == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("lam", "p", "expected"),
    [
        (0.0, 0.0, [0.058, 0.004, 0.056]),
        (0.0, 0.5, [0.0125, -0.023, 0.0125]),
        (0.0, 0.75, [0.0046, -0.026, 0.0046]),
        (0.5, 0.0, [0.246, 0.194, 0.057]),
        (1.0, 0.06, [0.742, 0.716, 0.047]),
    ],
)
def test_realised(lam: float, p: float, expected: list) -> None:
    """Many relations of one world stand for many worlds: the homes of entities are balanced."""
    made = drawn(WorldConfig.parse({**TOY, "relations": 2000, "lam": lam, "p": p}))
    found = association(made, 2).filter(quantity="attribute", relation="all")
    values = dict(found.select("estimator", "value").iter_rows())
    got = [values[name] for name in ("plug_in", "miller_madow", "null_mean")]
    assert got == pytest.approx(expected, abs=0.004)
    assert values["corrected"] == pytest.approx(got[0] - got[2])
    assert values["clipped"] == max(0, values["corrected"])


def drawn(config: WorldConfig) -> Any:
    """The arrays of a world that its association follows from, without names and tables."""
    grid, languages = Grid.of(config), config.languages
    home = draw_homes(config, grid)
    seen = draw_seen(config, grid, home, config.p)
    weights = draw_weights(config, grid, home, seen)
    arrays = {
        "entity": grid.entity,
        "fact": np.arange(len(home)),
        "relation": grid.relation,
        "home": home,
        "value": draw_values(config, grid, home),
    }
    return SimpleNamespace(
        config=config,
        languages=range(languages),
        relations=[f"r{r}" for r in range(config.relations)],
        fact_ids=range(len(home)),
        lang=np.tile(np.arange(languages), len(home)),
        seen=seen.ravel(),
        population=np.zeros(seen.size),
        stage_weights=weights.reshape(1, -1),
        **{name: np.repeat(array, languages) for name, array in arrays.items()},
    )


def test_null_keeps_the_parallel_pattern_and_forgets_homes() -> None:
    skewed = world(lam=1.0)
    assert permutation_null(skewed, 20).mean() < 0.1
    assert permutation_null(world(lam=1.0, p=1.0), 3).max() == pytest.approx(0, abs=1e-12)
    shown = association(skewed, 20).filter(quantity="attribute", relation="all")
    levels = dict(shown.select("estimator", "value").iter_rows())
    assert levels["null_95"] >= levels["null_mean"] > 0
    assert levels["plug_in"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("cue", "one", "all_"),
    [
        ("tag", 1, 1),
        ("drop(.3)", 0.7, 0.7),
        ("syn(32)", 1, 1),
        ("xor(0)", 0, 1),
        ("xor(.25)", 0.0456, 1),
        ("xor(.5)", 0.1887, 1),
        ("xor(.75)", 0.4564, 1),
        ("xor(1)", 1, 1),
    ],
)
def test_what_a_cue_says(cue: str, one: float, all_: float) -> None:
    made = world(cue=cue)
    assert unigram(made) == pytest.approx(one, abs=1e-4)
    assert joint(made) == pytest.approx(all_, abs=1e-4)
    assert realised_bits(made)["ok"].all()


def test_without_a_cue_names_and_words_may_still_tell() -> None:
    made = world(cue="none", share={"names": 0, "relations": 0, "values": 0})
    assert (unigram(made), joint(made)) == (0, 0)
    assert token_information(made)["bits"].to_list() == pytest.approx([1, 1])
    shared = world(cue="none", share={"names": 1, "relations": 0, "values": 0}, p=1.0)
    assert token_information(shared)["bits"].to_list() == pytest.approx([0, 1], abs=1e-9)


def test_unequal_bits_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    made, draw = world(cue="xor(0)"), Cue.draw

    def biased(self: Cue, rng: np.random.Generator, lang: np.ndarray) -> np.ndarray:
        drawn = draw(self, rng, lang)
        often = (rng.random(len(lang)) < 0.1)[:, None]
        return np.where(
            often, self.shown[lang, 0] * (1 - lang[:, None]) + drawn * lang[:, None], drawn
        )

    monkeypatch.setattr(Cue, "draw", biased)
    found = realised_bits(made)
    assert not found["ok"].all()
    assert any("more about the language" in text for text in make_card(made)["warnings"])


@pytest.mark.parametrize(
    ("lam", "p", "loss"),
    [(0, 0, 2.9957), (0.5, 0, 2.8649), (0.9, 0, 2.5011), (1, 0, 2.3026), (1, 0.06, 2.5201)],
)
def test_baselines(lam: float, p: float, loss: float) -> None:
    found = baselines(world(lam=lam, p=p))
    assert found["chance"] == 0.05
    assert found["no_knowledge"] == pytest.approx(np.log(20))
    assert found["language_conditional"] == pytest.approx(loss, abs=1e-4)


def test_relations_and_curricula_have_a_design_too() -> None:
    whole = attribute_design(world(lam=1.0))
    split = world(lam=1.0, relations=4, split="relation", p=0.5)
    assert attribute_design(split) == pytest.approx(whole / 2)
    stages = [{"steps": 10}, {"steps": 10}]
    staged = world(lam=0.75, p=0.5, curriculum=stages)
    assert attribute_design(staged) == pytest.approx(
        attribute_design(world(lam=0.75, p=0.5)), abs=1e-4
    )
    first = world(lam=0.75, p=0.5, curriculum=[{"steps": 10, "show": "mono"}])
    assert attribute_design(first) == pytest.approx(
        attribute_design(world(lam=0.75, p=0)), abs=1e-4
    )
