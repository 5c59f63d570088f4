"""How alike each checkpoint represents facts in two languages (`trace`, section 4.6).

One unit of work is one checkpoint in all languages, since all are compared with the pivot, whose
vectors stay in memory meanwhile. Only scalars are written.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
import torch

from polylore.config import difference
from polylore.errors import ConfigError, RunError
from polylore.facts import FactSet, build_sentences
from polylore.metrics import surface
from polylore.models import (
    Alignment,
    LanguageModel,
    Layers,
    Placed,
    Position,
    Sentence,
    align,
    layers_of,
    place,
    read_vectors,
)
from polylore.runs import RunFolder
from polylore.studies.trace.config import ExecutionConfig, TraceConfig
from polylore.tables.similarity import SIMILARITY, SIMILARITY_BASE

Progress = Callable[[int, int, str], None]

PART = SIMILARITY.name
"""Name of this part of a checkpoint's work, beside those of its languages; no language code."""
STRATA = ("all", "no_same_object")


@dataclass(frozen=True)
class Measure:
    """What is measured."""

    pivot: str
    positions: tuple[Position, ...]
    variant: int
    delimiter: str | None
    bos: bool

    @classmethod
    def of(cls, config: TraceConfig, langs: Sequence[str]) -> "Measure | None":
        """As the configuration says; None if it is not asked for.

        Raises:
            ConfigError: there is nothing to compare.
        """
        settings, ask = config.effective_similarity(), config.effective_ask()
        if not settings.enabled:
            return None
        pivot = config.analyse.pivot
        if pivot not in langs or len(langs) < 2:
            raise ConfigError(
                f"Similarity compares other languages with the pivot '{pivot}', but the languages "
                f"asked are {', '.join(langs)}; add to facts.languages or change analyse.pivot."
            )
        variant = ask.variants[0] if settings.variant is None else settings.variant
        return cls(pivot, tuple(settings.positions), variant, ask.delimiter, ask.bos)

    def plain(self) -> dict[str, object]:
        """What is noted beside the rows."""
        return {"pivot": self.pivot, "positions": list(self.positions), "variant": self.variant}


def settle(run: RunFolder, measure: Measure) -> None:
    """Note what is measured, and refuse to mix it with something else.

    Raises:
        RunError: the folder holds similarities that were measured in another way.
    """
    before = run.manifest.get(PART)
    found = [] if before is None else difference(before, measure.plain(), PART)
    if found and any(unit.endswith(f"/{PART}") for unit in run.units()):
        raise RunError(
            f"{run.path} holds similarities of another kind ({'; '.join(found)}); give another "
            "folder with --out, or the old settings to go on with it."
        )
    run.annotate(PART, measure.plain())


class Sentences:
    """All sentences of a fact set, tokenised once and read by every checkpoint."""

    def __init__(self, factset: FactSet, measure: Measure) -> None:
        self.measure = measure
        frame = build_sentences(factset, variant=measure.variant, delimiter=measure.delimiter)
        flags = surface(factset.facts, measure.pivot).select("fact_id", "lang", "same_object")
        self._frame = frame.join(flags, on=["fact_id", "lang"], maintain_order="left", how="left")
        self._placed: dict[str, Placed] = {}
        self._tokenizer = ""

    @property
    def pivot(self) -> str:
        """Language that the others are compared with."""
        return self.measure.pivot

    @cached_property
    def langs(self) -> list[str]:
        """The other languages."""
        langs = self._frame["lang"].unique(maintain_order=True).to_list()
        return [lang for lang in langs if lang != self.pivot]

    @cached_property
    def facts(self) -> dict[str, pl.DataFrame]:
        """fact_id, relation and same_object of each language's facts, in their order."""
        return {
            str(lang): part.select("fact_id", "relation", "same_object")
            for (lang,), part in self._frame.group_by("lang", maintain_order=True)
        }

    @cached_property
    def shared(self) -> dict[str, tuple[list[int], list[int]]]:
        """Rows of the facts that a language shares with the pivot: its own, and the pivot's."""
        place_of = {fact: n for n, fact in enumerate(self.facts[self.pivot]["fact_id"])}
        found = {}
        for lang in self.langs:
            ids = self.facts[lang]["fact_id"].to_list()
            own = [n for n, fact in enumerate(ids) if fact in place_of]
            found[lang] = own, [place_of[ids[n]] for n in own]
        return found

    def placed(self, lm: LanguageModel, lang: str) -> Placed:
        """The sentences of a language in the tokens of a model."""
        if self._tokenizer != lm.tokenizer_hash:
            self._placed, self._tokenizer = {}, lm.tokenizer_hash
        if lang not in self._placed:
            columns = ("prompt", "subject_end", "delimiter", "answer")
            rows = self._frame.filter(lang=lang).select(columns).iter_rows()
            sentences = [Sentence(*row) for row in rows]
            positions = self.measure.positions
            self._placed[lang] = place(lm, sentences, positions, bos=self.measure.bos)
        return self._placed[lang]

    @property
    def vectors(self) -> int:
        """Vectors of a layer that are in memory together: the pivot's and one other language's."""
        most = max(self.facts[lang].height for lang in self.langs)
        return len(self.measure.positions) * (self.facts[self.pivot].height + most)

    def blocks(self, layers: Layers, execution: ExecutionConfig) -> list[range]:
        """Layers that are compared together; sentences are read once for each block."""
        return layers.blocks(self.vectors, int(execution.vectors_gb * 1e9))


