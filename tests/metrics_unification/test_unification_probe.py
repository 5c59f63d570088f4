"""Language probe, codelength and used association (specification of `unify`, 2.3, 2.4, 2.7)."""

import numpy as np
import polars as pl
import pytest

from polylore.metrics.unification import (
    What,
    codelength,
    pref_mass,
    probe,
    probe_rows,
    used_association,
    used_info,
)
from polylore.tables.unify import VALUES

ENTITIES = [f"e{i // 2}" for i in range(128)]


def noise(languages=2, d=6):
    return np.random.default_rng(0).normal(size=(128, languages, d))


@pytest.mark.parametrize("languages", [2, 3])
def test_a_shared_token_gives_exactly_one_in_l(languages: int) -> None:
    constant = np.ones((128, languages, 6), dtype=np.float32) * np.float32(0.1)
    assert probe(constant, ENTITIES) == (1 / languages, 1 / languages)
    shared = np.repeat(noise()[:, :1], languages, axis=1)
    assert probe(shared, ENTITIES)[0] == pytest.approx(1 / languages, abs=1e-12)
    assert codelength(constant, ENTITIES) == pytest.approx(np.log2(languages))


@pytest.mark.parametrize("d", [6, 300])
def test_a_readable_language_is_read_and_a_control_is_not(d: int) -> None:
    states = noise(3, d) + 4 * np.eye(3)[:, [0, 1, 2] * (d // 3)]
    acc, control = probe(states, ENTITIES)
    assert acc == 1
    assert control == pytest.approx(1 / 3, abs=0.12)
    assert codelength(states, ENTITIES) < 0.75 * np.log2(3)
    assert codelength(noise(3, d), ENTITIES) > np.log2(3)


def test_entities_are_never_in_both_halves() -> None:
    """A language that only an entity's own direction shows cannot be read of other entities."""
    generator = np.random.default_rng(1)
    own = generator.normal(size=(64, 200))
    sign = generator.choice([-1, 1], size=64)
    states = np.stack([np.stack([s * v, -s * v]) for v, s in zip(own, sign, strict=True)])
    states = np.repeat(states, 2, axis=0)
    assert probe(states, ENTITIES)[0] == pytest.approx(0.5, abs=0.13)


def test_ridge_is_the_textbook_one() -> None:
    """Accuracy and ties as by explicit normal equations on the same half."""
    from polylore.metrics.unification import half_of

    states = noise() + 0.3 * np.array([1, -1])[:, None]
    train = half_of(np.array(ENTITIES), 0)
    flat = states[train].reshape(-1, 6)
    z = (flat - flat.mean(axis=0)) / flat.std(axis=0)
    y = np.tile([1.0, -1.0], train.sum())
    w = np.linalg.inv(z.T @ z + 10 * np.eye(6)) @ z.T @ y
    test = (states[~train].reshape(-1, 6) - flat.mean(axis=0)) / flat.std(axis=0)
    right = np.sign(test @ w) == np.tile([1, -1], (~train).sum())
    assert probe(states, ENTITIES)[0] == pytest.approx(right.mean())


def test_rows_of_the_grid() -> None:
    states = np.zeros((128, 2, 2, 1, 6), dtype=np.float32)
    states[:, :, 1, 0] = noise() + 5 * np.array([1, -1])[:, None]
    table = probe_rows(states, ENTITIES, What("r", 5, "fact", "mono"), positions=[2])
    assert table["acc"].to_list() == [0.5, 1.0]
    assert table["codelength"][1] < table["codelength"][0] == 1
    assert table["selectivity"][1] == pytest.approx(1 - table["control_acc"][1])
    few = probe_rows(states[:6], ENTITIES[:6], What("r", 5, "fact", "mono"), positions=[2])
    assert few["acc"].null_count() == 2
    assert few["reason"].null_count() == 0


def test_used_association() -> None:
    assert used_info(np.array([[0.7, 0.3], [0.3, 0.7]])) == pytest.approx(0.1187, abs=1e-4)
    assert used_info(np.eye(4)) == 2
    assert used_info(np.full((2, 4), 0.25)) == 0
    assert pref_mass(np.array([[0.7, 0.3], [0.4, 0.6]]), np.array([0, 1])) == pytest.approx(0.65)
    rows = [
        {"run_hash": "r", "step": 1, "population": "never_seen", "relation": relation, "lang": lang,
         "value_index": k, "prob": prob, "n": 8}
        for relation, table in (("r0", [[0.7, 0.3], [0.3, 0.7]]), ("r1", [[1, 0], [0, 1]]))
        for lang, probs in zip("ab", table, strict=True)
        for k, prob in enumerate(probs)
    ]  # fmt: skip
    table = used_association(VALUES.build(rows), ["a", "b"], np.array([0, 1]))
    assert table.filter(quantity="pref_mass", relation="all")["value"][0] == pytest.approx(0.85)
    mean = table.filter(quantity="used_info", relation="all")["value"][0]
    assert mean == pytest.approx((0.1187 + 1) / 2, abs=1e-4)
    broken = used_association(VALUES.build(rows).filter(pl.col("lang") == "a"), ["a", "b"])
    assert set(broken["reason"]) == {"not asked in every language"}
