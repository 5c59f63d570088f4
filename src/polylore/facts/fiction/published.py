"""Reader of the published world (specification of `align`, section 3.4).

Rows of the training file belong to blocks by place and wording, never by script or key word: some
names and words are spelled alike in two languages.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from polylore.errors import DataError
from polylore.facts.fiction.world import World
from polylore.facts.table_files import records
from polylore.files import read_json
from polylore.tables import fiction

SOURCE = "en"
RELATION = "continent"
TARGETS = ("ar", "de", "fr", "he", "it", "ja", "pl", "ru", "zh")
_TAGS = re.compile(r"\[\[continent:(.*?)\]\]\[\[city:(.*?)\]\]\[\[type:([01])\]\]\s*$", re.DOTALL)
Row = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """One fact in one language."""

    item: int
    name: str
    continent: str
    answer: int
    type: int
    prompt: str


def read_published(folder: str | Path, target: str) -> World:
    """Read the facts, training rows and tests of one target language.

    Args:
        folder: the published folder with `train/` and `test/`.
        target: language code, such as de.

    Raises:
        DataError: a file is missing, a test row has no tags, languages differ in type or number of
            facts, or a training row belongs to no block.
    """
    folder, code = Path(folder), target.upper()
    places = {
        lang: _places(folder / "test" / "target" / f"test{lang.upper()}.jsonl")
        for lang in (SOURCE, target)
    }
    _check_parallel(places[SOURCE], places[target], target)
    taught = _training(folder / "train" / f"{code}.json")
    terms = _plain(folder / "test" / "Translate" / f"translate{code}.jsonl")
    return World(
        fiction.FICTION_FACTS.build([row for lang in places for row in _facts(places[lang], lang)]),
        fiction.FICTION_ROWS.build(list(_blocks(taught, places[SOURCE], places[target], target))),
        fiction.FICTION_TESTS.build(list(_tests(places, terms, target))),
    )


def _places(path: Path) -> list[Place]:
    found: list[Place] = []
    answers: dict[str, int] = {}
    for item, (where, row) in enumerate(records(path)):
        tags = _TAGS.search(str(row.get("answer", "")))
        if tags is None:
            raise DataError(f"{where}: the answer has no tags for continent, city and type.")
        continent, city, kind = tags.groups()
        answer = answers.setdefault(continent, len(answers))
        found.append(Place(item, city, continent, answer, int(kind), str(row["prompt"])))
    return found


def _check_parallel(a: Sequence[Place], b: Sequence[Place], target: str) -> None:
    def shape(places: Sequence[Place]) -> list[tuple[int, int]]:
        return [(place.answer, place.type) for place in places]

    if shape(a) != shape(b):
        apart = [i for i, (x, y) in enumerate(zip(shape(a), shape(b), strict=False)) if x != y]
        raise DataError(
            f"The facts of {SOURCE} ({len(a)}) and {target} ({len(b)}) are not parallel; the first "
            f"rows that differ in answer or type are {apart[:5]}."
        )


def _plain(path: Path) -> list[Row]:
    return [_fields(row, where) for where, row in records(path)]


def _training(path: Path) -> list[Row]:
    """JSON Lines, or one JSON list, whatever the file is called."""
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    text = path.read_text(encoding="utf-8").lstrip()
    if text.startswith("["):
        rows = read_json(path)
    else:
        try:
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        except json.JSONDecodeError as error:
            raise DataError(f"{path} is not valid JSON Lines ({error}).") from error
    return [_fields(row, f"{path}, row {number}") for number, row in enumerate(rows)]


def _fields(row: Any, where: str) -> Row:
    wanted = ("prompt", "input", "answer")
    if not isinstance(row, Mapping) or any(not isinstance(row.get(k), str) for k in wanted):
        raise DataError(f"{where}: must have the texts prompt, input and answer.")
    return {name: row[name] for name in wanted}


def _facts(places: Iterable[Place], lang: str) -> Iterable[Row]:
    for place in places:
        yield {
            "fact_id": fact_id(place.item),
            "relation": RELATION,
            "item": place.item,
            "lang": lang,
            "subject": place.name,
            "object": place.continent,
            "answer": place.answer,
            "type": place.type,
        }


def fact_id(item: int) -> str:
    """Ids that sort in the order of the facts."""
    return f"{RELATION}:{item:03}"


def _blocks(
    taught: Sequence[Row], source: Sequence[Place], target: Sequence[Place], lang: str
) -> Iterable[Row]:
    """Every row with its block, fact and wording.

    Facts of a block come wording by wording, in the order of the facts, so the n-th row of a block
    names its place; the names are checked.
    """
    source_0, source_1 = ([p for p in source if p.type == kind] for kind in (0, 1))
    target_0 = [p for p in target if p.type == 0]
    wordings = [row["prompt"].replace(source_0[0].name, "\0")
                for row in taught[: len(source_0) * 10 : len(source_0)]]  # fmt: skip
    english = {
        wording.replace("\0", place.name): place for place in source_1 for wording in wordings
    }
    names = {place.name: place for place in source}
    answers: dict[str, int] = {}
    seen: dict[str, int] = {}
    prompts: dict[str, int] = {}
    first = len(source_0) * len(wordings)
    for number, row in enumerate(taught):
        made: Row = {"source": SOURCE, "target": lang, "row": number, "prompt": row["prompt"],
                     "input": row["input"], "response": row["answer"]}  # fmt: skip
        if row["input"]:
            place = names.get(row["answer"])
            made |= {
                "block": "translate_ts",
                "template": prompts.setdefault(row["prompt"], len(prompts)),
                "fact_id": None if place is None else fact_id(place.item),
                "answer": None if place else answers.setdefault(row["answer"], len(answers)),
            }
            yield made
            continue
        if number < first:
            block, own = "source_0", source_0
        elif row["prompt"] in english:
            block, own = "source_1", source_1
        else:
            block, own = "target_0", target_0
        count = seen.get(block, 0)
        seen[block] = count + 1
        place = own[count % len(own)]
        if place.name not in row["prompt"]:
            raise DataError(
                f"Row {number} of the training file of '{lang}' should ask about {place.name} "
                f"(block {block}), but asks: {row['prompt'][:80]}."
            )
        yield made | {
            "block": block,
            "template": count // len(own),
            "fact_id": fact_id(place.item),
            "answer": place.answer,
        }


def _tests(
    places: Mapping[str, Sequence[Place]], terms: Sequence[Row], target: str
) -> Iterable[Row]:
    for lang, own in places.items():
        for place in own:
            yield {
                "source": SOURCE,
                "target": target,
                "probe": "fact",
                "lang": lang,
                "fact_id": fact_id(place.item),
                "answer": place.answer,
                "prompt": place.prompt,
                "input": "",
                "expected": place.continent,
            }
    names = {place.name: place for place in places[SOURCE]}
    answers = {place.continent: place.answer for place in places[SOURCE]}
    for row in terms:
        term = row["input"]
        if term not in names and term not in answers:
            raise DataError(f"The translation test asks for '{term}', which is no place or answer.")
        yield {
            "source": SOURCE,
            "target": target,
            "probe": "translate_st",
            "lang": target,
            "fact_id": fact_id(names[term].item) if term in names else None,
            "answer": None if term in names else answers[term],
            "prompt": row["prompt"],
            "input": term,
            "expected": row["answer"],
        }


def read_all(folder: str | Path, targets: Iterable[str] = TARGETS) -> dict[str, World]:
    """Every target language of the published folder."""
    return {lang: read_published(folder, lang) for lang in targets}


def blocks(world: World) -> dict[str, int]:
    """Rows per block."""
    counts = world.rows.group_by("block").len().sort("block")
    return dict(counts.iter_rows())


def expected_blocks(world: World) -> dict[str, int]:
    """The published design: 10 wordings of every taught fact, and of every term."""
    told = world.told(world.source)
    zero, one = (told.filter(pl.col("type") == kind).height for kind in (0, 1))
    terms = told.height + told["answer"].n_unique()
    return {
        "source_0": 10 * zero,
        "source_1": 10 * one,
        "target_0": 10 * zero,
        "translate_ts": 10 * terms,
    }


def fact_rows(world: World, lang: str) -> pl.DataFrame:
    """Rows that teach a fact in one language."""
    kind = "source" if lang == world.source else "target"
    return world.rows.filter(pl.col("block").is_in([f"{kind}_0", f"{kind}_1"]))
