"""What is drawn: counts, splits, presentations, tokens."""

import numpy as np
import pytest

from polylore.facts.worlds import (
    World,
    WorldConfig,
    attribute_design,
    make_card,
    make_world,
    presentations,
    token_preset,
)

TOY = {"never_seen": 0}


def world(**knobs) -> World:
    return make_world(WorldConfig.parse({"entities": 60, "relations": 4, "never_seen": 8, **knobs}))


def per_fact(made: World, values: np.ndarray) -> np.ndarray:
    """[facts, languages]."""
    return values[made.cell_of]


@pytest.mark.parametrize(("p", "n"), [(0, 0), (0.06, 4), (0.25, 15), (0.5, 30), (1, 60)])
def test_entity_split_counts_whole_entities(p: float, n: int) -> None:
    made = world(p=p)
    seen = per_fact(made, made.seen)
    entity = per_fact(made, made.entity)[:, 0]
    parallel = {e for e, row in zip(entity, seen, strict=True) if row.all()}
    assert len(parallel) == n
    homes = per_fact(made, made.home)[:, 0]
    shown = entity < 60
    assert (seen[np.flatnonzero(shown), homes[shown]]).all()
    assert not seen[~shown].any()
    # As many of one home as of the other, and all facts of an entity alike.
    by_home = [len({e for e in parallel if homes[entity == e][0] == h}) for h in (0, 1)]
    assert abs(by_home[0] - by_home[1]) <= 1
    assert seen.sum() == 4 * (60 + n)


def test_fact_and_relation_split() -> None:
    made = world(p=0.25, split="fact")
    seen = per_fact(made, made.seen)[: 60 * 4]
    assert (seen.sum(axis=1) == 2).sum() == 60
    homes = per_fact(made, made.home)[: 60 * 4, 0]
    assert (homes == 0).sum() == 120
    made = world(p=0.5, split="relation")
    several = per_fact(made, made.seen)[: 60 * 4].sum(axis=1).reshape(60, 4) == 2
    assert several.all(axis=0).sum() == 2
    assert several.any(axis=0).sum() == 2


def test_a_smaller_p_is_part_of_a_larger_one() -> None:
    small, large = (world(p=p).seen for p in (0.2, 0.6))
    assert (large | ~small).all()


def test_populations_are_never_merged() -> None:
    made = world(p=0.5, languages=4, parallel_langs=2)
    seen = per_fact(made, made.seen)
    assert set(seen[: 60 * 4].sum(axis=1)) == {1, 2}
    names = made.facts["population"].to_numpy()
    count = seen.sum(axis=1)[made.fact]
    assert ((names == "never_seen") == (count == 0)).all()
    assert ((names == "mono_unseen") == (~made.seen & (count > 0))).all()
    assert ((names == "parallel") == (made.seen & (count > 1))).all()
    assert ((names == "mono_seen") == (made.seen & (count == 1))).all()
    assert not set(made.cells("mono_unseen")) & set(np.flatnonzero(made.seen))


def test_ratio_and_remainder() -> None:
    made = world(ratio=[0.9, 0.1])
    assert np.bincount(per_fact(made, made.home)[:240, 0]).tolist() == [216, 24]
    made = make_world(WorldConfig(entities=10, languages=3, values=9, relations=1, never_seen=0))
    assert np.bincount(per_fact(made, made.home)[:, 0]).tolist() == [4, 3, 3]


def test_skew_is_as_asked() -> None:
    made = world(lam=1.0)
    assert (made.value_owner[made.value] == made.home).all()
    assert set(made.value) == set(range(20))
    made = make_world(WorldConfig(lam=0.5, relations=40, never_seen=0))
    own = (made.value_owner[made.value] == made.home).mean()
    assert own == pytest.approx(0.75, abs=0.01)
    zipf = make_world(WorldConfig(value_prior="zipf(1)", relations=40, never_seen=0))
    share = np.bincount(zipf.value, minlength=20) / len(zipf.value)
    expected = 1 / np.arange(1, 11) / (1 / np.arange(1, 11)).sum() / 2
    assert np.abs(share - np.tile(expected, 2)).max() < 0.01


@pytest.mark.parametrize(
    ("knobs", "parallel", "mono"),
    [
        ({"p": 0}, None, 200),
        ({"p": 0.9}, 105.3, 105.3),
        ({"p": 0.5}, 133.3, 133.3),
        ({"p": 0.5, "exposure": "fact"}, 100, 200),
    ],
)
def test_presentations_of_409600(knobs: dict, parallel: float | None, mono: float) -> None:
    made = make_world(WorldConfig.parse({**TOY, **knobs}))
    steps = 409_600 // 512
    found = presentations(made, steps, 512)
    assert found["total"] == 409_600
    # An incomplete last batch of an epoch is dropped, so populations waver a little.
    assert found["mono_seen"]["mean"] == pytest.approx(mono, abs=0.5)
    if parallel is not None:
        assert found["parallel"]["mean"] == pytest.approx(parallel, abs=0.5)
    if knobs.get("exposure") == "fact" or not knobs["p"]:
        assert made.steps_for(200, 512) == steps


def test_dup_presents_as_much_as_cell_but_in_one_language() -> None:
    dup = make_world(WorldConfig(exposure="dup", delta=0.75, never_seen=0))
    cell = make_world(WorldConfig(exposure="cell", p=0.75, never_seen=0))
    assert dup.weight.sum() == cell.weight.sum() == 256 * 8 * 1.75
    assert not len(dup.cells("parallel"))
    assert sorted(set(dup.weight[dup.seen])) == [1, 2]
    assert (dup.weight[dup.seen] == 2).mean() == 0.75
    three = make_world(WorldConfig(languages=4, p=0.5, exposure="fact", parallel_langs=3))
    assert set(three.weight[three.cells("parallel")]) == {1}
    assert set(three.weight[three.cells("mono_seen")]) == {3}


