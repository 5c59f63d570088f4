"""Everything a trace can be told, with the default and the published form of each choice."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from polylore.config import Config
from polylore.errors import ConfigError
from polylore.studies.referee.config import RefereeConfig
from polylore.studies.series import SeriesConfig
from polylore.studies.work_config import WorkConfig

if TYPE_CHECKING:
    from polylore.facts import FactSet


class FactsConfig(Config):
    """Which facts are asked, in which languages."""

    source: str = "cldr"
    """Fact set: cldr (built in), a folder (KLAR, BMLAMA, exported), a JSONL, CSV, Parquet file."""
    languages: list[str] | None = None
    """Languages to ask in (BCP 47 codes); all of the set if not given."""
    relations: list[str] | None = None
    """Relations to ask; all of the set if not given."""
    limit: int | None = Field(default=None, ge=1)
    """Ask only this many facts, drawn evenly over relations; the same ones in every language."""
    per_relation: int | None = Field(default=None, ge=1)
    """Ask at most this many facts of each relation; the same ones in every language."""
    seed: int = 0
    """Seed of these draws."""
    candidates: int | None = Field(default=None, ge=2)
    """Candidates per built-in fact, fewer where a relation has fewer answers; by default 10."""
    strict: bool = False
    """Refuse a set in which a fact is missing in some language, instead of noting it."""

    def load(self) -> "FactSet":
        """The facts that this names."""
        from polylore.facts import load_facts

        factset = load_facts(
            self.source,
            languages=self.languages,
            relations=self.relations,
            n_candidates=self.candidates,
            strict=self.strict,
        )
        if self.per_relation is not None:
            factset = factset.common().sample_each(self.per_relation, self.seed)
        return factset if self.limit is None else factset.common().sample(self.limit, self.seed)


class AskConfig(Config):
    """How a fact is asked."""

    variants: list[int] = Field(default=[0], min_length=1)
    """Prompt templates to ask with, by number."""
    final_variants: list[int] = Field(default=[])
    """Further prompt templates that only the last checkpoint is asked with."""
    n_shot: int = Field(default=3, ge=0)
    """Demonstrations before the question; fewer where a relation has too few eligible facts."""
    demos: Literal["parallel", "shared", "paper"] = "parallel"
    """Demonstrations: parallel over languages, shared by all facts too, or random (paper)."""
    seed: int = 0
    """Seed of the demonstrations."""
    candidates: bool = True
    """Score the candidates of every fact that has them."""
    generate: bool = True
    """Let the model answer freely (greedy)."""
    content_free: bool = True
    """Also score candidates after prompts without a subject, for prior-corrected ranks."""
    max_new_tokens: int | None = Field(default=None, ge=1)
    """Cap on generated tokens; by default 1 + the longest gold, at least 10."""
    stop_at_newline: bool = True
    """Stop generating at the first newline after text."""
    delimiter: str | None = None
    """String between prompt and answer; by default what the language writes."""
    bos: bool = True
    """Put the tokenizer's begin-of-text token in front, if it has one."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Number format of the forward pass; log-softmax is always float32."""
    backend: Literal["transformers", "vllm"] = "transformers"
    """What writes free answers; candidates are always scored with transformers."""


class SimilarityConfig(Config):
    """How alike the model represents a fact in each language and in the pivot, layer by layer."""

    enabled: bool = False
    """Measure it at every checkpoint; every bare question is read once more for it."""
    positions: list[Literal["subject_last", "prompt_end", "answer_last", "weighted_mean"]] = Field(
        default=["prompt_end", "subject_last"], min_length=1
    )
    """Where vectors are taken: last token of subject, question or answer, or the weighted mean."""
    variant: int | None = None
    """Prompt template, by number; by default the first of ask.variants."""

    @model_validator(mode="after")
    def _positions_differ(self) -> Self:
        if len({*self.positions}) < len(self.positions):
            raise ValueError("every position can be named once")
        return self


