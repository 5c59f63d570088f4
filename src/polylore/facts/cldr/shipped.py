"""The small tables and licence that polylore ships because Babel does not carry them.

Tab-separated text with `#` comments and one header line, in the folder `data`.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Place:
    """Where the UN and CLDR put a territory."""

    subregion: str
    continent: str


@dataclass(frozen=True)
class Script:
    """How a language is written."""

    script: str
    others: frozenset[str]
    speakers: int


@cache
def territories() -> dict[str, Place]:
    """ISO 3166-1 territory -> its UN M.49 subregion and continent; Antarctica is in none."""
    return {
        code: Place(subregion, continent) for code, subregion, continent in _rows("territories")
    }


@cache
def scripts() -> dict[str, Script]:
    """Living language -> the one script it is usually written in."""
    return {
        language: Script(script, frozenset(others.split()), int(speakers))
        for language, script, others, speakers in _rows("scripts")
    }


@cache
def capitals() -> dict[str, str]:
    """Sovereign state -> time zone whose exemplar city is its capital."""
    return {row[0]: row[1] for row in _rows("capitals")}


@cache
def left_out(relation: str) -> dict[str, str]:
    """Subject -> why its fact is left out of a relation: see the header of left_out.tsv."""
    return {row[1]: row[2] for row in _rows("left_out") if row[0] == relation}


@cache
def related() -> tuple[tuple[str, str, str], ...]:
    """(territory, state, "part" or "claim"): see the header of related.tsv."""
    return tuple((territory, state, kind) for territory, state, kind in _rows("related"))


def _rows(name: str) -> list[list[str]]:
    text = (files(__package__) / "data" / f"{name}.tsv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [line.split("\t") for line in lines[1:]]
