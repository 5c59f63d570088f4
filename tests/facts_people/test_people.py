"""Items from seeded grammars: far-apart names, full coverage, clean probes in every language."""

import json
import os
import subprocess
import sys
from itertools import combinations

import polars as pl
import pytest

from polylore.errors import ConfigError, DataError
from polylore.facts.people import (
    FictionConfig,
    fictional_facts,
    lint_items,
    load_pack,
    make_fiction,
    read_fiction,
    read_published,
    shipped,
)
from polylore.facts.people.frames import frame_pack
from polylore.facts.people.names import CAPACITY, phonemes, write_name
from polylore.facts.people.pack import Pack
from polylore.facts.people.swaps import swapped_prefixes, with_swaps
from polylore.tables.inject import ARMS

LANGS = ["ar", "de", "el", "en", "es", "fr", "hi", "ja", "ko", "ru", "tr", "zh"]
CONFIG = FictionConfig(n=18, n_control=3, paraphrases=6, seed=2)


@pytest.fixture(scope="module")
def packs():
    return [load_pack(lang) for lang in LANGS]


@pytest.fixture(scope="module")
def made(packs):
    return make_fiction(packs, CONFIG)


def distance(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        new = [i]
        for j, y in enumerate(b, 1):
            new.append(min(row[j] + 1, new[-1] + 1, row[j - 1] + (x != y)))
        row = new
    return row[-1]


def test_packs_of_twelve_languages(packs):
    assert set(shipped()) == set(LANGS)
    relations = {name: set(r.objects) for name, r in packs[0].relations.items()}
    for pack in packs:
        assert {name: set(r.objects) for name, r in pack.relations.items()} == relations
        for relation in pack.relations.values():
            words = list(relation.objects.values())
            assert not [(a, b) for a in words for b in words if a != b and a in b]


@pytest.mark.parametrize("lang", ["en", "ar", "zh", "ja", "hi"])
def test_names_are_far_apart(lang, packs):
    pack = next(p for p in packs if p.lang == lang)
    names = [write_name(phonemes(5, n), pack) for n in range(60)]
    assert min(distance(a, b) for a, b in combinations(names, 2)) >= 2
    assert not [(a, b) for a in names for b in names if a != b and a in b]
    every = {phonemes(5, n) for n in range(CAPACITY)}
    assert len(every) == CAPACITY
    assert phonemes(5, 0) != phonemes(6, 0)
    with pytest.raises(ConfigError, match="961 names"):
        phonemes(5, CAPACITY)


def test_every_language_passes_its_own_lint(made):
    assert lint_items(made).is_empty()
    assert made.languages == LANGS
    assert made.controls == ["f0018", "f0019", "f0020"]


def test_passages_and_probes(made):
    texts = dict(made.passages.select("passage_id", "text").iter_rows())
    assert len(texts) == 21 * 12 * 7
    assert len(set(texts.values())) == len(texts)
    for item, lang in [("f0000", "en"), ("f0005", "ja"), ("f0011", "hi"), ("f0019", "ar")]:
        own = made.passages.filter(item_id=item, lang=lang).sort("variant")["text"].to_list()
        for text in own:
            assert abs(len(text) - len(own[0])) <= 0.1 * len(own[0])
        probes = made.probes.filter(item_id=item, lang=lang)
        counts = dict(probes.group_by("depth").len().iter_rows())
        assert counts == {"memorization": 4, "semantic": 4, "compositional": 1}
        for row in probes.iter_rows(named=True):
            said = row["prefix"] + row["joiner"] + row["target"] + (row["suffix"] or "")
            assert (said in own[0]) == (row["depth"] == "memorization")
            assert all(row["target"] in text for text in own)
            assert row["target"] not in row["distractors"]
            assert len(set(row["distractors"])) == 4
    japanese = made.probes.filter(lang="ja")
    assert japanese["joiner"].unique().to_list() == [""]
    assert "である" in japanese["suffix"].drop_nulls().unique().to_list()
    spans = japanese.filter(pl.col("suffix").is_not_null())["score_span"].unique().to_list()
    assert spans == ["target_suffix"]
    assert made.probes.filter(lang="en")["joiner"].unique().to_list() == [" "]


def test_facts_are_parallel(packs):
    facts = fictional_facts(packs, CONFIG)
    shapes = facts.group_by("lang").len()["len"].unique().to_list()
    assert shapes == [21 * 5]
    concepts = facts.with_columns(
        concept=pl.col("candidate_ids").list.get(pl.col("gold_pos")),
        word=pl.col("candidates").list.get(pl.col("gold_pos")),
    )
    assert (concepts["word"] == concepts["object"]).all()
    per_fact = concepts.group_by("fact_id").agg(pl.col("concept").n_unique())["concept"]
    assert per_fact.unique().to_list() == [1]


def objects(pack, **settings):
    """Number, relation and object of what made items and their companions have."""
    facts = fictional_facts([pack], FictionConfig(paraphrases=0, **settings))
    number = pl.col("fact_id").str.slice(1, 4).cast(pl.Int64)
    return facts.select(number.alias("number"), "relation", "object")


def unequal(facts, pack):
    """By how much the most and the least frequent object of a relation differ, at most."""
    largest = 0
    for name, relation in pack.relations.items():
        said = facts.filter(relation=name)["object"].to_list()
        counts = [said.count(word) for word in relation.objects.values()]
        largest = max(largest, max(counts) - min(counts))
    return largest


@pytest.mark.parametrize(
    "settings",
    [
        {"n": 40, "n_control": 20},
        {"n": 48, "n_control": 20, "seed": 3},
        {"n": 200, "n_control": 40},
        {"n": 17, "n_control": 3, "facts": 7},
        {"n": 60, "n_control": 20, "facts": 1},
    ],
)
def test_objects_take_turns_among_the_injected_and_among_controls(packs, settings):
    facts = objects(packs[3], **settings)
    control = pl.col("number") >= settings["n"]
    assert unequal(facts.filter(control), packs[3]) <= 1
    assert unequal(facts.filter(~control), packs[3]) <= 1
    later = objects(packs[3], **settings, first=7)
    control = pl.col("number") >= settings["n"] + 7
    assert unequal(later.filter(control), packs[3]) <= 1
    assert unequal(later.filter(~control), packs[3]) <= 2


@pytest.mark.parametrize("facts", [4, 7])
def test_no_distance_between_items_makes_them_alike(packs, facts):
    made = objects(packs[3], n=400, n_control=0, facts=facts)
    both = made.join(made, on="relation", suffix="_b").filter(pl.col("number") < pl.col("number_b"))
    apart = both.with_columns(
        distance=pl.col("number_b") - pl.col("number"), same=pl.col("object") == pl.col("object_b")
    )
    by_distance = apart.group_by("distance").agg(
        pl.col("same").mean().alias("share"), pl.len().alias("n")
    )
    often = by_distance.filter(pl.col("n") >= 300)
    assert often["distance"].max() > 200
    # A sixteenth by chance, and a little less where all are equally often; a share of so many
    # comparisons has a standard error of at most 0.014.
    assert 0.058 < apart["same"].mean() < 1 / 16
    assert often["share"].max() < 1 / 16 + 5 * 0.014
    # Nor are two items alike in many relations at once, at whatever distance.
    pairs = apart.group_by("number", "number_b").agg(pl.col("same").sum(), pl.len().alias("n"))
    several = pairs.filter(pl.col("same") >= 3).height / pairs.height
    assert several < (0.005 if facts == 4 else 0.02)


def test_more_items_leave_those_that_may_be_injected_as_they_are(packs):
    few, more = (
        make_fiction(packs[3:4], FictionConfig(n=n, n_control=6, paraphrases=1)) for n in (10, 13)
    )
    kept = pl.col("item_id") < "f0010"
    for name in ("passages", "probes"):
        assert getattr(few, name).filter(kept).equals(getattr(more, name).filter(kept))
    names = pl.col("item_id") >= "f0010"
    assert more.items.filter(names)["meta"][:6].equals(few.items.filter(names)["meta"])
    # Whoever was a control takes the turns of another role.
    turned = [
        t.filter(item_id="f0010", variant=0)["text"][0] for t in (few.passages, more.passages)
    ]
    assert turned[0] != turned[1]


def test_an_item_depends_on_seed_number_and_pack_alone(packs, made):
    alone = make_fiction([packs[7]], FictionConfig(n=2, n_control=0, paraphrases=6, seed=2))
    for name in ("passages", "probes"):
        pick = (pl.col("lang") == "ja") & pl.col("item_id").is_in(["f0000", "f0001"])
        assert getattr(made, name).filter(pick).equals(getattr(alone, name))
    other = make_fiction([packs[7]], FictionConfig(n=2, n_control=0, seed=3))
    assert set(other.passages["text"]).isdisjoint(alone.passages["text"])


def test_other_processes_make_the_same():
    code = (
        "from polylore.facts.people import *\n"
        "packs = [load_pack(lang) for lang in ('en', 'ko')]\n"
        "print(make_fiction(packs, FictionConfig(n=3, n_control=1)).digest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_names_are_shared_or_native(packs):
    pair = [packs[3], packs[9]]

    def names(form):
        items = make_fiction(pair, FictionConfig(n=8, n_control=0, paraphrases=0, name_form=form))
        return [json.loads(meta)["names"] for meta in items.items["meta"]]

    assert all(n["en"] == n["ru"] for n in names("shared"))
    assert not any(n["en"] == n["ru"] for n in names("native"))
    assert 0 < sum(n["en"] == n["ru"] for n in names("both")) < 8


def test_frames_for_a_language_without_pack(packs):
    english = packs[3]
    relations = {name: dict(r.objects) for name, r in english.relations.items()}
    labels = {name: r.forms["r"] for name, r in english.relations.items()}
    text = ["Nyt on se aika vuodesta, kun metsä muuttuu keltaiseksi ja lehdet putoavat maahan."]
    pack = frame_pack("fi", "Latn", text, relations, labels, "naapuri")
    assert pack.frame
    items = make_fiction([pack], FictionConfig(n=10, n_control=2, name_form="native"))
    assert lint_items(items).is_empty()
    with pytest.raises(DataError, match="Give more text"):
        frame_pack("fi", "Latn", ["nyt"], relations, labels, "naapuri")
    with pytest.raises(DataError, match="without braces"):
        frame_pack("fi", "Latn", text, relations, labels | {"food": "{x}"}, "naapuri")


def test_variants_are_equally_long_in_what_is_counted(packs):
    """A tokenizer that divides vowels only: characters say little about its tokens."""

    def length(text):
        return sum(letter in "aeiou" for letter in text)

    def apart(fiction):
        sizes = fiction.passages.with_columns(
            pl.col("text").map_elements(length, return_dtype=pl.Int64).alias("n")
        )
        first = sizes.filter(variant=0).select("item_id", first="n")
        both = sizes.join(first, on="item_id")
        return ((both["n"] - both["first"]).abs() > 0.1 * both["first"]).sum()

    config = FictionConfig(n=8, n_control=0)
    usual, counted = (make_fiction(packs[3:4], config, count) for count in (len, length))
    assert apart(usual) > 0
    assert apart(counted) == 0
    assert usual.digest() == make_fiction(packs[3:4], config).digest()
    assert usual.probes.equals(counted.probes)
    assert lint_items(counted).is_empty()


def test_frames_are_read_from_a_file(packs, tmp_path):
    english = packs[3]
    text = "Nyt on se aika vuodesta, kun metsä muuttuu keltaiseksi ja lehdet putoavat maahan."
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    words = {
        "lang": "xx",
        "script": "Latn",
        "background": ["text.txt"],
        "relations": {name: dict(r.objects) for name, r in english.relations.items()},
        "labels": dict.fromkeys(english.relations, "label"),
        "companion": "neighbour",
    }
    path = tmp_path / "xx.json"
    path.write_text(json.dumps(words), encoding="utf-8")
    pack = load_pack(str(path))
    assert pack.frame
    assert pack == frame_pack(
        "xx", "Latn", [text], words["relations"], words["labels"], "neighbour"
    )
    path.write_text(json.dumps(words | {"background": ["none.txt"]}), encoding="utf-8")
    with pytest.raises(DataError, match=r"none\.txt, named as background"):
        load_pack(path)
    path.write_text(json.dumps(words | {"colour": 1}), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"xx\.json: colour is not a known setting"):
        load_pack(path)


def test_counts_that_are_too_large_say_what_counts(packs):
    with pytest.raises(ConfigError, match="first, n and n_control are 920 together; lower n or"):
        FictionConfig.parse({"n": 900})
    with pytest.raises(ConfigError, match="one of the companion need 61; set facts to at most"):
        make_fiction([packs[3]], FictionConfig(facts=60))


def test_packs_are_checked(tmp_path):
    values = load_pack("en").plain()
    for change, message in (
        ({"wordings": values["wordings"][:5]}, "6 wordings, at least one of them held out"),
        ({"relations": dict(list(values["relations"].items())[:7])}, "8 relations"),
        ({"sentence_end": "!"}, "must end with !"),
        ({"compositional": "{r} {o}."}, "must have the slots"),
        ({"compositional": "{r} {s} {o} {x}."}, "must have the slots"),
        ({"syllables": {"ba": "ba"}}, "syllables must write every"),
        ({"colour": 1}, "not a known setting"),
    ):
        with pytest.raises(ConfigError, match=message):
            Pack.parse(values | change)
    (tmp_path / "own.json").write_text(json.dumps(values), encoding="utf-8")
    assert load_pack(tmp_path / "own.json") == load_pack("en")
    with pytest.raises(ConfigError, match="no language pack for xx"):
        load_pack("xx")
    with pytest.raises(ConfigError, match="one for each language"):
        make_fiction([load_pack("en")] * 2, CONFIG)
    with pytest.raises(ConfigError, match="names for 480 items"):
        FictionConfig.parse({"n": 500})


def broken(made, **changes):
    """The English items, with some probes or passages changed."""
    frames = {n: getattr(made, n) for n in ("items", "passages", "probes")}
    return type(made)(**frames | {name: change(frames[name]) for name, change in changes.items()})


STRINGS = pl.List(pl.String)


def test_the_linter_sees_what_is_wrong(made):
    first = pl.col("probe_id") == made.probes.filter(lang="en", depth="semantic")["probe_id"][0]
    target = made.probes.filter(first)["target"][0]

    def rules(fiction, **options):
        return set(lint_items(fiction, **options)["rule"])

    inside = broken(made, probes=lambda p: p.with_columns(target_in_prefix=first))
    assert rules(inside) == {"target_in_prefix"}
    said = broken(
        made,
        probes=lambda p: p.with_columns(
            prefix=pl.when(first).then(pl.lit("")).otherwise("prefix"),
            joiner=pl.when(first).then(pl.lit("")).otherwise("joiner"),
        ),
    )
    assert rules(said) == {"wording_in_passage"}
    lost = broken(
        made, passages=lambda p: p.with_columns(pl.col("text").str.replace_all(target, "x"))
    )
    assert "target_missing" in rules(lost)
    lone = broken(
        made,
        probes=lambda p: p.with_columns(
            score_span=pl.when(first).then(pl.lit("target_suffix")).otherwise("score_span"),
            suffix=pl.when(first).then(pl.lit(" is")).otherwise("suffix"),
            distractors=pl.when(first)
            .then(pl.lit([], pl.List(pl.String)))
            .otherwise("distractors"),
        ),
    )
    assert rules(lone) == {"suffix_without_distractors"}
    own = broken(
        made, passages=lambda p: p.with_columns(pl.col("text") + " All of it is fictional.")
    )
    assert rules(own) == {"calls_itself_fictional"}
    hop = made.probes.filter(lang="en", depth="compositional").row(0, named=True)
    name = json.loads(made.items.filter(item_id=hop["item_id"])["meta"][0])["names"]["en"]
    joined = broken(
        made,
        passages=lambda p: p.with_columns(
            pl.when((pl.col("item_id") == hop["item_id"]) & (pl.col("lang") == "en"))
            .then(pl.col("text") + f" {name} saw a {hop['target']}.")
            .otherwise("text")
        ),
    )
    assert rules(joined) == {"one_hop"}

    def words(texts):
        return [list(map(len, t.split(" "))) for t in texts]

    long = broken(
        made,
        passages=lambda p: p.with_columns(
            pl.when(pl.col("item_id") < "f0009").then(pl.col("text") + " a" * 30).otherwise("text")
        ),
    )
    arms = ARMS.build(
        [
            {"item_id": f"f{n:04d}", "arm": "once" if n < 9 else "paraphrase", "inject_lang": "en"}
            for n in range(18)
        ]
    )
    english = broken(
        long, passages=lambda p: p.filter(lang="en"), probes=lambda p: p.filter(lang="en")
    )
    assert "arm_length" in rules(english, encode=words, arms=arms)


def test_published_items_under_the_linter(published):
    found = lint_items(read_published(published / "fictional_knowledge"))
    counts = dict(found.select("rule", "count").iter_rows())
    assert counts["calls_itself_fictional"] >= 9
    assert {"target_missing", "target_repeated", "target_in_prefix", "target_digits"} <= set(counts)


def test_folders_are_read_and_checked(made, tmp_path):
    made.export(tmp_path)
    assert read_fiction(tmp_path).digest() == made.digest()
    for name in ("items", "passages", "probes"):
        (tmp_path / f"{name}.parquet").unlink()
        getattr(made, name).write_ndjson(tmp_path / f"{name}.jsonl")
    assert read_fiction(tmp_path).digest() == made.digest()
    path = tmp_path / "probes.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    for change, message in (
        ({"target": " "}, "target of .* is empty"),
        ({"target": "e\u0301"}, "not in Unicode form NFC"),
        ({"prefix": "e\u0301"}, r"probes\.jsonl: the prefix of .* not in Unicode form NFC"),
        ({"distractors": ["e\u0301"]}, "the distractors of .* not in Unicode form NFC"),
        ({"score_span": "all"}, "score_span of .* is 'all'; write target, or target_suffix"),
        ({"score_span": "target_suffix", "suffix": None}, "with its suffix, but has none"),
        ({"item_id": "nobody"}, "item nobody of .* is not among"),
        (
            {"target": "Nowhereland"},
            r"probes\.jsonl: target not found in the text: no passage of item f0000 in .* probe f0",
        ),
        (
            {"probe_id": json.loads(lines[1])["probe_id"]},
            r"probes\.jsonl, line 2: probe_id .* is also that of .*probes\.jsonl, line 1;",
        ),
        ({"colour": 1}, r"probes\.jsonl, line 1: there is no field colour"),
        ({"prefix": None}, r"line 1: the field prefix is missing"),
    ):
        path.write_text(
            "\n".join([json.dumps(json.loads(lines[0]) | change), *lines[1:]]), encoding="utf-8"
        )
        with pytest.raises(DataError, match=message):
            read_fiction(tmp_path)
    path.unlink()
    with pytest.raises(DataError, match=r"one file probes\.parquet or probes\.jsonl; it has 0"):
        read_fiction(tmp_path)


def test_two_hops_by_way_of_the_background(packs):
    config = FictionConfig(n=20, n_control=4, paraphrases=2, background_hops=True)
    made = make_fiction(packs, config)
    assert lint_items(made).is_empty()
    hops = made.probes.filter(depth="two_hop_background")
    known = made.probes.filter(depth="bridge")
    assert hops.height == known.height > 12 * 4
    assert set(hops["lang"]) == set(LANGS)
    texts = dict(made.passages.filter(variant=0).select("item_id", "text").iter_rows())
    names = {item: json.loads(meta)["names"] for item, meta in made.items["item_id", "meta"].rows()}
    cities = {pack.lang: pack.relations["city"].objects for pack in packs}
    lands = {pack.lang: pack.bridge.values for pack in packs}
    for hop, own in zip(hops.iter_rows(named=True), known.iter_rows(named=True), strict=True):
        lang, name = hop["lang"], names[hop["item_id"]][hop["lang"]]
        assert name in hop["prefix"]
        assert name not in own["prefix"]
        assert hop["target"] == own["target"] not in texts[hop["item_id"]]
        city = next(c for c, word in cities[lang].items() if word in own["prefix"])
        assert lands[lang][city] == hop["target"]
        assert hop["target"] not in hop["distractors"]
    covered = made.passages.explode("probes_covered")["probes_covered"]
    assert not set(covered) & set(hops["probe_id"])
    plain = make_fiction(packs, config.model_copy(update={"background_hops": False}))
    assert made.probes.filter(hops=1, single_sentence=True).equals(
        plain.probes.filter(hops=1, single_sentence=True)
    )


def test_a_second_fact_in_the_passage_is_found(packs):
    made = make_fiction(
        packs[3:4], FictionConfig(n=20, n_control=0, paraphrases=0, background_hops=True)
    )
    row = made.probes.filter(depth="two_hop_background").row(0, named=True)
    told = made.passages.with_columns(
        text=pl.when(pl.col("item_id") == row["item_id"])
        .then(pl.col("text") + f" {row['target']}.")
        .otherwise("text")
    )
    found = lint_items(type(made)(made.items, told, made.probes)).filter(rule="told_in_passage")
    assert found["severity"].to_list() == ["error"]
    assert row["probe_id"] in found["examples"][0][0]


def test_bridges_are_checked(packs):
    values = load_pack("en").plain()
    bridge = values["bridge"]
    for change, message in (
        ({"relation": "food"}, "a value for every object of food"),
        ({"cloze": "{s} lies in {o}."}, "must have the slots c, o"),
        ({"probe": "The town of {s} lies in {o}"}, "end with"),
    ):
        with pytest.raises(ConfigError, match=message):
            Pack.parse(values | {"bridge": bridge | change})
    bare = Pack.parse({k: v for k, v in values.items() if k != "bridge"})
    with pytest.raises(ConfigError, match="says nothing of the background"):
        make_fiction([bare], FictionConfig(n=2, n_control=0, background_hops=True))


def test_subjects_are_swapped_within_their_group(made):
    groups = {f"f{n:04d}": "a" if n % 2 else "b" for n in range(18)}
    probes = with_swaps(made, groups, seed=1)
    assert (
        probes.filter(~pl.col("item_id").is_in(list(groups)))["swap_item"].null_count()
        == 3 * 9 * 12
    )
    swapped = probes.filter(pl.col("swap_item").is_not_null())
    assert swapped.height > 0.8 * 18 * 9 * 12
    target = {
        (r["item_id"], r["fact_id"].rpartition("/")[2], r["depth"], r["lang"]): r["target"]
        for r in probes.iter_rows(named=True)
    }
    prefixes = swapped_prefixes(made, probes)
    names = {item: json.loads(meta)["names"] for item, meta in made.items["item_id", "meta"].rows()}
    partners = {}
    for row in swapped.iter_rows(named=True):
        item, other = row["item_id"], row["swap_item"]
        assert groups[item] == groups[other]
        key = (row["fact_id"].rpartition("/")[2], row["depth"], row["lang"])
        assert target[other, *key] != row["target"]
        prefix = prefixes[row["probe_id"]]
        assert names[other][row["lang"]] in prefix
        assert names[item][row["lang"]] not in prefix
        partners.setdefault((item, *key[:2]), set()).add(other)
    assert all(len(found) == 1 for found in partners.values())
    per_question = swapped.filter(lang="en", depth="semantic").group_by(
        pl.col("fact_id").str.split("/").list.last(), pl.col("item_id").replace_strict(groups)
    )
    for _, rows in per_question:
        assert rows["swap_item"].is_unique().all()
    assert not with_swaps(made, groups, seed=2)["swap_item"].equals(probes["swap_item"])


def test_other_numbers_have_other_names(packs):
    first, second = (
        make_fiction(packs[3:4], FictionConfig(n=6, n_control=0, paraphrases=0, first=first))
        for first in (0, 6)
    )
    assert set(second.items["item_id"]) == {f"f{n:04d}" for n in range(6, 12)}
    whole = make_fiction(packs[3:4], FictionConfig(n=12, n_control=0, paraphrases=0))
    assert whole.passages["text"].to_list() == [*first.passages["text"], *second.passages["text"]]
