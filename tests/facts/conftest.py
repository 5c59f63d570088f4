"""Small fact sets of our own, and the published ones where they are on this machine."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from polylore.facts import FactSet, load
from polylore.tables import raw

Make = Callable[..., FactSet]


def make_set(
    rows: Sequence[tuple[str, str, str, str, str]],
    templates: Sequence[tuple[str, str, str, int, str]] | None = None,
    **columns: Sequence[Any],
) -> FactSet:
    """A fact set from rows (fact_id, relation, lang, subject, object)."""
    frame = pl.DataFrame(
        list(rows), schema=["fact_id", "relation", "lang", "subject", "object"], orient="row"
    )
    defaults: dict[str, Any] = {
        "aliases": [[]] * len(rows),
        "candidate_ids": [[]] * len(rows),
        "candidates": [[]] * len(rows),
        "gold_pos": [None] * len(rows),
        "source": ["test"] * len(rows),
        "flags": [[]] * len(rows),
    }
    frame = frame.with_columns(
        pl.Series(name, values, dtype=raw.FACTS.schema[name])
        for name, values in (defaults | columns).items()
    )
    if templates is None:
        pairs = frame.select("relation", "lang").unique(maintain_order=True).iter_rows()
        templates = [(r, c, "prompt", 0, f"{r} in {c} of <subject>: <mask>") for r, c in pairs]
    wordings = pl.DataFrame(list(templates), schema=raw.TEMPLATES.schema, orient="row")
    return FactSet("test", frame, wordings)


@pytest.fixture(scope="session")
def make() -> Make:
    return make_set


CAPITALS = {
    "en": {"FR": ("France", "Paris"), "DE": ("Germany", "Berlin"), "PL": ("Poland", "Warsaw")},
    "fr": {"FR": ("France", "Paris"), "DE": ("Allemagne", "Berlin"), "PL": ("Pologne", "Varsovie")},
    "zh": {"FR": ("法国", "巴黎"), "DE": ("德国", "柏林"), "PL": ("波兰", "华沙")},
}


@pytest.fixture
def capitals() -> FactSet:
    """Three facts of one relation in three languages."""
    return make_set(
        [
            (fact_id, "capital", lang, subject, gold)
            for lang, facts in CAPITALS.items()
            for fact_id, (subject, gold) in facts.items()
        ]
    )


@pytest.fixture
def klar_folder(tmp_path: Path) -> Path:
    """A KLAR folder with two relations in two languages, free to be broken."""
    root = tmp_path / "klar"
    contents: dict[str, dict[str, list[tuple[int, str, str]]]] = {
        "en": {
            "capital": [(0, "France", "Paris"), (1, "Spain", "Madrid")],
            "river": [(7, "Köln", "Rhine")],
        },
        "fr": {
            "capital": [(0, "France", "Paris"), (1, "Espagne", "Madrid")],
            "river": [(7, "Cologne", "Rhin")],
        },
    }
    for lang, relations in contents.items():
        for relation, facts in relations.items():
            write_relation(root, lang, relation, facts)
    return root


def write_relation(
    root: Path,
    lang: str,
    relation: str,
    facts: Sequence[tuple[Any, str, str]],
    templates: Sequence[str] = ("<subject> -> <mask>",),
) -> Path:
    path = root / lang / f"{relation}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "relation_name": relation,
        "prompt_templates": list(templates),
        "samples": [{"subject": s, "object": o, "index": i} for i, s, o in facts],
    }
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


@pytest.fixture
def write() -> Callable[..., Path]:
    return write_relation


@pytest.fixture(scope="session")
def klar(published: Path) -> FactSet:
    """The published 1,197 facts in 12 languages."""
    return load(published / "klar")


@pytest.fixture(scope="session")
def klar_with_candidates(published: Path) -> FactSet:
    """The same with the candidates of BMLAMA."""
    return load(published / "klar", candidates=published / "bmlama17")
