"""Scores against the hand-made goldens (specification of `unify`, 9.1) and naive loops."""

import numpy as np
import polars as pl
import pytest

from polylore.errors import DataError
from polylore.metrics.unification import (
    Distractors,
    Items,
    Scores,
    Variant,
    What,
    chance_overlap,
    cka,
    cka_debiased,
    cluster_weights,
    contributions,
    half_of,
    measure,
    neighbour_overlap,
    normalised,
    permutations,
    prepared,
    score_draws,
    shuffled_null,
    u_items,
    u_proc,
    unification,
    unit_overlap,
)
from polylore.metrics.unification import vectors as blocks

Z = np.array([(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0)], dtype=float)
UP = np.array([0, 0, 2.0])
TWO = (np.eye(2), np.array([(0.8, 0.6), (0.6, 0.8)]))
THREE = (np.eye(3), np.array([(0.6, 0, 0.8), (0.6, 0.8, 0), (0, 0.6, 0.8)]))
NAMES = ("par", "within", "cross", "u_diff", "u_norm", "u_pair", "c", "auc", "ret1")


def compare(x, y, center="none", kind="all", relation=None, value=None):
    _, unit = prepared(np.stack([x, y]), center=center)
    n = len(x)
    relation = np.zeros(n, int) if relation is None else relation
    value = np.arange(n) if value is None else value
    return contributions(unit[0], unit[1], Distractors(kind, relation, value))


@pytest.mark.parametrize(
    ("x", "y", "center", "expected"),
    [
        (*TWO, "none", (0.8, 0.48, 0.6, 0.32, 0.6154, 0.2, -0.12, 0.5, 1)),
        (*THREE, "none", (0.7333, 0.2467, 0.3333, 0.4867, 0.6460, 0.4, -0.0867, 0.9167, 0.6667)),
        (Z + UP, Z - UP, "none", (-0.6, 0.7333, -0.8667, -1.3333, -5, 0.2667, 1.6, 0, 1)),
        (Z + UP, Z - UP, "lang", (1, -0.3333, -0.3333, 1.3333, 1, 1.3333, 0, 1, 1)),
        (Z + UP, Z + UP, "none", (1, 0.7333, 0.7333, 0.2667, 1, 0.2667, 0, 1, 1)),
    ],
)
def test_goldens(x, y, center, expected) -> None:
    found = Scores.of(compare(x, y, center))
    assert [float(getattr(found, name)) for name in NAMES] == pytest.approx(expected, abs=1e-4)


def test_golden_contributions_of_items() -> None:
    items = compare(*THREE)
    assert items.par == pytest.approx([0.6, 0.8, 0.8], abs=1e-4)
    assert items.within == pytest.approx([0.25, 0.21, 0.28], abs=1e-4)
    assert u_items(items) == pytest.approx([0.3467, 0.6267, 0.4867], abs=1e-4)
    assert u_items(items).mean() == pytest.approx(0.4867, abs=1e-4)


def test_golden_cka() -> None:
    assert cka(*THREE) == pytest.approx(0.9524, abs=1e-4)
    a = np.array([(1, 0), (0, 1), (-1, 0), (0, -1), (2, 1)], dtype=float)
    assert (cka(a, a[:, ::-1]), cka_debiased(a, a[:, ::-1])) == pytest.approx((1, 1), abs=1e-9)
    b = np.array([(1, 1), (0, 1), (-1, 0), (1, -1), (0, 1)], dtype=float)
    assert (cka(a, b), cka_debiased(a, b)) == pytest.approx((0.5750, 0.5222), abs=1e-4)
    assert np.isnan(cka_debiased(*THREE))
    assert np.isnan(cka(np.ones((9, 3)), a[[0] * 9]))


def test_golden_chance_of_neighbours() -> None:
    assert chance_overlap(255, 10) == pytest.approx(0.02, abs=0.002)
    random = np.random.default_rng(0).normal(size=(2, 256, 32))
    _, unit = prepared(random)
    found = neighbour_overlap(*unit)
    assert found.mean() == pytest.approx(chance_overlap(255, 10), abs=0.006)
    assert neighbour_overlap(unit[0], unit[0]).min() == 1
    assert unit_overlap(unit[0], unit[0], 5).min() == 1
    with pytest.raises(DataError, match="choose k in 1"):
        neighbour_overlap(unit[0][:4], unit[1][:4])


