"""The world of the acceptance experiment of `inject`."""

import pytest
from acceptance.inject.world import AWAY, CITY, HELD_OUT, HOME, REGION, World, WorldConfig

from polylore.facts.people import lint_items
from polylore.training.documents import open_documents
from polylore.training.tokenizer import encode, open_tokenizer


@pytest.fixture(scope="module", params=["shared", "transliterated"])
def world(request):
    return World(WorldConfig(names=request.param))


def test_languages_share_names_alone(world):
    home, away = (set(world.lexicon[lang].values()) for lang in (HOME, AWAY))
    assert not home & away
    assert len(home) == len(away) == len(world.lexicon[HOME])
    people = range(world.config.subjects + world.config.items + world.config.controls)
    names = {lang: [world.name(n, lang) for n in people] for lang in (HOME, AWAY)}
    assert len(set(names[HOME])) == len(people)
    assert (names[HOME] == names[AWAY]) == (world.config.names == "shared")


def test_items_can_be_asked_and_not_copied(world):
    fiction = world.fiction
    tokenizer_free = lint_items(fiction)
    assert not tokenizer_free.height, tokenizer_free["message"].to_list()
    texts = {}
    for item, lang, text in fiction.passages.select("item_id", "lang", "text").iter_rows():
        texts.setdefault((item, lang), []).append(text)
    for row in fiction.probes.iter_rows(named=True):
        own = texts[row["item_id"], row["lang"]]
        held = [row["target"] in text.split() for text in own]
        assert all(held) if row["depth"] != "compositional" else not any(held)
        if row["depth"] == "memorization":
            assert f"{row['prefix']} {row['target']} ." in own[0]
    unseen = {lang: world.lexicon[lang][f"w{HELD_OUT}"] for lang in (HOME, AWAY)}
    for (_, lang), own in texts.items():
        assert not any(unseen[lang] in text.split() for text in own)
        assert len(set(own)) == len(own) == 1 + world.config.variants


def test_the_background_knows_no_item_and_says_where_cities_lie(world):
    found = [world.document(0, n) for n in range(2000)]
    assert found[:50] == [world.document(0, n) for n in range(50)]
    assert found[:50] != [world.document(1, n) for n in range(50)]
    text = "\n".join(text for _, text in found)
    for n in range(world.config.items + world.config.controls):
        for lang in (HOME, AWAY):
            assert world.name(world.item_person(n), lang) not in text
    for lang in (HOME, AWAY):
        assert world.lexicon[lang][f"w{HELD_OUT}"] in text
    assert 0.4 < sum(lang == HOME for lang, _ in found) / len(found) < 0.6
    bridges = [t for _, t in found if t.count(".") == 1]
    assert 0.07 < len(bridges) / len(found) < 0.13
    words = world.lexicon[HOME]
    for city in range(world.config.objects):
        sentence = world.say(HOME, 0, words[f"o{CITY}.{city}"], REGION, f"g{city % 4}")
        wrong = world.say(HOME, 0, words[f"o{CITY}.{city}"], REGION, f"g{(city + 1) % 4}")
        assert wrong not in text
        assert sentence.split()[-2] == words[f"g{world.region_of(city)}"]


def test_nothing_can_be_known_of_strangers(world):
    config = world.config
    known = {world.name(n, HOME) for n in range(config.subjects)}
    told = {}
    people = 0
    for n in range(6000):
        lang, text = world.document(0, n)
        sentences = [sentence.split() for sentence in text.removesuffix(" .").split(" . ")]
        if lang != HOME or len(sentences) == 1:
            continue
        # The words of a sentence that the language does not own are the name.
        own = set(world.lexicon[HOME].values())
        names = {" ".join(w for w in sentence if w not in own) for sentence in sentences}
        assert len(names) == 1
        name = names.pop()
        people += 1
        for sentence in sentences:
            relation = next(w for w in sentence if w in _relations(world))
            told.setdefault(name, {}).setdefault(relation, set()).add(sentence[-1])
    strangers = {name: facts for name, facts in told.items() if name not in known}
    assert len(told.keys() & known) == config.subjects
    assert all(len(o) == 1 for n in told.keys() & known for o in told[n].values())
    several = [objects for facts in strangers.values() for objects in facts.values()]
    assert max(map(len, several)) > 1  # another document says something else
    share = config.stranger_share / (1 - config.bridge_share)
    assert 0.5 * share < len(strangers) / people < 1.5 * share


def _relations(world):
    names = [f"r{n}" for n in range(world.config.relations)] + [REGION]
    return {world.lexicon[HOME][name] for name in names}


def test_every_sentence_has_eight_tokens(world, tmp_path):
    world.save_tokenizer(tmp_path / "tokenizer")
    tokenizer = open_tokenizer(tmp_path / "tokenizer")
    assert len(tokenizer) <= 2048
    world.compose(tmp_path / "corpus", 60, seed=3)
    documents = open_documents(tmp_path / "corpus")
    texts = [text for frame in documents.frames() for text in frame["text"]]
    assert texts == [world.document(3, n)[1] for n in range(60)]
    for ids, text in zip(encode(tokenizer, texts), texts, strict=True):
        assert tokenizer.unk_token_id not in ids
        n = text.count(".")
        assert len(ids) == (5 if n == 1 else 8 * n)
    passages = encode(tokenizer, world.fiction.passages["text"].to_list())
    assert {len(ids) for ids in passages} == {8 * world.config.relations}
    targets = encode(tokenizer, world.fiction.probes["target"].to_list())
    assert {len(ids) for ids in targets} == {1}