def measure_similarity(
    lm: LanguageModel, ckpt_id: str, sentences: Sentences, execution: ExecutionConfig
) -> dict[str, pl.DataFrame]:
    """Tables SIMILARITY and SIMILARITY_BASE of one checkpoint.

    Args:
        lm: the checkpoint.
        ckpt_id: its identity.
        sentences: what is read.
        execution: how much is read and kept at once; no result depends on it but by rounding.
    """
    layers = layers_of(lm)
    cosines, bases = [], []
    for block in sentences.blocks(layers, execution):

        def vectors(lang: str, block: range = block) -> list[torch.Tensor]:
            placed = sentences.placed(lm, lang)
            budget = execution.scoring_budget()
            return read_vectors(lm, placed, layers, block, token_budget=budget)

        of_pivot = vectors(sentences.pivot)
        for lang in sentences.langs:
            for own, other, layer in zip(vectors(lang), of_pivot, block, strict=True):
                rows, base = _compare(sentences, lang, own, other)
                where: dict[str, object] = {"lang": lang, "layer": layer}
                last = layers.after_norm and layer == len(layers.widths) - 1
                cosines.append(rows.with_columns(**_literals(where | {"after_norm": last})))
                bases.append(base.with_columns(**_literals(where)))
    same = _literals({"ckpt_id": ckpt_id, "pivot": sentences.pivot})
    return {
        "similarity": SIMILARITY.validate(pl.concat(cosines).with_columns(**same)),
        "similarity_base": SIMILARITY_BASE.validate(pl.concat(bases).with_columns(**same)),
    }


def _literals(values: dict[str, object]) -> dict[str, pl.Expr]:
    return {name: pl.lit(value) for name, value in values.items()}


def _compare(
    sentences: Sentences, lang: str, own_PND: torch.Tensor, other_PND: torch.Tensor
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of one layer and language at all positions."""
    own, other = sentences.shared[lang]
    facts = sentences.facts[lang][own]
    same = facts["same_object"].fill_null(value=False).to_numpy()
    strata = dict(zip(STRATA, (np.ones_like(same), ~same), strict=True))
    relations = facts["relation"].to_list()
    rows, bases = [], []
    for number, position in enumerate(sentences.measure.positions):
        found = align(own_PND[number][own], other_PND[number][other], relations, strata)
        at = pl.lit(position).alias("position")
        rows.append(_fact_rows(facts["fact_id"], found).with_columns(at))
        base = pl.DataFrame(
            found.bases, schema=["stratum", "relation", "n", "base"], orient="row"
        ).with_columns(pl.col("n").cast(pl.Int64()), pl.col("base").fill_nan(None))
        bases.append(base.with_columns(at))
    return pl.concat(rows), pl.concat(bases)


def _fact_rows(fact_ids: pl.Series, found: Alignment) -> pl.DataFrame:
    numbers = {"cos": found.cos_N, "cos_centred": found.centred_N, "base": found.base_N}
    return pl.DataFrame({"fact_id": fact_ids}).with_columns(
        *(pl.Series(k, v.astype(np.float32)).fill_nan(None) for k, v in numbers.items()),
        pl.Series("mexa_hit", found.hit_N).fill_nan(None).cast(pl.Boolean()),
    )
