"""`inject translate`: items in a further language, written by a model and translated back.

One unit of work is one item: its words, then its sentences, which must hold those words. Passages
and probes are put together of what survived the round trip.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from polylore.errors import ConfigError
from polylore.facts.people import Fiction, read_fiction
from polylore.facts.people.acceptance import Identify, items_with
from polylore.facts.people.translated import Translated, put_together
from polylore.facts.people.translation import Source
from polylore.runs import RunFolder
from polylore.studies.inject.round_trip import RoundTrip
from polylore.studies.inject.writer import (
    Outcome,
    Progress,
    Row,
    Writer,
    chosen,
    conclude,
    do_units,
    identifier,
    length_of,
    opened,
    row_of,
)
from polylore.studies.inject.writer_config import TranslateConfig
from polylore.tables import inject

KIND = "inject-translate"


def translate_items(
    config: TranslateConfig,
    items: str | Path,
    out: str | Path,
    *,
    writer: Writer | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Add a language to items, with the same facts and names (specification of `inject`, 3.4).

    The first attempt at each text is greedy. Arguments and errors as of `write_paraphrases`.
    """
    fiction = read_fiction(items)
    if config.source not in fiction.languages:
        raise ConfigError(
            f"source: the items are not told in {config.source}, only in "
            f"{', '.join(fiction.languages)}."
        )
    if config.target in fiction.languages:
        raise ConfigError(f"target: the items are told in {config.target} already.")
    wanted = chosen(fiction, config.items)
    told = fiction.passages.filter(pl.col("item_id").is_in(wanted), lang=config.source)
    units = told.filter(variant=0)["item_id"].to_list()
    inputs = {"items": fiction.digest()}
    writer = opened(config, writer, inputs)[0]
    length, identify = length_of(config), identifier(config)

    def work(item: str) -> list[Row]:
        source = Source.of(fiction, item, config.source)
        return RoundTrip(config, writer, source, identify).rows()

    run = RunFolder.open(out, KIND, config.identity(), inputs)
    with run.lock():
        rows = do_units(run, units, work, "translating", progress)
        found = [
            _assembled(config, fiction, item, rows.filter(item_id=item), length, identify)
            for item in units
        ]
        refused = [
            row_of(one.item, config.target, kind, about, text, refusal)
            for one in found
            for kind, about, text, refusal in one.refused
        ]
        passages = [row for one in found for row in one.passages]
        made = _added(config, fiction, found, rows, inputs) if passages else None
        n = {"taken": len(passages), "wanted": told.height}
        return conclude(run, made, pl.concat([rows, inject.WRITTEN.build(refused)]), **n)


def _assembled(
    config: TranslateConfig,
    fiction: Fiction,
    item: str,
    rows: pl.DataFrame,
    length: Callable[[str], int],
    identify: Identify | None,
) -> Translated:
    """What the item is in the new language, from what was taken of its words and sentences."""
    source, to = Source.of(fiction, item, config.source), config.target
    taken = rows.filter(pl.col("reason").is_null())
    made = dict(taken.filter(kind="sentence")[["about", "text"]].iter_rows())
    words = dict(taken.filter(kind="word")[["about", "text"]].iter_rows())
    words |= {name: name for name in source.names}
    items = items_with(fiction, {item: json.dumps(_meta(fiction, source, to))})
    own = replace(fiction, items=items)
    return put_together(source, own, to, made, words, length=length, identify=identify)


def _meta(fiction: Fiction, source: Source, to: str) -> dict[str, Any]:
    """Notes of an item, its subject's name in the new language included."""
    meta: dict[str, Any] = json.loads(fiction.items.filter(item_id=source.item)["meta"][0] or "{}")
    if "names" in meta and source.lang in meta["names"]:
        meta["names"][to] = meta["names"][source.lang]
    return meta


def _added(
    config: TranslateConfig,
    fiction: Fiction,
    found: list[Translated],
    rows: pl.DataFrame,
    inputs: dict[str, str],
) -> Fiction:
    """The items with the new language, and who translated it."""
    notes = {}
    same = rows.filter(pl.col("reason").is_null(), pl.col("about") == pl.col("text"), kind="word")
    for one in found:
        if one.passages:
            meta = _meta(fiction, Source.of(fiction, one.item, config.source), config.target)
            meta.setdefault("translated", {})[config.target] = {
                "from": config.source,
                "model": config.model,
                "weights": inputs.get("model"),
                "unchanged_words": same.filter(item_id=one.item)["about"].to_list(),
            }
            notes[one.item] = json.dumps(meta, sort_keys=True)
    passages = inject.PASSAGES.build([row for one in found for row in one.passages])
    probes = inject.PROBES.build([row for one in found for row in one.probes])
    return Fiction(
        items_with(fiction, notes),
        pl.concat([fiction.passages, passages]),
        pl.concat([fiction.probes, probes]),
    )
