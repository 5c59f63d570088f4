"""The built-in fact set: claims in codes become facts in words."""

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

import polars as pl

from polylore.errors import ConfigError
from polylore.facts.cldr import wordings
from polylore.facts.cldr.candidates import N_CANDIDATES, choose
from polylore.facts.cldr.claims import RELATIONS, Claim, cap_latin, claims
from polylore.facts.cldr.names import Name, names
from polylore.facts.factset import FactSet
from polylore.tables import raw
from polylore.text import fold

NAME = "cldr"
FALLBACK = "fallback_name"
"""Flag: subject or object is CLDR's fallback spelling, not the language's own data."""
SAME_AS_EN = "same_as_en"
"""Flag: the object reads as in English."""
SUBJECT_SAME_AS_EN = "subject_same_as_en"
"""Flag: the subject reads as in English."""
SEVERAL = "several_answers"
"""Flag: another answer is right too and accepted as an alias."""
SAME_AS_SUBJECT = "same_as_subject"
"""Flag: in this language the object reads like the subject, so it can be copied."""
_REFERENCE = "en"
_BETWEEN = "\x1f"


def build(
    languages: Sequence[str] | None = None,
    relations: Sequence[str] | None = None,
    n_candidates: int = N_CANDIDATES,
) -> FactSet:
    """Derive the built-in facts from the installed CLDR data.

    A fact is kept in a language if subject and object have a name there; `FactSet.common` keeps
    those that all languages have. What a fact is, and its candidates, do not depend on the
    languages asked for.

    Args:
        languages: codes, in the order wanted; all with a wording file if None.
        relations: keys of `claims.RELATIONS`, which also orders them; all if None.
        n_candidates: candidates per fact; fewer where a relation has fewer right answers.

    Raises:
        ConfigError: a language without wordings, or an unknown relation.
    """
    wanted = list(dict.fromkeys(wordings.languages() if languages is None else languages))
    asked = list(RELATIONS if relations is None else relations)
    unknown = [name for name in asked if name not in RELATIONS]
    kept = [name for name in RELATIONS if name in asked]
    if not wanted:
        raise ConfigError("Ask the built-in facts for at least one language.")
    if unknown or not kept:
        named = f"no relation {', '.join(map(repr, unknown))}" if unknown else "nothing to ask for"
        raise ConfigError(f"The built-in facts have {named}; there are {', '.join(RELATIONS)}.")
    templates = [
        row
        for lang in wanted
        for row in wordings.wordings(lang)
        if row["relation"] in (*kept, wordings.MENTION)
    ]
    source = _source()
    facts = [
        row for lang in wanted for one in kept for row in _facts(one, lang, source, n_candidates)
    ]
    return FactSet(NAME, _frame(facts), raw.TEMPLATES.build(templates), _notes(facts))


def _facts(relation: str, lang: str, source: str, n_candidates: int) -> list[dict[str, Any]]:
    rows = []
    for claim, order in _told(relation, n_candidates):
        words = _words(claim, lang)
        if words is None:
            continue
        subject, gold = words
        named = [_name(claim.gold[0], code, lang) for code in order]
        rows.append(
            {
                "fact_id": claim.fact_id,
                "relation": relation,
                "lang": lang,
                "subject": subject.text,
                "object": gold.text,
                "aliases": _aliases(claim, gold, lang),
                "candidate_ids": list(order),
                "candidates": [name.text for name in named if name],
                "gold_pos": order.index(claim.gold[1]),
                "source": source,
                "flags": _flags(claim, subject, gold, lang),
            }
        )
    return rows


@cache
def _told(relation: str, n_candidates: int) -> tuple[tuple[Claim, tuple[str, ...]], ...]:
    """Claims that become facts, each with its candidates, the same for every selection.

    A claim is dropped if its English answer stands in its English subject (Luxembourg, South
    Africa -> Africa): it could be copied. Scripts must be named in all languages, since there are
    languages enough to choose from; two in three are not in Latin script, which would otherwise be
    the answer nearly everywhere.
    """
    everywhere = wordings.languages()
    told = [claim for claim in claims(relation) if not _copied(claim)]
    if relation == "script":
        told = [claim for claim in told if all(_words(claim, lang) for lang in everywhere)]
        told = cap_latin(told)
    pool = sorted({claim.gold[1] for claim in claims(relation)})
    forms = {lang: _forms(relation, lang, told, pool) for lang in everywhere}
    return tuple(
        (claim, tuple(choose(claim, pool, _named(claim, forms), n_candidates))) for claim in told
    )


