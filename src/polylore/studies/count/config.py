"""Everything a count can be told."""

from typing import Literal

from pydantic import Field

from polylore.config import Config
from polylore.corpus.documents.config import DocumentsConfig
from polylore.corpus.exposure.policy import CountingPolicy
from polylore.studies.trace.config import FactsConfig


class WorkersConfig(Config):
    """How fast, never what: nothing here changes a result."""

    executor: str = Field(default="local", pattern=r"^(local|ray(://\S+)?)$")
    """Where to work: local (processes), ray (a cluster for this run), ray://auto, ray://host:port."""
    jobs: int = Field(default=1, ge=1)
    """Processes that count side by side, a shard each."""
    cpus_per_worker: float | None = Field(default=None, ge=0)
    """CPUs that each process asks Ray for."""
    retries: int = Field(default=3, ge=0)
    """How often Ray gives a shard to a fresh process after the one that had it died."""


class CountConfig(Config):
    """Configuration of the study `count`."""

    documents: DocumentsConfig
    """Which documents are read."""
    facts: FactsConfig = FactsConfig()
    """Which facts are looked for, in which languages."""
    policy: CountingPolicy = CountingPolicy()
    """What counts as an occurrence, and what counts once."""
    preset: Literal["default", "paper"] = "default"
    """Corrected form, or the published one: occurrences may overlap, documents of any language."""
    condition: Literal["auto", "language", "any"] = "auto"
    """Count a fact in documents of its own language only; auto: if documents have a language."""
    steps_per_row: int = Field(default=1, ge=1)
    """Steps that share a row where the order is known; checkpoints should lie on multiples."""
    name: str = "corpus"
    """Name of the corpus, as written to `exposure`."""
    execution: WorkersConfig = WorkersConfig()
    """How fast, never what."""

    def effective_policy(self) -> CountingPolicy:
        """`policy`, with the published value where the preset is `paper` and nothing was said."""
        if self.preset == "default" or "overlap" in self.policy.model_fields_set:
            return self.policy
        return self.policy.model_copy(update={"overlap": True})

    def effective_condition(self) -> str:
        """`condition`, with the published value where the preset is `paper`."""
        return "any" if self.preset == "paper" and self.condition == "auto" else self.condition

    def question(self) -> dict[str, object]:
        """The part that decides what is counted in a shard, as plain values.

        What is made of the shards' counts afterwards can be changed on the same run.
        """
        return {
            "documents": self.documents.identity(),
            "facts": self.facts.plain(),
            "policy": self.effective_policy().plain(),
            "steps_per_row": self.steps_per_row,
        }
