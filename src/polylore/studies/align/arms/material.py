"""What there is to read and to ask: made from the configuration once, then kept in the run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from polylore.config import digest
from polylore.corpus.documents.config import DocumentsConfig
from polylore.errors import ConfigError, DataError
from polylore.facts.fiction.config import WorldConfig
from polylore.facts.fiction.generate import make_worlds
from polylore.facts.fiction.primer import Primer
from polylore.facts.fiction.tongue import draw
from polylore.facts.fiction.world import World
from polylore.files import read_parquet
from polylore.studies.align.arms.config import ArmConfig, ArmsConfig, DataConfig
from polylore.studies.align.arms.sets import asked_sets
from polylore.studies.align.asking.sets import Sets
from polylore.studies.align.world import load_worlds
from polylore.tables.arms import MATERIAL
from polylore.text import check_language


@dataclass(frozen=True)
class Material:
    """Everything that trainings read and models are asked."""

    texts: pl.DataFrame
    """Table MATERIAL."""
    sets: Sets | None
    prompts: pl.DataFrame | None
    """Table ALIGN_PROMPTS."""
    data: DataConfig
    primer: Primer | None

    @cached_property
    def worlds(self) -> dict[str, World]:
        """Invented worlds as configured, by target; empty if there are none."""
        if self.data.worlds is not None:
            return load_worlds(self.data.worlds)
        return {} if self.data.world is None else make_worlds(self.data.world)

    @property
    def source(self) -> str | None:
        """Source language of the worlds."""
        return next((world.source for world in self.worlds.values()), None)

    def taught(self, arm: ArmConfig) -> dict[str, World]:
        """The worlds as an arm teaches them: the same facts, other training rows.

        Raises:
            ConfigError: a world from a folder that cannot be taught so.
        """
        changes: dict[str, Any] = {
            "parallel_exposure": arm.parallel_exposure,
            "shuffled": arm.shuffled,
        }
        if arm.translate is not None:
            changes["translate"] = list(arm.translate)
        if self.data.world is not None:
            values = self.data.world.plain() | changes
            return make_worlds(WorldConfig.parse(values, f"arm {arm.name}"))
        if arm.parallel_exposure or arm.shuffled:
            raise ConfigError(
                f"Arm {arm.name} needs other training rows than {self.data.worlds} holds; let the "
                "world be made here with data.world, or write one with `polylore align world`."
            )
        return {target: _translating(world, arm) for target, world in self.worlds.items()}

    def digest(self) -> str:
        """Hash of all of it."""
        asked = None if self.sets is None else self.sets.digest()
        told = [world.digest() for world in self.worlds.values()]
        prompts = "" if self.prompts is None else self.prompts.write_ndjson()
        return digest([self.texts.write_ndjson(), asked, told, prompts])


def gather(config: ArmsConfig) -> Material:
    """Make or read everything.

    Raises:
        PolyloreError: files that are not there, or do not hold what they should.
    """
    data = config.data
    primer = None
    if data.primer is not None and data.world is not None:
        primer = Primer(data.primer, data.world)
        texts = primer.material()
    else:
        texts = MATERIAL.build(list(_files(data)))
    asked = asked_sets(config.eval, config.pivot, primer)
    sets, prompts = asked or (None, None)
    return Material(texts, sets, prompts, data, primer)


def _translating(world: World, arm: ArmConfig) -> World:
    """The world with the translations that the arm asks for, as far as its rows have them."""
    if arm.translate is None:
        return world
    names = {"t>s": "translate_ts", "s>t": "translate_st"}
    there = set(world.rows["block"])
    absent = [way for way in arm.translate if names[way] not in there]
    if absent:
        raise ConfigError(
            f"Arm {arm.name} translates {absent[0]}, which the rows of the world to "
            f"'{world.target}' do not teach."
        )
    dropped = [name for way, name in names.items() if way not in arm.translate]
    return world.with_rows(world.rows.filter(~pl.col("block").is_in(dropped)))


def _files(data: DataConfig) -> Iterator[Mapping[str, Any]]:
    for lang, path in data.text.items():
        yield from _texts(lang, path, "text", data.held_out)
    # The start model's own text: where it has no file of its own, that of continued training.
    for lang, path in (data.text | data.start_text).items():
        held_out = 0 if data.start_text.get(lang) else data.held_out
        for row in _texts(lang, path, "start", held_out):
            if row["part"] == "start":
                yield row
    if data.questions is not None:
        yield from _questions(data.questions)


def _texts(lang: str, path: str, part: str, held_out: int) -> Iterator[Mapping[str, Any]]:
    """Documents of a file; some of them, drawn by hash of the language, are held out."""
    from polylore.corpus.documents.read import read_shard
    from polylore.corpus.documents.shards import find_shards

    check_language(lang)
    config = DocumentsConfig(source=[path])
    found: list[str] = []
    pending = ""
    for shard in find_shards(config):
        for batch in read_shard(shard, config):
            parts = [text.decode() for text in batch.texts()]
            if batch.continues or batch.unfinished:
                pending += parts[0]
                if batch.unfinished:
                    continue
                parts, pending = [pending], ""
            found += parts
    texts = [text for text in found if text.strip()]
    if len(texts) <= held_out:
        raise DataError(
            f"{path} has {len(texts)} documents, of which {held_out} are to be held out; give more "
            "text or a smaller data.held_out."
        )
    order = draw(0, "held out", lang).permutation(len(texts))[:held_out]
    kept_apart = set(order.tolist())
    for at, text in enumerate(texts):
        where = "heldout" if at in kept_apart else part
        yield {"part": where, "lang": lang, "prompt": "", "response": text}


def _questions(path: str) -> Iterator[Mapping[str, Any]]:
    source = Path(path)
    if source.suffix == ".parquet":
        frame = read_parquet(source)
    else:
        try:
            read = pl.read_csv if source.suffix == ".csv" else pl.read_ndjson
            frame = read(source)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise DataError(f"{path} cannot be read ({str(error).splitlines()[0]}).") from error
    absent = {"lang", "prompt", "response"} - set(frame.columns)
    if absent:
        raise DataError(f"{path} lacks the column {', '.join(sorted(absent))}.")
    for row in frame.iter_rows(named=True):
        yield {
            "part": "question",
            "lang": check_language(row["lang"]),
            "fact_id": row.get("fact_id"),
            "prompt": row["prompt"],
            "response": row["response"],
        }