def _named(
    claim: Claim, forms: dict[str, dict[str, tuple[str, ...]]]
) -> list[dict[str, tuple[str, ...]]]:
    """Forms in the languages that tell a claim."""
    return [known for lang, known in forms.items() if _words(claim, lang)]


def _forms(
    relation: str, lang: str, told: Sequence[Claim], pool: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    kind = claims(relation)[0].gold[0]
    codes = {*pool, *(code for claim in told for code in claim.accepted)}
    found = ((code, names(lang).get(kind, code)) for code in sorted(codes))
    return {
        code: (name.folded, *(fold(other) for other in name.others)) for code, name in found if name
    }


def _words(claim: Claim, lang: str) -> tuple[Name, Name] | None:
    """Subject and object, unless one has no name or the subject's is ambiguous in its relation."""
    subject, gold = _name(*claim.subject, lang), _name(*claim.gold, lang)
    if subject is None or gold is None or subject.folded in _ambiguous(claim.relation, lang):
        return None
    return subject, gold


@cache
def _ambiguous(relation: str, lang: str) -> frozenset[str]:
    found = (_name(*claim.subject, lang) for claim in claims(relation))
    uses = Counter(name.folded for name in found if name)
    return frozenset(text for text, count in uses.items() if count > 1)


def _copied(claim: Claim) -> bool:
    words = _words(claim, _REFERENCE)
    if words is None:
        return False
    subject, gold = (name.folded for name in words)
    return re.search(rf"(?<!\w){re.escape(gold)}(?!\w)", subject) is not None


def _aliases(claim: Claim, gold: Name, lang: str) -> list[str]:
    """Other accepted answers; forms that differ only in case are accepted anyway."""
    others = [_name(claim.gold[0], code, lang) for code in claim.accepted]
    texts = [*gold.others, *(text for name in others if name for text in (name.text, *name.others))]
    different: dict[str, str] = {}
    for text in texts:
        if fold(text) != gold.folded:
            different.setdefault(fold(text), text)
    return list(different.values())


def _flags(claim: Claim, subject: Name, gold: Name, lang: str) -> list[str]:
    flags = [FALLBACK] if subject.fallback or gold.fallback else []
    english = _words(claim, _REFERENCE)
    if english is not None and lang != _REFERENCE:
        if gold.folded == english[1].folded:
            flags.append(SAME_AS_EN)
        if subject.folded == english[0].folded:
            flags.append(SUBJECT_SAME_AS_EN)
    if gold.folded == subject.folded:
        flags.append(SAME_AS_SUBJECT)
    return [*flags, SEVERAL] if claim.accepted else flags


def _frame(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Rows as a valid table. Lists go through joined strings, which polars splits much faster
    than it takes Python lists in.
    """
    columns = []
    for name, dtype in raw.FACTS.schema.items():
        values = [row[name] for row in rows]
        if isinstance(dtype, pl.List):
            joined = pl.Series(name, [_BETWEEN.join(items) for items in values], dtype=pl.String)
            # The empty string splits into one empty item; no other item is empty.
            columns.append(
                joined.str.split(_BETWEEN).list.eval(pl.element().filter(pl.element() != ""))
            )
        else:
            columns.append(pl.Series(name, values, dtype=dtype))
    return raw.FACTS.validate(pl.DataFrame(columns))


def _name(kind: str, code: str, lang: str) -> Name | None:
    return names(lang).get(kind, code)


def _source() -> str:
    import babel
    from babel.core import get_global

    version = get_global("cldr").get("version", "of unknown version")
    return f"Unicode CLDR {version} (Babel {babel.__version__})"


def _notes(facts: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    fallen = Counter(row["lang"] for row in facts if FALLBACK in row["flags"])
    if not fallen:
        return ()
    counts = ", ".join(f"{lang} {count}" for lang, count in fallen.items())
    return (
        f"City names that CLDR does not list for a language are its fallback, the international "
        f"spelling; facts with such a name have the flag {FALLBACK} ({counts}).",
    )
