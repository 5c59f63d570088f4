"""The linter of invented worlds, and which facts can show conduction.

Specification of `align`, sections 2.6 (V), 3.8 and 9.5.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import polars as pl

from polylore.facts.fiction.published import blocks, expected_blocks, fact_rows
from polylore.facts.fiction.slots import SUBJECT, swapped, wordings
from polylore.facts.fiction.world import World
from polylore.tables import align_lint

Row = dict[str, Any]
DATASET = "fiction"
MESSAGES = {
    "block_size": ("error", "another number of rows than the published design has"),
    "gold_never_taught": ("error", "no training row names the answer as the test does; repair it"),
    "term_never_taught": ("error", "a tested translation that no training row teaches; repair it"),
    "slots_swapped": ("error", "a wording puts name and answer into each other's slot; repair it"),
    "name_collision": ("warning", "one name stands for subjects with different answers"),
    "gold_as_source": ("warning", "the answer is written as in the source language; answering in "
                                  "that language counts as conduction"),
    "subject_as_source": ("note", "the name is written as in the source language"),
    "answer_in_subject": ("warning", "the name contains another answer's name; the published "
                                     "scoring finds it in a repeated name"),
    "gold_in_subject": ("warning", "the name contains its own answer"),
    "test_template_taught": ("warning", "the test asks in a wording that was trained"),
}  # fmt: skip
"""Severity and meaning of every check."""


def lint_world(world: World, *, published_design: bool = False) -> pl.DataFrame:
    """Findings of both languages of a world.

    Args:
        world: the world.
        published_design: also hold the blocks against the published numbers of rows.

    Returns:
        Table ALIGN_LINT; what concerns the target language stands under it, `item` is the fact.
    """
    target = list(_facts(world, world.target))
    target += _against_source(world)
    target += _taught(world)
    if published_design and blocks(world) != expected_blocks(world):
        shown = f"{blocks(world)}, not {expected_blocks(world)}"
        target.append(_finding("block_size", None, shown))
    rows = [{"lang": world.source} | row for row in _facts(world, world.source)]
    rows += [{"lang": world.target} | row for row in target]
    return align_lint.LINT.build([{"dataset": DATASET} | row for row in rows])


def _finding(check: str, item: int | None, evidence: str) -> Row:
    return {"item": item, "check": check, "severity": MESSAGES[check][0], "evidence": evidence}


def collisions(told: pl.DataFrame) -> pl.DataFrame:
    """Facts whose name, in this language, also stands for one with another answer."""
    return told.filter(pl.col("answer").n_unique().over("subject") > 1)


def _facts(world: World, lang: str) -> Iterator[Row]:
    told = world.told(lang)
    for item, subject in collisions(told).select("item", "subject").iter_rows():
        yield _finding("name_collision", item, subject)
    objects = {answer: object_.casefold() for answer, object_ in
               told.select("answer", "object").iter_rows()}  # fmt: skip
    for item, subject, answer in told.select("item", "subject", "answer").iter_rows():
        name = subject.casefold()
        inside = [other for other, object_ in objects.items() if object_ in name]
        if answer in inside:
            yield _finding("gold_in_subject", item, subject)
        if set(inside) - {answer}:
            yield _finding("answer_in_subject", item, subject)


def _against_source(world: World) -> Iterator[Row]:
    source = world.told(world.source).select("fact_id", _s="subject", _o="object")
    both = world.told(world.target).join(source, on="fact_id", maintain_order="left")
    for item, subject, object_, kind, s, o in both.select(
        "item", "subject", "object", "type", "_s", "_o"
    ).iter_rows():
        # What is taught in both languages cannot be mistaken for conduction.
        if kind == 1 and object_ == o:
            yield _finding("gold_as_source", item, object_)
        if kind == 1 and subject == s:
            yield _finding("subject_as_source", item, subject)


def _taught(world: World) -> Iterator[Row]:
    """What tests ask for and no training row says."""
    for lang in (world.source, world.target):
        objects = dict(world.told(lang).select("fact_id", "object").iter_rows())
        said: dict[str, bool] = defaultdict(bool)
        for fact_id, response in fact_rows(world, lang).select("fact_id", "response").iter_rows():
            said[fact_id] |= objects[fact_id] in response
        items = dict(world.told(lang).select("fact_id", "item").iter_rows())
        for fact_id, ever in said.items():
            if not ever:
                yield _finding("gold_never_taught", items[fact_id], f"{lang}: {objects[fact_id]}")
    known = taught_terms(world)
    for term in world.tests.filter(pl.col("probe") == "translate_st").iter_rows(named=True):
        if (term["expected"], term["input"]) not in known:
            yield _finding("term_never_taught", None, f"{term['input']} = {term['expected']}")
    told = wordings(world, world.target)
    for one in swapped(told):
        yield _finding("slots_swapped", None, one.say("<subject>", "<object>"))
    if asks_as_taught(world):
        yield _finding("test_template_taught", None, f"language {world.target}")


def taught_terms(world: World) -> set[tuple[str, str]]:
    """(term in the target, term in the source) of every translation that is trained."""
    rows = world.rows.filter(pl.col("block").is_in(["translate_ts", "translate_st"]))
    return {
        (text, response) if block == "translate_ts" else (response, text)
        for block, text, response in rows.select("block", "input", "response").iter_rows()
    }


def asks_as_taught(world: World) -> bool:
    """Whether the target's test asks about some fact in words of the training rows."""
    asked = world.tests.filter((pl.col("probe") == "fact") & (pl.col("lang") == world.target))
    names = dict(world.told(world.target).select("fact_id", "subject").iter_rows())
    trained = {
        prompt.replace(names[fact_id], SUBJECT)
        for fact_id, prompt in fact_rows(world, world.target)
        .select("fact_id", "prompt")
        .iter_rows()
    }
    return any(
        prompt.replace(names[fact_id], SUBJECT) in trained
        for fact_id, prompt in asked.select("fact_id", "prompt").iter_rows()
    )


def valid_facts(world: World) -> pl.DataFrame:
    """V: facts of type 1 that can show conduction to the target (`align`, section 2.6).

    The name must be unambiguous in the target, the answer written otherwise than in the source, and
    the answer taught under the name that the test asks for.

    Returns:
        fact_id of the valid facts, in order.
    """
    bad = ("name_collision", "gold_as_source", "gold_in_subject")
    found = lint_world(world).filter(pl.col("check").is_in(bad) & (pl.col("lang") == world.target))
    told = world.told(world.target)
    untaught = set(told["object"]) - set(_taught_objects(world))
    return told.filter(
        (pl.col("type") == 1)
        & ~pl.col("item").is_in(found["item"].drop_nulls().implode())
        & ~pl.col("object").is_in(sorted(untaught))
    ).select("fact_id")


def _taught_objects(world: World) -> Iterator[str]:
    rows = fact_rows(world, world.target).select("fact_id", "response")
    names = dict(world.told(world.target).select("fact_id", "object").iter_rows())
    for fact_id, response in rows.iter_rows():
        if names[fact_id] in response:
            yield names[fact_id]
