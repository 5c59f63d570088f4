"""Hand-made facts as a world.

Columns of the table: `fact_id`, `relation`, `lang`, `subject`, `object`; optional `entity` (else
facts with the same subject are about one entity), `home_lang`, `seen` (which cells training shows;
without it `p` and `split` decide) and `weight` (presentations per epoch). Subject and object are
one token each, spaces written as `_`; the same text is the same token in all languages. Relation
words follow `share.relations`. A value is what the objects of a fact in all languages have in
common, and is written in one way in each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from polylore.errors import ConfigError, DataError
from polylore.facts.table_files import records
from polylore.facts.worlds.config import WorldConfig
from polylore.facts.worlds.cues import cue_words
from polylore.facts.worlds.design import Grid, draw_homes, draw_seen, draw_stages, draw_weights
from polylore.facts.worlds.told import Told, world_facts
from polylore.facts.worlds.vocabulary import PADDING, UNKNOWN, class_ids
from polylore.facts.worlds.world import World

Ids = NDArray[np.int64]

NEEDED = ("fact_id", "relation", "lang", "subject", "object")
"""Columns without which a table is no world."""
_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True)
class _Row:
    where: str
    fact_id: str
    relation: str
    lang: str
    subject: str
    object: str
    entity: str | None
    home_lang: str | None
    seen: bool | None
    weight: int | None


def read_world(config: WorldConfig) -> World:
    """Read the table that `config.facts` names; the world is not checked for leaks.

    Raises:
        ConfigError: settings that do not fit the table.
        DataError: a column is missing, or lines contradict each other; their numbers are named.
    """
    rows = [_row(where, record) for where, record in records(Path(str(config.facts)))]
    _refuse_repeats(rows)
    codes, relations, fact_ids = (
        list(dict.fromkeys(getattr(row, name) for row in rows))
        for name in ("lang", "relation", "fact_id")
    )
    if not 2 <= len(codes) <= 8:
        raise DataError(f"{config.facts}: a world has 2 to 8 languages, not {len(codes)}.")
    about = {row.fact_id: row for row in reversed(rows)}
    relation = np.array([relations.index(about[fact].relation) for fact in fact_ids])
    cell = np.full((len(fact_ids), len(codes)), -1)
    number = {fact: n for n, fact in enumerate(fact_ids)}
    for at, row in enumerate(rows):
        cell[number[row.fact_id], codes.index(row.lang)] = at
    entity = _entities(rows, fact_ids)
    value, forms = _values(rows, fact_ids, relations, codes)
    config = _adapted(config, codes, relations, entity, value)
    grid = Grid(entity, relation, _shown(rows, cell))
    home, weights, stages = _design(config, rows, cell, grid, codes)
    words, relation_rows = _words(config, rows, relations, codes)
    told = Told(
        fact_ids=fact_ids,
        relations=[relations[r] for r in relation],
        entity=entity,
        home=home,
        value=value,
        block=None,
        subjects=_texts(rows, cell, "subject"),
        objects=_texts(rows, cell, "object"),
        weights=weights,
        stages=stages,
    )
    columns = ["kind", "relation", "number", "lang", "text"]
    table = pl.DataFrame([*relation_rows, *forms], schema=columns, orient="row")
    return world_facts(config, told, table, words, codes)


def _row(where: str, record: dict[str, Any]) -> _Row:
    missing = [name for name in NEEDED if record.get(name) is None or not str(record[name]).strip()]
    if missing:
        raise DataError(
            f"{where}: {', '.join(missing)} is missing or empty; every row of a world needs "
            f"{', '.join(NEEDED)}."
        )
    seen, weight = record.get("seen"), record.get("weight")
    if seen is not None and str(seen).strip().lower() not in _TRUTH:
        raise DataError(f"{where}: seen must be true or false, not {seen!r}.")
    if weight is not None and not str(weight).strip().isdigit():
        raise DataError(f"{where}: weight must be a whole number from 0 on, not {weight!r}.")
    texts = {name: str(record[name]).strip() for name in NEEDED}
    texts |= {name: "_".join(texts[name].split()) for name in ("subject", "object")}
    return _Row(
        where,
        **texts,
        entity=None if record.get("entity") is None else str(record["entity"]),
        home_lang=None if record.get("home_lang") is None else str(record["home_lang"]),
        seen=None if seen is None else _TRUTH[str(seen).strip().lower()],
        weight=None if weight is None else int(weight),
    )


def _refuse_repeats(rows: Sequence[_Row]) -> None:
    """Each fact once per language, always of one relation, and each question asked once."""
    cells: dict[tuple[str, ...], _Row] = {}
    for row in rows:
        for key, what in (
            ((row.fact_id, row.lang), f"the fact {row.fact_id} has two values in {row.lang}"),
            (
                ("asks", row.relation, row.lang, row.subject),
                f"two facts ask {row.relation} of {row.subject!r} in {row.lang}",
            ),
        ):
            first = cells.setdefault(key, row)
            if first is not row:
                raise DataError(f"{row.where}, and {first.where}: {what}; keep one of them.")
        first = cells.setdefault(("means", row.fact_id), row)
        if first.relation != row.relation:
            raise DataError(
                f"{row.where}, and {first.where}: the fact {row.fact_id} has two relations; give "
                "one of them another fact_id."
            )
    for name in ("seen", "weight"):
        given = [getattr(row, name) is not None for row in rows]
        if any(given) and not all(given):
            row = rows[given.index(False)]
            raise DataError(f"{row.where}: {name} is empty here but given in other rows.")


class _Groups:
    """Things that belong together because a fact names both (disjoint sets)."""

    def __init__(self) -> None:
        self._parent: dict[Any, Any] = {}

    def find(self, item: Any) -> Any:
        root = item
        while self._parent.setdefault(root, root) != root:
            root = self._parent[root]
        while self._parent[item] != root:
            self._parent[item], item = root, self._parent[item]
        return root

    def join(self, a: Any, b: Any) -> None:
        # The first stays the name of the group, so numbers follow the order of the file.
        self._parent[self.find(b)] = self.find(a)


def _entities(rows: Sequence[_Row], fact_ids: list[str]) -> Ids:
    groups = _Groups()
    for row in rows:
        own = ("named", row.entity) if row.entity is not None else ("is", row.lang, row.subject)
        groups.join(("fact", row.fact_id), own)
    names: dict[Any, int] = {}
    return np.array(
        [names.setdefault(groups.find(("fact", fact)), len(names)) for fact in fact_ids]
    )


def _values(
    rows: Sequence[_Row], fact_ids: list[str], relations: list[str], codes: list[str]
) -> tuple[Ids, list[tuple[str, str, int, str, str]]]:
    """[facts] number of the value within its relation, and rows of the forms of values."""
    groups = _Groups()
    for row in rows:
        groups.join(("fact", row.fact_id), (row.relation, row.lang, row.object))
    forms: dict[tuple[Any, str], _Row] = {}
    numbers: dict[str, dict[Any, int]] = {relation: {} for relation in relations}
    of_fact: dict[str, int] = {}
    for row in rows:
        root = groups.find(("fact", row.fact_id))
        first = forms.setdefault((root, row.lang), row)
        if first.object != row.object:
            raise DataError(
                f"{row.where}, and {first.where}: {row.object!r} and {first.object!r} are the same "
                f"value of {row.relation} in another language; write a value in one way in "
                f"{row.lang}."
            )
        own = numbers[row.relation]
        of_fact[row.fact_id] = own.setdefault(root, len(own))
    found = []
    for relation, own in numbers.items():
        for lang in codes:
            for root, number in own.items():
                if (root, lang) in forms:
                    found.append(("value", relation, number, lang, forms[root, lang].object))
    return np.array([of_fact[fact] for fact in fact_ids]), found


def _adapted(
    config: WorldConfig, codes: list[str], relations: list[str], entity: Ids, value: Ids
) -> WorldConfig:
    """The configuration with the numbers of the file."""
    config = config.model_copy(
        update={
            "languages": len(codes),
            "entities": int(entity.max()) + 1,
            "relations": len(relations),
            "values": int(value.max()) + 1,
            "never_seen": 0,
        }
    )
    try:
        config.check_languages()
    except ValueError as error:
        raise ConfigError(f"{config.facts}: {error}.") from error
    return config


def _shown(rows: Sequence[_Row], cell: Ids) -> NDArray[np.bool_]:
    seen = np.array([row.seen is not False and row.weight != 0 for row in rows])
    found: NDArray[np.bool_] = ((cell >= 0) & seen[cell]).any(axis=1)
    return found


def _design(
    config: WorldConfig, rows: Sequence[_Row], cell: Ids, grid: Grid, codes: list[str]
) -> tuple[Ids, Ids, list[Ids]]:
    """Home languages, presentations per epoch, and those of every stage."""
    home = draw_homes(config, grid)
    if rows[0].seen is None:
        gap = np.argwhere(cell < 0)
        if len(gap):
            fact, lang = gap[0]
            row = rows[int(cell[fact].max())]
            raise DataError(
                f"{row.where}: the fact {row.fact_id} is not told in {codes[int(lang)]}; add the "
                "row, or say with a column seen which cells training shows."
            )
        home = _given_homes(rows, cell, codes, home)
        seen = draw_seen(config, grid, home, config.p)
    else:
        if config.p > 0:
            raise ConfigError(f"{config.facts} has a column seen, which decides instead of p.")
        seen = (cell >= 0) & np.array([bool(row.seen) for row in rows])[cell]
        # The home of a fact is the first language that shows it.
        home = np.where(seen.any(axis=1), seen.argmax(axis=1), home)
        home = _given_homes(rows, cell, codes, home)
    weights = draw_weights(config, grid, home, seen)
    if rows[0].weight is not None:
        weights = np.where(seen, np.array([row.weight for row in rows])[cell], 0)
    if rows[0].seen is not None and any(stage.p is not None for stage in config.curriculum):
        raise ConfigError("curriculum: p of a stage needs hand-made facts without column seen.")
    return home, weights, draw_stages(config, grid, home, seen, weights)


def _given_homes(rows: Sequence[_Row], cell: Ids, codes: list[str], home: Ids) -> Ids:
    found = home.copy()
    for fact, own in enumerate(cell):
        for at in own[own >= 0]:
            code = rows[at].home_lang
            if code is not None and code not in codes:
                raise DataError(
                    f"{rows[at].where}: home_lang {code!r} is none of {', '.join(codes)}."
                )
            if code is not None:
                found[fact] = codes.index(code)
    return found


def _texts(rows: Sequence[_Row], cell: Ids, name: str) -> list[list[str | None]]:
    return [[getattr(rows[at], name) if at >= 0 else None for at in own] for own in cell.T.tolist()]


def _words(
    config: WorldConfig, rows: Sequence[_Row], relations: list[str], codes: list[str]
) -> tuple[list[str], list[tuple[str, str, int, str, str]]]:
    """The vocabulary, and rows of the forms of relations."""
    cues, synonyms = cue_words(len(codes), max(c.m * (c.kind == "syn") for c in config.cues))
    words = [PADDING, UNKNOWN, *cues]
    types = [
        "." + "_".join(relation.split()) + (f".{k}" if config.templates > 1 else "")
        for relation in relations
        for k in range(config.templates)
    ]
    rng = np.random.default_rng(np.random.SeedSequence(config.seed_of("world"), spawn_key=(1,)))
    ids = class_ids(config, "relations", types, words, rng)
    reserved = {*words, *synonyms}
    texts = dict.fromkeys(text for row in rows for text in (row.subject, row.object))
    for row in rows:
        for text in (row.subject, row.object):
            if text in reserved:
                raise DataError(f"{row.where}: {text!r} is a word that cues or relations use.")
    found = []
    for lang, code in enumerate(codes):
        for number, token in enumerate(ids[lang]):
            relation, k = divmod(number, config.templates)
            found.append(("relation", relations[relation], k, code, words[token]))
    return [*words, *texts, *synonyms], found
