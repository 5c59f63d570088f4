"""The sham run tells of people whom nobody else reads of, in the same language."""

from acceptance.inject.others import other_people
from acceptance.inject.world import World, WorldConfig

from polylore.facts.people import read_fiction


def test_as_many_others_as_take_turns(tmp_path):
    world = World(WorldConfig(items=6, controls=4, subjects=20))
    other_people(world, tmp_path)
    others = read_fiction(tmp_path)
    assert others.items.height == 6
    assert not others.items["control"].any()
    assert not set(others.items["item_id"]) & set(world.fiction.items["item_id"])
    named = {world.name(n, "qaa") for n in range(30)}
    assert not any(name in text for name in named for text in others.passages["text"])
    words = {w for own in world.lexicon.values() for w in own.values()}
    assert set(others.probes["target"]) <= words
