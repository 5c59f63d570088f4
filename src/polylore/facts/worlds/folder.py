"""A world as a folder: `world.json`, two tables, a tokenizer and the data card."""

from pathlib import Path
from typing import Any

import polylore
from polylore.errors import DataError
from polylore.facts.worlds.card import card_markdown, make_card
from polylore.facts.worlds.config import SEEDS, WorldConfig
from polylore.facts.worlds.tokenizer import write_tokenizer
from polylore.facts.worlds.world import World
from polylore.files import (
    atomic_path,
    read_json,
    read_parquet,
    refuse_other,
    write_json,
    write_parquet,
)

MANIFEST = "world.json"
"""File that marks the folder of a world; written last."""


def save_world(
    world: World,
    folder: str | Path,
    *,
    steps: int | None = None,
    batch_size: int | None = None,
    card: dict[str, Any] | None = None,
) -> Path:
    """Write a world, so that `load_world` reads it back unchanged.

    Args:
        world: the world.
        folder: where to write; a world that is there already must be the same.
        steps: planned training steps, for the card.
        batch_size: presentations per step, likewise.
        card: the card, if it was made before.

    Raises:
        RunError: the folder holds another world, or cannot be written to.
    """
    folder = Path(folder)
    manifest = folder / MANIFEST
    refuse_other(manifest, "world_hash", world.world_hash, "world")
    card = card or make_card(world, steps=steps, batch_size=batch_size)
    write_parquet(world.facts, folder / "facts.parquet")
    write_parquet(world.forms, folder / "forms.parquet")
    write_tokenizer(world.words, folder)
    write_json(card, folder / "card.json")
    with atomic_path(folder / "card.md") as temporary:
        temporary.write_text(card_markdown(card), encoding="utf-8")
    content = {
        "config": world.config.plain(),
        "seeds": {name: world.config.seed_of(name) for name in SEEDS},
        "world_hash": world.world_hash,
        "leaky": world.leaky,
        "languages": world.languages,
        "polylore": polylore.__version__,
    }
    write_json(content, manifest)
    return folder


def load_world(folder: str | Path) -> World:
    """Read what `save_world` wrote; nothing is drawn again.

    Raises:
        DataError: a file is missing or damaged, or the tables are not those of the world.
    """
    folder = Path(folder)
    content = read_json(folder / MANIFEST)
    if not isinstance(content, dict) or not {"config", "world_hash", "leaky"} <= set(content):
        raise DataError(f"{folder / MANIFEST} is not the manifest of a world; make it again.")
    tokenizer = read_json(folder / "tokenizer.json")
    try:
        vocabulary = {str(k): int(v) for k, v in tokenizer["model"]["vocab"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{folder / 'tokenizer.json'} is no word-level tokenizer.") from error
    world = World(
        WorldConfig.parse(content["config"], str(folder / MANIFEST)),
        read_parquet(folder / "facts.parquet"),
        read_parquet(folder / "forms.parquet"),
        sorted(vocabulary, key=vocabulary.__getitem__),
        bool(content["leaky"]),
    )
    if world.world_hash != content["world_hash"]:
        raise DataError(
            f"{folder}: the tables are not those of world {content['world_hash'][:12]}; make the "
            "world again."
        )
    return world
