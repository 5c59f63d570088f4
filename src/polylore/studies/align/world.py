"""`align world`: invented worlds as files, generated or read from the published folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from polylore.errors import ConfigError, DataError
from polylore.facts.fiction.config import WorldConfig
from polylore.facts.fiction.generate import make_worlds
from polylore.facts.fiction.lint import valid_facts
from polylore.facts.fiction.published import read_published
from polylore.facts.fiction.repair import repair
from polylore.facts.fiction.world import World
from polylore.files import atomic_path, read_json, read_parquet, write_json, write_parquet

MANIFEST = "world.json"


def write_worlds(
    out: str | Path,
    config: WorldConfig,
    *,
    published: str | Path | None = None,
    repairs: Sequence[str] = (),
) -> dict[str, World]:
    """Write one folder per target language: facts, training rows, tests and valid facts.

    Args:
        out: folder to write; it is replaced as a whole.
        config: what is generated; of a published world only the targets count.
        published: the published folder (`train/`, `test/`) to read instead.
        repairs: repairs of the published worlds.

    Raises:
        ConfigError: repairs without a published folder, or an unknown one.
        DataError: the published folder does not have its layout.
    """
    if published is None:
        if repairs:
            raise ConfigError("Generated worlds need no repair; give --published, too.")
        worlds = make_worlds(config)
    else:
        langs = [target.lang for target in config.targets]
        worlds = {lang: repair(read_published(published, lang), repairs) for lang in langs}
    with atomic_path(out) as folder:
        folder.mkdir(parents=True)
        for lang, world in worlds.items():
            for name, frame in _tables(world).items():
                write_parquet(frame, folder / lang / f"{name}.parquet")
        write_json(_manifest(worlds, config, published, repairs), folder / MANIFEST)
    return worlds


def holds_worlds(folder: str | Path) -> bool:
    """Whether `write_worlds` wrote a folder."""
    return (Path(folder) / MANIFEST).is_file()


def load_worlds(folder: str | Path, targets: Sequence[str] | None = None) -> dict[str, World]:
    """Read what `write_worlds` wrote, by target language.

    Args:
        folder: the folder.
        targets: languages to read; all if not given.

    Raises:
        ConfigError: a target that the folder does not have.
        DataError: it is no such folder.
    """
    folder = Path(folder)
    manifest = read_json(folder / MANIFEST) if holds_worlds(folder) else {}
    if "worlds" not in manifest:
        raise DataError(
            f"{folder} holds no invented worlds; make them with `polylore align world`."
        )
    there = list(manifest["worlds"])
    absent = sorted(set(targets or ()) - set(there))
    if absent:
        raise ConfigError(
            f"{folder} has no world of the target {', '.join(absent)}; it has {', '.join(there)}."
        )
    return {lang: _read(folder / lang) for lang in targets or there}


def _read(folder: Path) -> World:
    names = ("fiction_facts", "fiction_rows", "fiction_tests")
    return World(*(read_parquet(folder / f"{name}.parquet") for name in names))


def _tables(world: World) -> Mapping[str, pl.DataFrame]:
    return {
        "fiction_facts": world.facts,
        "fiction_rows": world.rows,
        "fiction_tests": world.tests,
        "fiction_valid": valid_facts(world),
    }


def _manifest(
    worlds: Mapping[str, World],
    config: WorldConfig,
    published: str | Path | None,
    repairs: Sequence[str],
) -> dict[str, object]:
    origin: dict[str, object] = {"published": list(repairs)}
    if published is None:
        origin = {"generated": config.plain()}
    return origin | {
        "worlds": {
            lang: {"digest": world.digest(), "rows": world.rows.height}
            for lang, world in worlds.items()
        }
    }