def naive(x, y, mask):
    """The definitions, item by item."""

    def cos(u, v):
        return float(u @ v / np.linalg.norm(u) / np.linalg.norm(v))

    out = {name: [] for name in ("par", "within_a", "within_b", "cross", "auc", "rank", "ret")}
    for i in range(len(x)):
        others = [j for j in range(len(x)) if mask[i, j]]
        par = cos(x[i], y[i])
        sides = []
        for own, other in ((x, y), (y, x)):
            inside = [cos(own[i], own[j]) for j in others]
            across = [cos(own[i], other[j]) for j in others]
            wins = [1.0 if c < par - 1e-6 else 0.5 if abs(c - par) <= 1e-6 else 0.0 for c in inside]
            nearer = sum(c > par + 1e-6 for c in across)
            level = sum(abs(c - par) <= 1e-6 for c in across)
            sides.append(
                (
                    np.mean(inside),
                    np.mean(across),
                    np.mean(wins),
                    1 + nearer + level / 2,
                    1 / (1 + level) if nearer == 0 else 0.0,
                )
            )
        (wa, *a), (wb, *b) = sides
        row = (par, wa, wb, *((p + q) / 2 for p, q in zip(a, b, strict=True)))
        for name, value in zip(out, row, strict=True):
            out[name].append(value)
    return out


