"""Where the name and the answer stand in the sentences that teach a fact."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import polars as pl

from polylore.facts.fiction.published import fact_rows
from polylore.facts.fiction.world import World

SUBJECT, OBJECT = "\0", "\1"
"""Stand for the slots in a skeleton; no text holds these characters."""


@dataclass(frozen=True)
class Wording:
    """One way of telling facts in one language."""

    block: str
    relation: str
    template: int
    skeleton: str
    """The sentence with SUBJECT and OBJECT in its slots; without OBJECT if no row names it."""
    rows: pl.DataFrame
    """Rows told so, with `subject` and `taught`: the name and the answer as they stand there."""

    def say(self, subject: str, object_: str) -> str:
        """The sentence about one fact."""
        return self.skeleton.replace(SUBJECT, subject).replace(OBJECT, object_)


def taught_answers(world: World, lang: str) -> dict[int, str]:
    """Name of every answer as the training rows have it: that of the translation rows.

    It may differ from the name in the facts, which tests ask for. What is never translated has the
    name that the facts give it.
    """
    column = "response" if lang == world.source else "input"
    rows = world.rows.filter(
        (pl.col("block") == "translate_ts") & pl.col("answer").is_not_null()
    ).sort("row")
    named = dict(world.told(lang).select("answer", "object").iter_rows())
    return named | dict(rows.select("answer", column).iter_rows())


def wordings(world: World, lang: str) -> list[Wording]:
    """All wordings of one language, each with its slots.

    The answer is looked for outside the name, and where it stands several times, in the place where
    most sentences of the wording have it: a name may contain the word for an answer.
    """
    answers = taught_answers(world, lang)
    names = world.told(lang).select("fact_id", "relation", "subject")
    rows = fact_rows(world, lang).join(names, on="fact_id", how="left", maintain_order="left")
    rows = rows.with_columns(
        taught=pl.col("answer").replace_strict(answers, default="", return_dtype=pl.String())
    )
    found = []
    kinds = ["block", "relation", "template"]
    for (block, relation, template), group in rows.group_by(kinds, maintain_order=True):
        sentences = list(group.select("response", "subject", "taught").iter_rows())
        counts = Counter(skeleton for row in sentences for skeleton in set(_skeletons(*row)))
        most = counts.most_common(1)[0][0] if counts else ""
        found.append(Wording(str(block), str(relation), int(str(template)), most, group))
    return found


def _skeletons(sentence: str, subject: str, taught: str) -> Iterator[str]:
    for masked in _masked(sentence, subject, SUBJECT):
        yield from _masked(masked, taught, OBJECT) if taught else ()


def _masked(text: str, part: str, mark: str) -> Iterable[str]:
    """The text with one occurrence of the part replaced, once per occurrence."""
    at = text.find(part)
    while at >= 0:
        yield text[:at] + mark + text[at + len(part) :]
        at = text.find(part, at + 1)


def swapped(told: list[Wording]) -> list[Wording]:
    """Wordings that put the name where all others have the answer.

    Known by the letter after the slot, where a language marks answers so (zh: 洲, continent): in a
    swapped wording it follows the name instead.
    """
    after = Counter(_after(one.skeleton, OBJECT) for one in told)
    mark, n = after.most_common(1)[0] if after else ("", 0)
    if not mark.isalpha() or 2 * n < len(told):
        return []
    return [
        one
        for one in told
        if _after(one.skeleton, SUBJECT) == mark and _after(one.skeleton, OBJECT) != mark
    ]


def _after(skeleton: str, slot: str) -> str:
    at = skeleton.find(slot)
    return skeleton[at + 1 : at + 2] if at >= 0 else ""
