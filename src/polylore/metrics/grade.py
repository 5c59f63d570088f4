"""From raw answers to grades. Matchers are re-run on stored text, so a new one needs no model."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from polylore.errors import ConfigError
from polylore.metrics.index import check_asked
from polylore.metrics.matching import (
    ObjectIndex,
    first_line,
    named_string,
    object_index,
    paper_match,
)
from polylore.tables.derived import GRADES
from polylore.text import normalise
from polylore.text.languages import ARTICLES, UNBOUNDED

TEXT_MATCHERS = ("default", "paper")


def grade_answers(
    answers: pl.DataFrame,
    facts: pl.DataFrame,
    *,
    matchers: Sequence[str] = TEXT_MATCHERS,
    mode: str = "generate",
    unbounded: Collection[str] = UNBOUNDED,
    articles: Mapping[str, tuple[str, ...]] = ARTICLES,
) -> pl.DataFrame:
    """Grade generated text (specification of `trace`, section 2.2).

    Args:
        answers: table ANSWERS; rows of other modes are left out. A row without text, or with an
            error, is graded null.
        facts: table FACTS.
        matchers: ``default`` (bounded match, competitors, aliases, one leading article) and
            ``paper`` (two-way case-insensitive prefix).
        mode: which answers to grade: ``generate``, or ``content_free`` for a baseline.
        unbounded: languages whose answers need no word boundary.
        articles: leading articles that may be removed once, by language.

    Returns:
        Table GRADES. `answer_id` names the entity of an answer: the identity of the candidate with
        that string among the fact's own candidates, else of the object of the same relation; the
        paper matcher names one only if it is right.

    Raises:
        ConfigError: unknown matcher.
        DataError: answers about unknown facts.
    """
    unknown = [m for m in matchers if m not in TEXT_MATCHERS]
    if unknown:
        raise ConfigError(f"'{unknown[0]}' is not a text matcher; use default or paper.")
    check_asked(answers, facts)
    rows = _with_fact(answers.filter(pl.col("mode") == mode), facts)
    golds = gold_table(facts, unbounded=unbounded, articles=articles)
    parts = [_grade(rows, golds, matcher) for matcher in matchers]
    return GRADES.validate(pl.concat(parts)) if parts else GRADES.empty()


def _with_fact(answers: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
    relations = facts.select("fact_id", "lang", "relation")
    return answers.join(relations, on=["fact_id", "lang"], how="inner", maintain_order="left")


@dataclass
class Gold:
    """What is accepted for one fact in one language, and what else it could be taken for."""

    gold: str
    accepted: frozenset[str]
    """Normalised gold and aliases."""
    index: ObjectIndex
    gold_id: str
    candidates: Mapping[str, str]
    """Candidate string as written -> candidate_id."""

    @cached_property
    def own(self) -> ObjectIndex:
        """The fact's own candidates, normalised."""
        entities: dict[str, str] = {}
        for text, identity in self.candidates.items():
            entities.setdefault(normalise(text), identity)
        entities.pop("", None)
        return ObjectIndex(entities, self.index.bounded, self.index.articles)

    def name(self, text: str, found: str | None) -> str | None:
        """Longest accepted or competing string that the text begins with, articles removed."""
        named = named_string(text, self.accepted, self.index, found)
        if named is None:
            for shorter in self.index.without_article(text):
                found = self.index.longest(shorter)
                named = named or named_string(shorter, self.accepted, self.index, found)
        return named

    def entity(self, named: str | None, text: str) -> str | None:
        """Identity of what an answer named; a distractor may be named without being an object."""
        if named is None:
            other = self.own.longest(text) if self.candidates else None
            return self.own.entities[other] if other else None
        if named in self.accepted:
            return self.gold_id
        return self.own.entities.get(named) or self.index.entities.get(named)


def gold_table(
    facts: pl.DataFrame,
    *,
    unbounded: Collection[str] = UNBOUNDED,
    articles: Mapping[str, tuple[str, ...]] = ARTICLES,
) -> dict[tuple[str, str], Gold]:
    """Accepted strings and competitors by (fact_id, lang); competitors are indexed once."""
    indexes: dict[tuple[str, str], ObjectIndex] = {}
    for (relation, lang), group in facts.group_by("relation", "lang"):
        objects: dict[str, str] = {}
        for row in group.iter_rows(named=True):
            identity = own_id(row)
            text = row["object"]
            objects[text] = min(identity, objects.get(text, identity))
        indexes[relation, lang] = object_index(
            objects, lang, unbounded=unbounded, articles=articles
        )
    golds = {}
    for row in facts.iter_rows(named=True):
        index = indexes[row["relation"], row["lang"]]
        texts = [row["object"], *(row["aliases"] or [])]
        accepted = frozenset(normalise(t) for t in texts) - {""}
        shared = index.entities.get(normalise(row["object"]))
        pairs = zip(row["candidates"] or [], row["candidate_ids"] or [], strict=False)
        golds[row["fact_id"], row["lang"]] = Gold(
            gold=row["object"],
            accepted=accepted,
            index=index,
            gold_id=own_id(row) if row["gold_pos"] is not None else shared or row["fact_id"],
            candidates=dict(reversed(list(pairs))),
        )
    return golds