@pytest.mark.parametrize("kind", ["all", "same_relation", "diff_value"])
@pytest.mark.parametrize("block", [2**20, 60])
def test_contributions_are_those_of_a_loop(kind, block, monkeypatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", block)
    generator = np.random.default_rng(1)
    x = generator.normal(size=(24, 5))
    y = x + generator.normal(size=(24, 5))
    y[3], x[7] = x[3], x[6]
    relation, value = np.arange(24) % 3, np.arange(24) // 3 % 4
    mask = ~np.eye(24, dtype=bool)
    if kind != "all":
        mask &= relation[:, None] == relation
    if kind == "diff_value":
        mask &= value[:, None] != value
    found = compare(x, y, kind=kind, relation=relation, value=value)
    for name, expected in naive(x, y, mask).items():
        assert getattr(found, name) == pytest.approx(expected, abs=1e-9), name


def test_means_are_those_of_the_closed_form() -> None:
    generator = np.random.default_rng(6)
    states = generator.normal(size=(2, 300, 7)) + 0.5
    _, (x, y) = prepared(states)
    found = Scores.of(contributions(x, y, Distractors.everything(300)))

    def mean_of_pairs(u, v):
        return (u.sum(axis=0) @ v.sum(axis=0) - (u * v).sum()) / (300 * 299)

    assert found.within == pytest.approx((mean_of_pairs(x, x) + mean_of_pairs(y, y)) / 2)
    assert found.cross == pytest.approx(mean_of_pairs(x, y))


def test_identities_hold() -> None:
    generator = np.random.default_rng(2)
    x = generator.normal(size=(40, 6)) + 1
    items = compare(x, x + generator.normal(size=(40, 6)), kind="same_relation",
                    relation=np.arange(40) % 4)  # fmt: skip
    found = Scores.of(items)
    assert found.u_diff == pytest.approx(found.u_pair - found.c, abs=1e-12)
    assert u_items(items).mean() == pytest.approx(float(found.u_diff), abs=1e-12)


def test_shuffled_pairs_score_minus_c() -> None:
    generator = np.random.default_rng(3)
    x = generator.normal(size=(60, 6)) + 1
    y = x + generator.normal(size=(60, 6)) - 2
    _, unit = prepared(np.stack([x, y]))
    relation = np.arange(60) % 5
    others = Distractors("all", relation, np.arange(60))
    found = Scores.of(contributions(unit[0], unit[1], others))
    swaps = permutations(np.zeros(60), draws=4000)
    null = shuffled_null(unit[0], unit[1], float(found.within), swaps, others)
    assert null.u_pair.mean() == pytest.approx(0, abs=0.003)
    # Par of a shuffle is also the mean over all pairs, so U_diff of shuffled pairs is -C of them.
    cross = null.par - null.u_pair
    assert null.u_diff.mean() == pytest.approx(-(float(found.within) - cross.mean()), abs=0.003)
    assert abs(float(found.c)) > 0.3
    one = permutations(relation, draws=1)[0]
    assert (relation[one] == relation).all()
    by_hand = Scores.of(contributions(unit[0], unit[1][one], others))
    single = shuffled_null(unit[0], unit[1], float(found.within), one[None], others)
    assert single.u_norm[0] == pytest.approx(float(by_hand.u_norm))
    assert single.u_pair[0] == pytest.approx(float(by_hand.u_pair))


def test_rotated_language_is_linearly_alignable() -> None:
    generator = np.random.default_rng(4)
    x = generator.normal(size=(80, 6))
    turn = np.linalg.qr(generator.normal(size=(6, 6)))[0]
    _, unit = prepared(np.stack([x, x @ turn]))
    others = Distractors.everything(80)
    assert Scores.of(contributions(unit[0], unit[1], others)).u_norm < 0.5
    fit = half_of(np.array([f"e{i // 2}" for i in range(80)]), 0)
    assert fit.sum() == 40
    assert (fit[::2] == fit[1::2]).all()
    assert u_proc(unit[0], unit[1], fit, others) == pytest.approx(1)


def test_what_centring_leaves_of_equal_states_has_no_direction() -> None:
    states = np.full((2, 5, 4), 0.1, dtype=np.float32) + np.float32(1e-9)
    _, unit = prepared(states, center="lang")
    assert np.isnan(unit).all()
    assert np.isnan(Scores.of(contributions(unit[0], unit[1], Distractors.everything(5))).par)
    assert np.isnan(normalised(np.array(1.0), np.array(1 - 1e-7)))
    _, scaled = prepared(np.random.default_rng(0).normal(size=(2, 50, 3)) * [1, 100, 1],
                         standardize=True)  # fmt: skip
    assert (np.abs(scaled) < 0.9).all(axis=(0, 1)).sum() < 3
    with pytest.raises(DataError, match="unknown"):
        Distractors("near", np.zeros(2), np.zeros(2))  # type: ignore[arg-type]


def sample(n=32, seed=0, languages=2, noise=1.0):
    generator = np.random.default_rng(seed)
    states = generator.normal(size=(n, 1, 2, 2, 8)) + noise * generator.normal(
        size=(n, languages, 2, 2, 8)
    )
    tokens = np.zeros((n, languages, 3), dtype=int)
    tokens[:, :, 2] = np.arange(languages)
    items = Items(
        [f"f{i}" for i in range(n)],
        [f"e{i // 2}" for i in range(n)],
        np.arange(n) % 4,
        np.arange(n),
        tokens,
    )
    return states.astype(np.float32), items


PLAIN = (Variant(),)


def tables(states, items, step=0, init=0, variants=PLAIN):
    return measure(
        states,
        items,
        What("r", step, "fact", "mono", init),
        languages=["a", "b", "c"][: states.shape[1]],
        positions=[1, 2],
        variants=variants,
    )


def test_grid_and_baselines() -> None:
    states, items = sample()
    later, _ = sample(noise=0.3)
    fresh, _ = sample(seed=9)
    parts = [tables(states, items), tables(later, items, 10), tables(fresh, items, 0, 1)]
    sims, grid = (pl.concat([part[k] for part in parts]) for k in (0, 1))
    table = unification(sims, grid, draws=200)
    assert table.height == 2 * 4 * 2
    row = table.filter(step=10, layer=1, position=2, pair="a-b").row(0, named=True)
    by_hand = Scores.of(compare(later[:, 0, 1, 1], later[:, 1, 1, 1]))
    for name in NAMES:
        assert row[name] == pytest.approx(float(getattr(by_hand, name)), abs=1e-6)
    start = table.filter(step=0, layer=1, position=2, pair="a-b").row(0, named=True)
    other = Scores.of(compare(fresh[:, 0, 1, 1], fresh[:, 1, 1, 1]))
    assert row["u_step0"] == start["u_norm"]
    assert row["u_excess"] == pytest.approx(row["u_norm"] - start["u_norm"])
    assert row["u_fresh"] == pytest.approx(float(other.u_norm), abs=1e-6)
    assert row["lo"] < row["u_norm"] < row["hi"]
    # One shuffle in eight leaves a pair of this relation together.
    assert row["u_null"] == pytest.approx(row["u_norm"] / 8, abs=0.05)
    assert not row["trivial"]
    assert table.filter(position=1)["trivial"].all()
    assert not table.filter(position=2)["trivial"].any()


def test_three_languages_are_averaged_over_pairs() -> None:
    states, items = sample(languages=3)
    table = unification(*tables(states, items), draws=100).filter(layer=0, position=2)
    pairs = table.filter(pl.col("pair") != "all")
    assert pairs["pair"].to_list() == ["a-b", "a-c", "b-c"]
    row = table.filter(pair="all").row(0, named=True)
    assert row["u_norm"] == pytest.approx(pairs["u_norm"].mean())
    assert row["hi"] - row["lo"] < (pairs["hi"] - pairs["lo"]).max()


def test_trivial_items_are_left_out_and_few_items_are_null() -> None:
    states, items = sample()
    tokens = items.tokens_NLT.copy()
    tokens[4:, 1, 1] = 7
    some = Items(items.fact_ids, items.entities, items.relation_N, items.value_N, tokens)
    table = unification(*tables(states, some), draws=0).filter(layer=0, position=1, pair="a-b")
    kept = Scores.of(compare(states[4:, 0, 0, 0], states[4:, 1, 0, 0]))
    assert table["n"][0] == 28
    assert table["u_norm"][0] == pytest.approx(float(kept.u_norm), abs=1e-6)
    few, seven = sample(7)
    table = unification(*tables(few, seven), draws=0)
    assert table["u_norm"].null_count() == table.height
    assert set(table["reason"]) == {"fewer than 8 items"}


def test_constant_states_are_null_with_a_reason() -> None:
    states, items = sample()
    states[:] = states[0, 0]
    variants = (Variant(), Variant(center="lang"))
    table = unification(*tables(states, items, variants=variants), draws=0)
    none, lang = table.filter(center="none"), table.filter(center="lang")
    assert set(none["reason"]) == {"all items coincide"}
    assert none["u_norm"].null_count() == none.height
    assert set(lang["reason"]) == {"states are constant or items have no distractors"}
    assert lang["par"].null_count() == lang.height


def test_bootstrap_never_compares_an_item_with_its_copy() -> None:
    states, _ = sample(24, seed=5)
    x, y = states[:, 0, 0, 0], states[:, 1, 0, 0]
    items = compare(x, y)
    right = float(Scores.of(items).u_diff)
    weights = cluster_weights([f"e{i}" for i in range(24)], draws=400, seed=1)
    norm, diff = score_draws(items.par[:, None], items.within[:, None], weights)
    assert norm.shape == (400, 1)
    assert diff.mean() == pytest.approx(right, abs=0.02)
    wrong = []
    for row in weights.astype(int):
        drawn = np.repeat(np.arange(24), row)
        wrong.append(float(Scores.of(compare(x[drawn], y[drawn])).u_diff))
    # A copy is a distractor with cosine 1: within rises by about (1 - within)/n.
    assert np.mean(wrong) < right - 0.02
    draw = weights[0]
    par = draw @ items.par / draw.sum()
    within = 2 * (draw @ items.within) / draw.sum() - items.within.mean()
    assert diff[0, 0] == pytest.approx(par - within)
    assert norm[0, 0] == pytest.approx((par - within) / (1 - within))


def test_bootstrap_spread_is_that_of_new_samples() -> None:
    """The interval of U_diff is as wide as U_diff varies over samples of items."""
    values, widths = [], []
    for seed in range(60):
        states, _ = sample(40, seed=seed)
        items = compare(states[:, 0, 0, 0] + 1, states[:, 1, 0, 0] + 1)
        values.append(float(Scores.of(items).u_diff))
        weights = cluster_weights([str(i) for i in range(40)], draws=200, seed=seed)
        diff = score_draws(items.par[:, None], items.within[:, None], weights)[1]
        widths.append(diff.std())
    assert np.mean(widths) == pytest.approx(np.std(values), rel=0.3)


def test_clusters_are_drawn_whole() -> None:
    weights = cluster_weights(["a", "a", "b", "c"], draws=50)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 1:].sum(axis=1) == 3).all()


def test_states_must_fit_their_items() -> None:
    states, items = sample()
    with pytest.raises(DataError, match="do not fit"):
        tables(states[:10], items)
