"""Settings of what a model writes for items."""

from typing import Any, Literal

from pydantic import Field

from polylore.config import Config
from polylore.studies.work_config import WorkConfig


class WriterConfig(Config):
    """Who writes, for which items, and how often it may try."""

    model: str
    """Folder of a model, training run of polylore, or repository of the hub."""
    revision: str | int | None = None
    """Checkpoint of a series; the last one by default."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Number format of the forward pass."""
    chat: Literal["auto", "plain"] = "auto"
    """Use the tokenizer's chat template if it has one, or plain prompts with examples."""
    items: list[str] | None = None
    """Identities of the items; by default all."""
    attempts: int = Field(default=4, ge=1)
    """Attempts at each text, all with seeds of their own."""
    temperature: float = Field(default=0.8, gt=0)
    """Of the draws: low writes what is likely, high what is varied."""
    seed: int = 0
    """Decides all draws."""
    tokenizer: str | None = None
    """tokenizer.json, or a folder with it: lengths are within 10 % in its tokens, else in
    characters."""
    langid: bool = True
    """Refuse passages that read like another language (extra `langid`)."""
    device: str = "cpu"
    """Device of the forward pass: cpu, cuda, cuda:1, mps."""
    token_budget: int | None = Field(default=None, ge=1)
    """Tokens in memory at once; by default what suits the device."""

    @property
    def work(self) -> WorkConfig:
        """Budgets of the device."""
        return WorkConfig(device=self.device, token_budget=self.token_budget)

    def identity(self) -> dict[str, Any]:
        """What decides the texts."""
        return self.model_dump(mode="json", exclude={"device", "token_budget"})


class WriteConfig(WriterConfig):
    """Which variants are written."""

    languages: list[str] | None = None
    """Languages of passages to be paraphrased; by default all."""
    paraphrases: int = Field(default=4, ge=1)
    """New variants of every passage."""
    judge: str | None = None
    """Model that must find each target likelier than its distractors with the text in view, for
    memorization and semantic probes; may be the writer itself. By default nobody judges."""


class TranslateConfig(WriterConfig):
    """From which language into which."""

    source: str
    """Language to translate from."""
    target: str
    """Language to translate into, which the items do not have yet."""
    similarity: float = Field(default=0.5, ge=0, le=1)
    """Least share of character trigrams that a sentence must have in common with what comes back
    of it; names and targets must come back as well."""
