"""What is true, in codes only: the facts of every relation before anything has a name.

Babel carries CLDR's supplemental data on currencies, languages and time zones; the rest is shipped
(see `shipped`). Rules that decide what counts as a fact are documented in docs/cldr.md.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from polylore.facts.cldr import shipped

OFFICIAL = "official"
DE_FACTO = "de_facto_official"
# The runner-up may have at most this share of the leading official language's speakers.
DOMINANCE = 0.5
# Bokmål and Nynorsk are the two written forms of Norwegian.
_SAME_LANGUAGE = {"nb": "no", "nn": "no"}
LATIN = "Latn"


@dataclass(frozen=True)
class Claim:
    """One fact in codes."""

    fact_id: str
    relation: str
    subject: tuple[str, str]
    """Kind (see `names.Names.get`) and code."""
    gold: tuple[str, str]
    accepted: tuple[str, ...] = ()
    """Codes of other right answers, of the gold's kind."""
    barred: frozenset[str] = frozenset()
    """Codes that are not accepted but too near the truth to serve as wrong answers."""


def currency() -> Iterator[Claim]:
    """Territory -> its current legal tender; funds codes and ended currencies never count.

    With several tenders the gold is the one that no other territory uses, and the others are
    accepted; without such a one there is no fact.
    """
    tenders = _tenders()
    users: dict[str, int] = {}
    for codes in tenders.values():
        for code in codes:
            users[code] = users.get(code, 0) + 1
    for territory in sorted(shipped.territories()):
        codes = tenders.get(territory, [])
        own = codes if len(codes) == 1 else [code for code in codes if users[code] == 1]
        if len(own) == 1:
            rest = tuple(code for code in codes if code != own[0])
            yield _claim("currency", "territory", territory, "currency", own[0], rest)


def official_language() -> Iterator[Claim]:
    """Territory -> its nationwide official language.

    With several the most widely spoken is the gold and the others are accepted, but only if it has
    at least twice the speakers of the next and CLDR does not rank an unofficial one above it.
    """
    from babel.core import get_global

    spoken = get_global("territory_languages")
    for territory in sorted(shipped.territories()):
        shares: dict[str, float] = {}
        status: dict[str, set[str]] = {}
        for tag, entry in spoken.get(territory, {}).items():
            code = tag.split("_")[0]
            code = _SAME_LANGUAGE.get(code, code)
            shares[code] = max(shares.get(code, 0.0), entry["population_percent"])
            status.setdefault(code, set()).add(entry["official_status"] or "")
        formal = [c for c in shares if OFFICIAL in status[c]]
        nationwide = [c for c in shares if status[c] & {OFFICIAL, DE_FACTO}]
        if not nationwide:
            continue
        gold = max(nationwide, key=lambda c: shares[c])
        if len(nationwide) > 1 and gold not in formal:
            continue
        rest = sorted((c for c in formal if c != gold), key=lambda c: (-shares[c], c))
        if rest and shares[rest[0]] > DOMINANCE * shares[gold]:
            continue
        written = tuple(c for c, one in _SAME_LANGUAGE.items() if one == gold)
        barred = frozenset(c for c in shares if status[c] - {""}) | frozenset(written)
        yield _claim(
            "official_language", "territory", territory, "language", gold, (*rest, *written), barred
        )


def continent() -> Iterator[Claim]:
    """Territory -> continent of UN M.49."""
    for territory, place in sorted(shipped.territories().items()):
        yield _claim("continent", "territory", territory, "territory", place.continent)


def subregion() -> Iterator[Claim]:
    """Territory -> subregion of UN M.49."""
    for territory, place in sorted(shipped.territories().items()):
        yield _claim("subregion", "territory", territory, "territory", place.subregion)


def city_country() -> Iterator[Claim]:
    """City (exemplar of a time zone) -> the country or territory it lies in.

    For a city in a dependent territory the state is accepted too.
    """
    from babel.core import get_global

    known = shipped.territories()
    for zone, territory in sorted(get_global("zone_territories").items()):
        if territory in known:
            accepted = tuple(
                s for t, s, kind in shipped.related() if t == territory and kind == "part"
            )
            near = {s for t, s, _ in shipped.related() if t == territory}
            near |= {t for t, s, _ in shipped.related() if s == territory}
            yield _claim(
                "city_country", "city", zone, "territory", territory, accepted, frozenset(near)
            )


def capital() -> Iterator[Claim]:
    """Sovereign state -> its capital."""
    from babel.core import get_global

    zones = get_global("zone_territories")
    for territory, zone in sorted(shipped.capitals().items()):
        if zones.get(zone) == territory:
            yield _claim("capital", "territory", territory, "city", zone)


def script() -> Iterator[Claim]:
    """Living language -> the one script it is usually written in."""
    from babel.core import get_global

    likely = get_global("likely_subtags")
    for code, entry in sorted(shipped.scripts().items()):
        if entry.script in likely.get(code, "").split("_"):
            yield _claim("script", "language", code, "script", entry.script, (), entry.others)


def cap_latin(told: Sequence[Claim]) -> list[Claim]:
    """Keep all languages in other scripts, and half as many in Latin: the most widely spoken."""
    speakers = {code: entry.speakers for code, entry in shipped.scripts().items()}
    latin = [claim.subject[1] for claim in told if claim.gold[1] == LATIN]
    latin.sort(key=lambda code: (-speakers[code], code))
    kept = set(latin[: (len(told) - len(latin)) // 2])
    return [claim for claim in told if claim.gold[1] != LATIN or claim.subject[1] in kept]


RELATIONS: dict[str, Callable[[], Iterator[Claim]]] = {
    "currency": currency,
    "official_language": official_language,
    "continent": continent,
    "subregion": subregion,
    "city_country": city_country,
    "capital": capital,
    "script": script,
}
"""Every relation and what makes its claims, in the order of the fact set."""


@cache
def claims(relation: str) -> tuple[Claim, ...]:
    """All claims of a relation that are not left out on purpose, by subject code."""
    skipped = shipped.left_out(relation)
    return tuple(claim for claim in RELATIONS[relation]() if claim.subject[1] not in skipped)


def _claim(
    relation: str,
    subject_kind: str,
    subject: str,
    gold_kind: str,
    gold: str,
    accepted: tuple[str, ...] = (),
    barred: frozenset[str] = frozenset(),
) -> Claim:
    return Claim(
        f"{relation}:{subject}",
        relation,
        (subject_kind, subject),
        (gold_kind, gold),
        accepted,
        barred,
    )


def _tenders() -> dict[str, list[str]]:
    """Currencies that are legal tender now: no end date, and marked as tender."""
    from babel.core import get_global

    return {
        territory: [code for code, _, end, tender in entries if tender and end is None]
        for territory, entries in get_global("territory_currencies").items()
        if territory in shipped.territories()
    }
