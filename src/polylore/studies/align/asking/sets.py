"""Which questions are asked: sets from folders, and sets made from facts."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from polylore.errors import ConfigError
from polylore.facts import FactSet, load_facts
from polylore.facts.choices.ask import build_prompts
from polylore.facts.choices.from_facts import sets_of_facts
from polylore.facts.choices.sets import items_of, read_questions, without_choice
from polylore.files import read_json
from polylore.studies.align.asking.config import AlignAskConfig, AlignSetsConfig
from polylore.tables import align, raw

WORLD = "world.json"


@dataclass(frozen=True)
class Sets:
    """Everything that is asked."""

    questions: pl.DataFrame
    """Contract ALIGN_QUESTIONS."""
    items: pl.DataFrame
    """Contract ALIGN_ITEMS."""
    facts: pl.DataFrame
    """Contract FACTS of the sets made from facts, for other accepted names."""

    def digest(self) -> str:
        """SHA-256 (hex) of all of it."""
        content = hashlib.sha256()
        for frame in (self.questions, self.items, self.facts):
            content.update(frame.write_ndjson().encode())
        return content.hexdigest()


def load_sets(config: AlignSetsConfig, pivot: str) -> Sets:
    """Read or make the sets.

    Raises:
        ConfigError: a set or language that is not there, two sets of one name, or an absent pivot.
        DataError: sources that cannot be read, or items that are not parallel.
    """
    parts = [_load(source, config) for source in config.sources]
    questions = pl.concat([part.questions for part in parts])
    items = pl.concat([part.items for part in parts])
    if config.only is not None:
        items = items.filter(pl.col("dataset").is_in(config.only))
        questions = questions.filter(pl.col("dataset").is_in(config.only))
        absent = sorted(set(config.only) - set(items["dataset"]))
        if absent:
            there = ", ".join(pl.concat([p.items for p in parts])["dataset"].unique().sort())
            raise ConfigError(f"There is no set {', '.join(absent)}; there are {there}.")
    _refuse_same_names(parts)
    if config.limit is not None:
        items = _drawn(items, config.limit, config.seed)
        questions = questions.join(items, on=["dataset", "item"], how="semi", maintain_order="left")
    _refuse_absent_pivot(questions, items, pivot)
    facts = pl.concat([part.facts for part in parts])
    facts = facts.join(items.select("fact_id"), on="fact_id", how="semi", maintain_order="left")
    return Sets(align.QUESTIONS.validate(questions), align.ITEMS.validate(items), facts)


def _load(source: str, config: AlignSetsConfig) -> Sets:
    path = Path(source)
    if path.is_dir() and any(path.glob("*.*.jsonl")) and not (path / WORLD).is_file():
        questions = read_questions(path)
        if config.languages is not None:
            absent = sorted(set(config.languages) - set(questions["lang"]))
            if absent:
                there = ", ".join(questions["lang"].unique(maintain_order=True))
                raise ConfigError(f"{source} has no language {', '.join(absent)}; it has {there}.")
            questions = questions.filter(pl.col("lang").is_in(config.languages))
        if config.only is not None:
            wanted = questions.filter(pl.col("dataset").is_in(config.only))
            # Sets nobody asks for may be as they like; if none is asked for, their names are told.
            questions = wanted if wanted.height else questions
        return Sets(questions, items_of(questions), raw.FACTS.empty())
    factset = _facts(source, config)
    made = sets_of_facts(
        factset, k=config.options, seed=config.seed, variant=config.variant, name=factset.name
    )
    return Sets(made.questions, made.items, factset.facts)


def _facts(source: str, config: AlignSetsConfig) -> FactSet:
    if (Path(source) / WORLD).is_file():
        if "worlds" in read_json(Path(source) / WORLD):
            raise ConfigError(
                f"{source} holds invented worlds, which are asked with `polylore align conduct "
                f"MODEL --world {source}`."
            )
        from polylore.facts.worlds.export import to_factset
        from polylore.facts.worlds.folder import load_world

        factset = to_factset(load_world(source), Path(source).name)
        if config.languages is not None or config.relations is not None:
            factset = factset.filter(languages=config.languages, relations=config.relations)
        return factset
    return load_facts(source, languages=config.languages, relations=config.relations)


def _refuse_same_names(parts: list[Sets]) -> None:
    seen: set[str] = set()
    for part in parts:
        own = set(part.items["dataset"])
        if own & seen:
            raise ConfigError(
                f"Two sources have a set named {min(own & seen)}; ask them in two runs."
            )
        seen |= own


def _drawn(items: pl.DataFrame, limit: int, seed: int) -> pl.DataFrame:
    """Items of smallest hash of seed, set and number, in their order."""
    keys = [
        hashlib.sha256(f"{seed}\x1f{dataset}\x1f{item}".encode()).hexdigest()
        for dataset, item in items.select("dataset", "item").iter_rows()
    ]
    ranked = items.with_columns(pl.Series("_key", keys))
    return ranked.filter(pl.col("_key").rank("ordinal").over("dataset") <= limit).drop("_key")


def _refuse_absent_pivot(questions: pl.DataFrame, items: pl.DataFrame, pivot: str) -> None:
    for dataset in items["dataset"].unique(maintain_order=True):
        langs = questions.filter(pl.col("dataset") == dataset)["lang"].unique(maintain_order=True)
        if pivot not in set(langs):
            raise ConfigError(
                f"{dataset} has no language '{pivot}', the pivot; choose one of "
                f"{', '.join(langs)} with --score.pivot."
            )


def empty_options(questions: pl.DataFrame) -> pl.DataFrame:
    """Questions with an option that says nothing; their options cannot be scored by their words."""
    blank = pl.element().str.strip_chars() == ""
    return questions.filter(pl.col("options").list.eval(blank).list.any())


def not_chosen(sets: Sets, ask: AlignAskConfig) -> dict[str, int]:
    """Items by set that are left out where options are chosen from, as they have only one."""
    free = set(sets.items.filter(pl.col("n_options") == 0)["dataset"])
    ranked = "rank" in ask.free_modes()
    found = without_choice(sets.questions, sets.items)
    return {dataset: n for dataset, n in found.items() if ranked or dataset not in free}


def prompts_of(sets: Sets, ask: AlignAskConfig, pivot: str) -> pl.DataFrame:
    """Table ALIGN_PROMPTS: every set in every manner and mode that suits it; maybe nothing."""
    free = sets.items["n_options"] == 0
    made = []
    for manner in ask.manners():
        for items, modes in (
            (sets.items.filter(~free), ask.effective_modes()),
            (sets.items.filter(free), ask.free_modes()),
        ):
            questions = sets.questions.join(
                items, on=["dataset", "item"], how="semi", maintain_order="left"
            )
            if questions.height:
                made.append(build_prompts(questions, items, modes, manner, pivot))
    return align.ALIGN_PROMPTS.validate(pl.concat(made)) if made else align.ALIGN_PROMPTS.empty()