def own_id(row: Mapping[str, Any]) -> str:
    """Identity of a fact's object: its candidate_id, or the fact_id where there are none."""
    place, ids = row["gold_pos"], row["candidate_ids"] or []
    return str(ids[place]) if place is not None and place < len(ids) else str(row["fact_id"])


def _grade(rows: pl.DataFrame, golds: Mapping[tuple[str, str], Gold], matcher: str) -> pl.DataFrame:
    """Grade every row; equal texts in one (relation, language) are normalised once."""
    cache: dict[tuple[str, str, str], tuple[str, str | None]] = {}
    right: list[bool | None] = []
    named_ids: list[str | None] = []
    truncated: list[bool] = []
    columns = ("fact_id", "relation", "lang", "raw_text", "stop_reason", "error")
    for fact, relation, lang, raw, stop, error in rows.select(columns).iter_rows():
        if raw is None or error is not None:
            right.append(None)
            named_ids.append(None)
            truncated.append(False)
            continue
        gold = golds[fact, lang]
        key = (relation, lang, raw)
        if key not in cache:
            text = normalise(first_line(raw))
            cache[key] = (text, gold.index.longest(text))
        text, found = cache[key]
        cut = stop == "length" and text != ""
        truncated.append(cut and any(z != text and z.startswith(text) for z in gold.accepted))
        if matcher == "paper":
            y = paper_match(raw, gold.gold)
            identity = gold.gold_id if y else None
        else:
            named = gold.name(text, found)
            y = named is not None and named in gold.accepted
            identity = gold.entity(named, text)
        right.append(y)
        named_ids.append(identity)
    return rows.select(
        "ckpt_id",
        "fact_id",
        "relation",
        "lang",
        "variant",
        pl.lit(matcher).alias("matcher"),
        pl.Series("y", right, dtype=pl.Boolean()),
        pl.Series("answer_id", named_ids, dtype=pl.String()),
        pl.lit(None, dtype=pl.Float64()).alias("gold_rank"),
        pl.Series("truncated", truncated, dtype=pl.Boolean()),
    )


def copied_demos(answers: pl.DataFrame, facts: pl.DataFrame, prompts: pl.DataFrame) -> pl.DataFrame:
    """Which answers repeat the object of a demonstration, and which prompts showed the gold.

    Args:
        answers: table ANSWERS; mode ``generate`` is used.
        facts: table FACTS.
        prompts: table PROMPTS.

    Returns:
        ckpt_id, fact_id, relation, lang, variant, copied (the longest object the answer begins
        with is a demonstration's) and gold_in_demos; answers without demonstrations or without
        text are left out.
    """
    golds = gold_table(facts)
    shown = answers.filter(
        (pl.col("mode") == "generate")
        & pl.col("raw_text").is_not_null()
        & pl.col("error").is_null()
    ).join(
        prompts.select("prompt_id", "demo_fact_ids"),
        on="prompt_id",
        how="inner",
        maintain_order="left",
    )
    rows = _with_fact(shown.filter(pl.col("demo_fact_ids").list.len() > 0), facts)
    copied: list[bool] = []
    leaked: list[bool] = []
    columns = ("fact_id", "lang", "raw_text", "demo_fact_ids")
    for fact, lang, raw, demos in rows.select(columns).iter_rows():
        gold = golds[fact, lang]
        shown_objects = {normalise(golds[d, lang].gold) for d in demos if (d, lang) in golds}
        text = normalise(first_line(raw))
        copied.append(gold.name(text, gold.index.longest(text)) in shown_objects)
        leaked.append(not gold.accepted.isdisjoint(shown_objects))
    return rows.select(
        "ckpt_id",
        "fact_id",
        "relation",
        "lang",
        "variant",
        pl.Series("copied", copied, dtype=pl.Boolean()),
        pl.Series("gold_in_demos", leaked, dtype=pl.Boolean()),
    )
