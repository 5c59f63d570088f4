"""Candidates: the same everywhere, wrong everywhere, and not given away by their order."""

from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from scipy.stats import chisquare

from polylore.errors import ConfigError
from polylore.facts.cldr import RELATIONS
from polylore.facts.cldr.candidates import N_CANDIDATES, choose
from polylore.facts.cldr.claims import Claim, claims
from polylore.facts.cldr.names import names
from polylore.facts.factset import FactSet
from polylore.facts.load import load
from polylore.text import fold

CLAIM = Claim("r:x", "r", ("territory", "x"), ("currency", "G"), ("A",), frozenset({"B"}))
POOL = ["G", "A", "B", *(f"c{n}" for n in range(12))]


def named(**changes: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {code: (code.lower(),) for code in POOL} | changes


def test_the_same_entities_in_every_language(everything: FactSet) -> None:
    orders = everything.facts.group_by("fact_id").agg(pl.col("candidate_ids").n_unique())
    assert (orders["candidate_ids"] == 1).all()


def test_numbers(everything: FactSet) -> None:
    sizes = everything.facts.select("relation", pl.col("candidate_ids").list.len().alias("n"))
    for relation in RELATIONS:
        expected = 5 if relation == "continent" else N_CANDIDATES
        assert set(sizes.filter(pl.col("relation") == relation)["n"]) == {expected}


def test_candidates_are_different_strings_and_names(everything: FactSet) -> None:
    for row in everything.facts.iter_rows(named=True):
        folded = [fold(text) for text in row["candidates"]]
        assert len(set(folded)) == len(folded), row["fact_id"]
        assert row["candidates"][row["gold_pos"]] == row["object"]
        accepted = {fold(text) for text in row["aliases"]}
        wrong = folded[: row["gold_pos"]] + folded[row["gold_pos"] + 1 :]
        assert not accepted & set(wrong), row["fact_id"]


def test_no_candidate_is_another_right_answer(everything: FactSet) -> None:
    by_id = {claim.fact_id: claim for relation in RELATIONS for claim in claims(relation)}
    for fact_id in everything.fact_ids:
        claim = by_id[fact_id]
        row = everything.fact(fact_id, "en")
        wrong = set(row["candidate_ids"]) - {claim.gold[1]}
        assert not wrong & {*claim.accepted, *claim.barred}, fact_id
        assert row["candidates"] == [
            name.text
            for code in row["candidate_ids"]
            if (name := names("en").get(claim.gold[0], code))
        ]


@pytest.mark.parametrize("relation", list(RELATIONS))
def test_the_gold_stands_anywhere(everything: FactSet, relation: str) -> None:
    rows = everything.filter(languages=["en"], relations=[relation]).facts
    counts = Counter(rows["gold_pos"])
    size = 5 if relation == "continent" else N_CANDIDATES
    assert chisquare([counts[n] for n in range(size)]).pvalue > 0.001


def test_every_answer_is_a_wrong_one_somewhere(everything: FactSet) -> None:
    rows = everything.filter(languages=["en"], relations=["capital"]).facts
    uses = Counter(rows["candidate_ids"].explode())
    assert min(uses[zone] for zone in rows["candidate_ids"].explode()) >= 1
    assert max(uses.values()) < 30


def test_choice_passes_over_right_barred_equal_and_nameless() -> None:
    first = choose(CLAIM, POOL, [named()])
    assert len(first) == N_CANDIDATES
    assert "G" in first
    assert not {"A", "B"} & set(first)
    taken = next(code for code in first if code != "G")
    without = dict(named())
    del without[taken]
    for other in (without, named(**{taken: ("g",)}), named(A=("a", taken))):
        replaced = choose(CLAIM, POOL, [named(), other])
        assert taken not in replaced
        assert len(set(replaced) & set(first)) == N_CANDIDATES - 1


def test_choice_does_not_depend_on_the_order_of_the_pool() -> None:
    assert choose(CLAIM, POOL, [named()]) == choose(CLAIM, POOL[::-1], [named()])


def test_a_small_pool_gives_fewer() -> None:
    assert sorted(choose(CLAIM, ["G", "c1", "c2"], [named()])) == ["G", "c1", "c2"]


def test_a_smaller_choice_is_part_of_a_larger_one() -> None:
    english = {"languages": ["en"], "relations": ["capital"]}
    few, many = (load("cldr", **english, n_candidates=n) for n in (10, 30))
    assert few.digest() == load("cldr", **english).digest()
    for fact_id in few.fact_ids:
        small, large = (set(s.fact(fact_id, "en")["candidate_ids"]) for s in (few, many))
        assert small < large
        assert (len(small), len(large)) == (N_CANDIDATES, 30)


def test_other_sets_bring_their_own_candidates(tmp_path: Path) -> None:
    load("cldr", languages=["en"], relations=["continent"]).export(tmp_path / "set")
    with pytest.raises(ConfigError, match="brings its own candidates"):
        load(tmp_path / "set", n_candidates=30)
