"""The ground on which the referee stands: a designed corpus and a model that really read it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from polylore.corpus.compose import Composed, open_corpus
from polylore.corpus.recount import count_names, matches, total_exposure
from polylore.corpus.requirements import refuse_unfit
from polylore.errors import ConfigError, DataError
from polylore.facts import FactSet, load_facts
from polylore.files import read_json, read_parquet
from polylore.training.config import TrainConfig
from polylore.training.stream import read_config, read_stream, with_documents


@dataclass(frozen=True)
class Ground:
    """A finished training run of polylore and its corpus."""

    training: Path
    corpus: Composed
    factset: FactSet
    """All facts of the corpus."""
    stream: pl.DataFrame
    """What the model read, piece by piece: frame of `training.stream.with_documents`."""

    @property
    def pivot(self) -> str:
        """Language in which facts are told that are held out elsewhere."""
        return str(self.corpus.manifest["config"]["pivot"])

    def train_config(self, seed: int) -> TrainConfig:
        """The run's configuration with everything fixed that it measured, and another seed."""
        found = read_json(self.training / "manifest.json")["precision"]
        return read_config(self.training).model_copy(
            update={
                "seed": seed,
                "precision": found["dtype"],
                "attention": found["attention"],
                "compile": "always" if found["compiled"] else "never",
                "threads": found["threads"],
            }
        )

    def string_exposure(self) -> pl.DataFrame:
        """How many documents of any language hold the strings of each cell; table EXPOSURE."""
        found = matches(self.stream, self.factset, lang_conditioned=False)
        return total_exposure(
            found, self.factset, lang_conditioned=False, source="strings of the read documents"
        )

    def refuse_unfit(self, fact_ids: Sequence[str], min_names: int) -> None:
        """Refuse a design that cannot be judged, looking at the facts that are asked.

        Raises:
            ConfigError: see `corpus.requirements`.
        """
        asked = pl.col("fact_id").is_in(list(fact_ids))
        factset = self.factset.filter(fact_ids=fact_ids)
        design = self.corpus.design.filter(asked)
        refuse_unfit(design, factset, self.pivot, self._named(factset), min_names=min_names)

    def _named(self, factset: FactSet) -> pl.DataFrame:
        """In how many documents that state no fact each name occurs."""
        silent = self.stream.filter(pl.col("kind") != "fact")
        parts = []
        for lang in factset.languages:
            own = silent.filter(pl.col("lang") == lang).group_by("text", maintain_order=True)
            facts = factset.facts.filter(pl.col("lang") == lang)
            names = list(dict.fromkeys([*facts["subject"], *facts["object"]]))
            parts.append(count_names(own.agg(pl.len()).iter_rows(), names, lang))
        return pl.concat(parts)


def open_ground(model: str, corpus: str | None) -> Ground:
    """Open the training folder of a model and its corpus, and read again what the model read.

    Args:
        model: folder of checkpoints within a training folder, or the training folder.
        corpus: folder of the corpus, if it is not where the training run found it.

    Raises:
        ConfigError: polylore did not train this model.
        DataError: the training is not finished, the corpus is another one, or a held-out cell was
            told after all.
    """
    training = training_folder(model)
    manifest = read_json(training / "manifest.json")
    if not manifest.get("finished"):
        raise DataError(f"The training in {training} is not finished; finish it first.")
    place = corpus or manifest.get("corpus_folder")
    if place is None:
        raise ConfigError(
            f"{training} does not say where its corpus lies; name it with --referee.corpus."
        )
    composed = open_corpus(place)
    if composed.manifest["digest"] != manifest["corpus"]:
        raise DataError(
            f"The model in {training} was trained on another corpus than {place}; name the right "
            "one with --referee.corpus."
        )
    factset = load_facts(str(composed.folder / "facts"))
    return Ground(training, composed, factset, inspect(training, composed, factset))


def training_folder(model: str) -> Path:
    """The training folder that a model's checkpoints lie in.

    Raises:
        ConfigError: they lie in none.
    """
    for folder in (Path(model), Path(model).parent):
        there = (folder / "manifest.json").is_file() and (folder / "data").is_dir()
        if there and read_json(folder / "manifest.json").get("kind") == "training":
            return folder
    raise ConfigError(
        f"{model} is no checkpoint folder of a model that polylore trained, so there is no truth "
        "to hold labels against; give runs/model/checkpoints or the like."
    )


def inspect(training: Path, corpus: Composed, factset: FactSet) -> pl.DataFrame:
    """Decode what was read, count it anew, and compare with design and ledger.

    Returns:
        The stream, piece by piece: frame of `training.stream.with_documents`.

    Raises:
        DataError: a held-out cell was told, or the ledger counts otherwise than the texts.
    """
    consumed = read_parquet(training / "consumed.parquet")
    stream = with_documents(read_stream(training), corpus.documents().collect(), consumed)
    found = matches(stream, factset)
    refuse_leaks(found, corpus.design)
    _refuse_other_ledger(found, read_parquet(training / "exposure.parquet"), training)
    return stream


def refuse_leaks(found: pl.DataFrame, design: pl.DataFrame) -> None:
    """Refuse a run that read a held-out cell.

    Args:
        found: frame of `corpus.recount.matches`.
        design: contract `tables.raw.DESIGN`; cells without a dose are held out.

    Raises:
        DataError: naming up to five documents and their steps.
    """
    held = design.filter(pl.col("dose") == 0).select("fact_id", "lang")
    leaks = found.join(held, on=["fact_id", "lang"], how="semi", maintain_order="left")
    if leaks.height:
        shown = "; ".join(
            f"document {'of unknown number' if doc is None else doc} at step {step} tells {fact} "
            f"in {lang}"
            for doc, step, fact, lang in leaks.head(5).iter_rows()
        )
        raise DataError(
            f"{leaks.height} documents tell cells that were to be held out ({shown}); remove them "
            "from the corpus and train again."
        )


def _refuse_other_ledger(found: pl.DataFrame, ledger: pl.DataFrame, training: Path) -> None:
    keys = ["fact_id", "lang", "step"]
    counted = found.group_by(keys).agg(n=pl.len().cast(pl.Int64()))
    told = ledger.select("fact_id", "lang", step="step_hi", n="count")
    sides = ((counted, told), (told, counted))
    found_only = [one.join(other, on=[*keys, "n"], how="anti").select(keys) for one, other in sides]
    differing = pl.concat(found_only)
    if differing.height:
        row = differing.sort(keys).row(0, named=True)
        raise DataError(
            f"The ledger of {training} and a recount of what was read differ in "
            f"{differing.height} places, first for {row['fact_id']} in {row['lang']} at step "
            f"{row['step']}; train again."
        )