class AnalyseConfig(Config):
    """How answers become numbers."""

    pivot: str = "en"
    """Language the others are compared with."""
    donors: Literal["pivot", "all"] = "pivot"
    """Languages that a fact may have come from by transfer."""
    curve: Literal["relation", "pooled"] = "relation"
    """Whether what exposure alone explains has an effect per relation, or one curve serves all."""
    draws: int = Field(default=1000, ge=0)
    """Bootstrap draws over facts behind every 95 % interval; 0 leaves intervals out."""
    seed: int = 0
    """Seed of the bootstrap."""
    sustained: int = Field(default=3, ge=1)
    """Right answers in a row that count as sustained knowledge."""
    headline_variants: list[int] | None = None
    """Prompt templates that the headline numbers are about, if not all; the others stand apart."""
    seen_variants: list[int] | None = None
    """Prompt templates whose very wording occurred in training, if that is known."""

    def refuse_absent_pivot(self, langs: Sequence[str], before: str | None = None) -> None:
        """A pivot that somebody named must be among the languages.

        The default one may be absent: tables that need a pivot are then left out.

        Args:
            langs: the languages that are asked.
            before: the pivot that a run was analysed with, if it was; it may stay.

        Raises:
            ConfigError: it is not.
        """
        if "pivot" in self.model_fields_set and self.pivot not in {*langs, before}:
            raise ConfigError(
                f"The facts have no language '{self.pivot}', the pivot; choose one of "
                f"{', '.join(langs)} with --analyse.pivot (--pivot in `polylore report`)."
            )


class ExecutionConfig(WorkConfig):
    """The same for a trace, whose free answers vLLM may write."""

    gpu_memory_utilization: float = Field(default=0.85, gt=0, le=1)
    """Share of the GPU's memory that vLLM may take, if ask.backend is vllm."""


class TraceConfig(Config):
    """Configuration of the study `trace`."""

    model: str
    """Folder with checkpoints (or one checkpoint) to ask, or a hub model: ORG/NAME[+ORG/NAME]."""
    exposure: str | None = None
    """Exposure table (Parquet), or a training folder of polylore that holds one."""
    preset: Literal["default", "paper"] = "default"
    """Corrected form (default), or the published form of demonstrations, decoding and matching."""
    series: SeriesConfig = SeriesConfig()
    """Which checkpoints, and how those on the hub are fetched."""
    facts: FactsConfig = FactsConfig()
    """Which facts, in which languages."""
    ask: AskConfig = AskConfig()
    """How a fact is asked."""
    similarity: SimilarityConfig = SimilarityConfig()
    """How alike a fact is represented in two languages; off by default."""
    analyse: AnalyseConfig = AnalyseConfig()
    """How answers become numbers."""
    referee: RefereeConfig = RefereeConfig()
    """How labels are held against the truth, if that is known."""
    execution: ExecutionConfig = ExecutionConfig()
    """How fast, never what."""

    def effective_ask(self) -> AskConfig:
        """`ask` with the published values where the preset is `paper` and nothing else was said.

        Source: specification of `trace`, section 2.1 (three running-random demonstrations seeded
        12345, at most ten new tokens, no stop string, a space before every answer).
        """
        if self.preset == "default":
            return self.ask
        published = {
            "n_shot": 3,
            "demos": "paper",
            "seed": 12345,
            "max_new_tokens": 10,
            "stop_at_newline": False,
            "delimiter": " ",
        }
        said = self.ask.model_fields_set
        return self.ask.model_copy(update={k: v for k, v in published.items() if k not in said})

    def refuse_nothing(self, factset: "FactSet") -> None:
        """A trace must ask something.

        Raises:
            ConfigError: neither answers nor candidates nor similarity are wanted, or only
                candidates of facts that have none.
        """
        listed = bool((factset.facts["candidates"].list.len() > 0).any())
        if self.ask.generate or self.similarity.enabled or (self.ask.candidates and listed):
            return
        why = "the facts have no candidates" if self.ask.candidates else "ask.candidates is false"
        raise ConfigError(
            f"Nothing would be asked: ask.generate is false and {why}; set --ask.generate true"
            f"{'' if self.ask.candidates else ' or --ask.candidates true'}, or measure similarity "
            "alone with --similarity.enabled true."
        )

    def effective_similarity(self) -> SimilarityConfig:
        """`similarity` with the published position where the preset is `paper` and none was said.

        Source: specification of `trace`, section 2.1 (last token of the sentence with its answer).
        """
        chosen: dict[str, object] = {"variant": self.ask.variants[0]}
        if self.preset == "paper":
            chosen["positions"] = ["answer_last"]
        said = {name for name, value in self.similarity if value is not None}
        said &= self.similarity.model_fields_set
        return self.similarity.model_copy(update={k: v for k, v in chosen.items() if k not in said})

    def question(self) -> dict[str, object]:
        """The part of the configuration that decides the raw answers, as plain values.

        Analysis can be repeated on the same answers, and execution changes no result, so neither
        belongs to a run's identity. Similarity adds rows of its own, with their settings beside
        them, so a finished run can be given it afterwards.
        """
        plain = self.plain()
        return {
            "preset": self.preset,
            "facts": plain["facts"],
            "ask": self.effective_ask().plain(),
        }