def test_zipf_weights_are_whole_numbers_from_one() -> None:
    made = make_world(WorldConfig(zipf_alpha=1.0, entities=100, relations=2))
    weights = made.weight[made.seen]
    assert weights.min() == 1
    assert weights.max() == 100
    by_entity = {e: set(weights[made.entity[made.seen] == e]) for e in range(100)}
    assert all(len(own) == 1 for own in by_entity.values())


@pytest.mark.parametrize(
    ("knobs", "size"),
    [({}, 857), ({"entities": 64, "relations": 4, "values": 10}, 225)],
)
@pytest.mark.parametrize("preset", ["shared", "shared_names", "shared_values", "disjoint"])
def test_vocabulary_is_as_large_in_every_arm(knobs: dict, size: int, preset: str) -> None:
    made = make_world(WorldConfig.parse({**TOY, **knobs, **token_preset(preset)}))
    assert len(made.words) == len(set(made.words)) == size


@pytest.mark.parametrize("share", [0, 0.25, 0.5, 0.75, 1])
def test_shares_are_exact(share: float) -> None:
    made = world(**token_preset("subword", share), entities=256)
    names = made.name_tokens[made.cell_of]
    letters = [set(names[:, lang].ravel()) for lang in (0, 1)]
    assert len(letters[0] & letters[1]) == 32 * share
    assert len(made.words) == len(world(**token_preset("subword", 0.1), entities=256).words)
    lean = world(**token_preset("subword", share), entities=256, pad_vocab=False)
    assert len(made.words) - len(lean.words) == 32 * share
    assert lean.facts["subject"].to_list() == made.facts["subject"].to_list()


def test_names_of_letters() -> None:
    same = world(**token_preset("transliterated"))
    other = world(**token_preset("scrambled"))
    for made, alike in ((same, True), (other, False)):
        names = made.name_tokens[made.cell_of]
        assert len({tuple(row) for row in names[::4, 0]}) == 68
        # In the order of the vocabulary the alphabets stand one behind the other.
        spelling = names - names.min(axis=(0, 2), keepdims=True)
        assert (spelling[:, 0] == spelling[:, 1]).all() == alike


def test_false_friends_mean_something_else() -> None:
    made = world(**token_preset("false_friends", 0.5), never_seen=0)
    names = made.name_tokens[made.cell_of[::4], 0]
    first = {int(token): entity for entity, token in enumerate(names[:, 0])}
    met = [(entity, first.get(int(token))) for entity, token in enumerate(names[:, 1])]
    assert sum(other is not None for _, other in met) == 30
    assert all(entity != other for entity, other in met)


def test_values_of_several_tokens() -> None:
    made = world(value_len=2)
    assert made.value_tokens.shape == (4, 2, 20, 2)
    forms = made.value_tokens.reshape(8, 20, 2)
    assert all(len({tuple(v) for v in own}) == 20 for own in forms)
    # The second token is needed: no first token stands for one value only.
    assert all(np.bincount(own[:, 0]).max() > 1 for own in forms)
    gold = made.value_tokens[made.relation, made.lang, made.value]
    assert (gold == made.answer_tokens).all()


def test_templates_are_held_out_per_entity() -> None:
    made = world(templates=5, train_templates=3, p=0.5)
    train, held = made.train_templates, made.eval_templates
    assert train.shape[1] == 3
    assert held.shape[1] == 2
    for own, other in zip(train, held, strict=True):
        assert sorted([*own, *other]) == list(range(5))
    found = made.evaluation(made.cells("mono_unseen"))
    assert {tuple(sorted(set(found.template[found.cell == c]))) for c in found.cell} == {
        tuple(held[c]) for c in found.cell
    }


def test_seeds_decide_what_they_are_for() -> None:
    first = world(lam=0.5)
    assert first.world_hash == world(lam=0.5).world_hash
    assert first.world_hash != world(lam=0.5, seed=1).world_hash
    other = world(lam=0.5, seeds={"split": 5}, p=0.0)
    assert (other.value == first.value).all()
    assert (other.home == first.home).all()
    skewed = world(lam=0.9)
    assert (skewed.home == first.home).all()
    derived = WorldConfig()
    assert len({derived.seed_of(name) for name in ("world", "split", "order", "cue")}) == 4
    given = WorldConfig.parse({"seeds": {n: derived.seed_of(n) for n in ("world", "init")}})
    assert given.canonical() == derived.canonical()


def test_one_language_alone_has_the_volume_and_the_size_of_two() -> None:
    two, one = world(p=0.5), world(ratio=[1, 0], exposure="dup", delta=0.5)
    assert len(one.words) == len(two.words)
    assert one.weight.sum() == two.weight.sum()
    assert set(one.facts["lang"]) == {one.languages[0]}
    assert len(one.languages) == 2
    assert not len(one.cells("mono_unseen"))
    assert attribute_design(one) == 0
    assert make_card(one)["cells"]["mono_seen"] == int(one.seen.sum())
    # With parallel facts the language is told, although nobody's home.
    both = world(ratio=[1, 0], p=0.5)
    assert set(both.facts["lang"]) == set(both.languages)
    assert set(both.facts["home_lang"]) == {both.languages[0]}
