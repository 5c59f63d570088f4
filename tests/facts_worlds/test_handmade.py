"""Hand-made facts as a world."""

from pathlib import Path

import numpy as np
import pytest

from polylore.errors import ConfigError, DataError
from polylore.facts.worlds import World, WorldConfig, load_world, make_card, make_world, save_world

HEADER = "fact_id,relation,lang,subject,object"
CITIES = ["Paris", "Rome", "Kyoto", "Quito"]


def rows(n: int = 40, relations: tuple = ("born", "died"), langs: tuple = ("en", "fr")) -> list:
    rng = np.random.default_rng(1)
    found = []
    for person in range(n):
        for relation in relations:
            value = int(rng.integers(len(CITIES)))
            for lang in langs:
                place = CITIES[value] + ("" if lang == "en" else f"-{lang}")
                found.append(f"p{person}.{relation},{relation},{lang},Ann B{person},{place}")
    return found


def make(folder: Path, lines: list, header: str = HEADER, **knobs) -> World:
    path = folder / "facts.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return make_world(WorldConfig.parse({"facts": str(path), **knobs}))


def test_knobs_decide_what_is_seen(tmp_path: Path) -> None:
    made = make(tmp_path, rows(), p=0.5, cue="tag")
    assert (made.languages, made.relations) == (["en", "fr"], ["born", "died"])
    assert made.config.entities == 40
    assert made.value_tokens.shape == (2, 2, 4, 1)
    assert len(made.cells("parallel")) == 20 * 2 * 2
    assert len(made.cells("mono_unseen")) == 20 * 2
    cell = int(made.cells("mono_unseen")[0])
    fact = made.facts.row(cell, named=True)
    prompt = made.evaluation(np.array([cell])).tokens[0]
    assert (
        made.text(prompt)
        == f"tag{made.lang[cell]} {fact['subject']} r{made.lang[cell]}." + (fact["relation"])
    )
    assert fact["subject"].startswith("Ann_B")
    gold = made.value_tokens[made.relation[cell], made.lang[cell], made.value[cell]]
    assert made.text(gold) == fact["object"]
    save_world(made, tmp_path / "w")
    back = load_world(tmp_path / "w")
    assert back.world_hash == made.world_hash
    assert (back.stream(8).batch(3).tokens == made.stream(8).batch(3).tokens).all()
    card = make_card(made)
    assert card["association_bits"]["attribute"]["design"] is None
    assert card["baselines"]["chance"] == 0.25


def test_a_column_decides_what_is_seen(tmp_path: Path) -> None:
    lines = [f"{row},{'true' if i % 4 in (0, 3) else 'no'},{i % 3 + 1}"
             for i, row in enumerate(rows())]  # fmt: skip
    made = make(tmp_path, lines, HEADER + ",seen,weight")
    assert made.seen.tolist() == [i % 4 in (0, 3) for i in range(160)]
    assert made.weight.tolist() == [(i % 3 + 1) * (i % 4 in (0, 3)) for i in range(160)]
    assert (made.home[made.seen] == made.lang[made.seen]).all()
    with pytest.raises(ConfigError, match="decides instead of p"):
        make(tmp_path, lines, HEADER + ",seen,weight", p=0.5)


def test_a_fact_may_lack_a_language_if_the_file_says_what_is_seen(tmp_path: Path) -> None:
    lines = rows()
    del lines[5]
    with pytest.raises(DataError, match=r"line 6: the fact p1.born is not told in fr"):
        make(tmp_path, lines)
    made = make(tmp_path, [f"{row},yes" for row in lines], HEADER + ",seen")
    assert (made.cell_of == -1).sum() == 1
    assert made.evaluation(np.arange(159)).tokens.shape == (159, 2)
    assert made.stream(159).batch(1).tokens.shape == (159, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: [*r, r[3]], "line 162.* line 5: the fact p0.died has two values in fr"),
        (lambda r: [*r, r[0].replace("p0.born", "x")], "line 162.*line 2: two facts ask born"),
        (lambda r: [*r, "p0.born,died,es,Ann,Roma"], "line 162.*line 2.*two relations"),
        (lambda r: [r[0].replace("Ann B0", ""), *r[1:]], "line 2: subject is missing or empty"),
        (lambda r: [r[0].replace("en,", ","), *r[1:]], "line 2: lang is missing"),
        (
            lambda r: [*r[:1], r[1].rsplit(",", 1)[0] + ",Lutetia", *r[2:]],
            "same value of born in another language",
        ),
        (lambda r: [r[0].replace("Ann B0", "tag0"), *r[1:]], "line 2: 'tag0' is a word"),
        (lambda r: r[::2], "2 to 8 languages, not 1"),
    ],
)
def test_contradictions_name_their_lines(tmp_path: Path, change, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make(tmp_path, change(rows()))


def test_knobs_without_meaning_are_refused(tmp_path: Path) -> None:
    for knobs in ({"lam": 0.5}, {"value_len": 2}, {"share": {"values": 1}}):
        with pytest.raises(ConfigError, match="has no meaning for hand-made facts"):
            make(tmp_path, rows(), **knobs)
    with pytest.raises(ConfigError, match="cue xor needs languages: 2"):
        make(tmp_path, rows(langs=("en", "fr", "de")), cue="xor(0)")
    with pytest.raises(ConfigError, match="The world leaks"):
        make(tmp_path, rows(), cue="tag_noise(.1)", share={"relations": 1})


def derived(kind: str) -> list:
    found = rows(relations=("born", "died"))
    if kind == "country":
        countries = dict(zip(CITIES, ["France", "Italy", "Japan", "Ecuador"], strict=True))
        for line in rows(relations=("born", "died")):
            fact, relation, lang, name, place = line.split(",")
            city, _, mark = place.partition("-")
            if relation == "born":
                found.append(f"{fact}.c,country,{lang},{name},{countries[city]}{mark}")
    if kind == "copy":
        found += [row.replace("born", "raised") for row in found if "born" in row]
    if kind == "inverse":
        found = [f"p{i}.a,wife,{lang},m{i},w{i}-{lang}" for i in range(30) for lang in ("en", "fr")]
        found += [f"p{i}.b,man,{lang},w{i}-{lang},m{i}" for i in range(30) for lang in ("en", "fr")]
    return found


@pytest.mark.parametrize(
    ("kind", "how"),
    [("country", "country is determined by born"), ("copy", "determined"), ("inverse", "inverse")],
)
def test_facts_that_follow_from_others_are_refused(tmp_path: Path, kind: str, how: str) -> None:
    with pytest.raises(DataError, match="follow from one another") as error:
        make(tmp_path, derived(kind))
    assert how in str(error.value) or kind == "country"
    made = make(tmp_path, derived(kind), allow_leak=True)
    assert made.leaky
    sentences = make_card(made)["derivable"]
    assert any(how in text for text in sentences)


def test_a_few_likely_coincidences_are_no_derivation(tmp_path: Path) -> None:
    """Of five people, two relations may agree by chance."""
    lines = [f"p{i}.{r},{r},{lang},n{i},{'ab'[i % 2]}{r}" for i in range(5) for r in ("x", "y")
             for lang in ("en", "fr")]  # fmt: skip
    assert not make(tmp_path, lines).leaky
