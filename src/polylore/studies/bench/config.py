"""Settings of the benchmark, and the models it knows."""

from typing import Literal, NamedTuple

from pydantic import Field, field_validator, model_validator

from polylore.config import Config
from polylore.training.tiny.config import RECIPES


class Size(NamedTuple):
    """Shape of a Llama; input and output embeddings are one matrix."""

    hidden: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int


SIZES = {
    "20m": Size(320, 896, 8, 5, 5, 32_000),
    "80m": Size(640, 1792, 12, 10, 10, 32_000),
    "1b": Size(2048, 8192, 16, 32, 8, 128_256),
}
"""20 and 81 million parameters with the vocabulary of Llama 2, and the shape of Llama 3.2 1B."""


class BenchConfig(Config):
    """What is measured, and with what."""

    sizes: list[str] = Field(default=["20m", "80m"], min_length=1)
    """Random-weight Llamas to ask: 20m, 80m, 1b."""
    questions: int = Field(default=6, ge=1)
    """Questions of the workload, each with 10 candidates."""
    shared: int = Field(default=6, ge=1)
    """Consecutive questions that have their 60-token demonstrations in common; 1: each its own."""
    rounds: int = Field(default=5, ge=1)
    """How often every way is timed; medians and spread are over rounds."""
    threads: int = Field(default=1, ge=1)
    """Arithmetic threads, the same for all ways."""
    device: str = "cpu"
    """Device of the model: cpu, cuda, cuda:1, mps."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Number format of the model."""

    @field_validator("sizes")
    @classmethod
    def _known(cls, sizes: list[str]) -> list[str]:
        unknown = [size for size in sizes if size not in SIZES]
        if unknown:
            raise ValueError(f"no size {unknown[0]}; choose from {', '.join(SIZES)}")
        return sizes


class PatchBenchConfig(Config):
    """The sweep that is measured, and with what."""

    size: str = "80m"
    """Random-weight Llama to patch: 20m, 80m, 1b."""
    prompts: int = Field(default=4, ge=1)
    """Prompts that are patched."""
    tokens: int = Field(default=95, ge=3)
    """Tokens of a prompt: five shots and the query have about 95."""
    suffix: int = Field(default=6, ge=1)
    """Tokens behind the patched one."""
    rounds: int = Field(default=3, ge=1)
    """How often every way is timed; medians and spread are over rounds."""
    threads: int = Field(default=1, ge=1)
    """Arithmetic threads, the same for all ways."""
    device: str = "cpu"
    """Device of the model: cpu, cuda, cuda:1, mps."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Number format of the model."""

    @field_validator("size")
    @classmethod
    def _known(cls, size: str) -> str:
        if size not in SIZES:
            raise ValueError(f"no size {size}; choose from {', '.join(SIZES)}")
        return size

    @model_validator(mode="after")
    def _fits(self) -> "PatchBenchConfig":
        if self.suffix > self.tokens - 2:
            raise ValueError(
                f"no prompt of {self.tokens} tokens has {self.suffix} behind the patch"
            )
        return self


class TrainBenchConfig(Config):
    """The tiny model that is trained, and how often it is timed."""

    recipe: str = "toy"
    """Recipe of the runs: smoke, toy, small, medium, large, laptop, cpu-1M, gpu-44M."""
    vocabulary: int = Field(default=857, ge=8)
    """Tokens of the world; 857 are those of the toy world."""
    tokens: int = Field(default=4, ge=2)
    """Tokens of a row, of which the last is the value: cue, name, relation and value are 4."""
    stack: int = Field(default=4, ge=2)
    """Runs that are stacked into one computation."""
    steps: int = Field(default=20, ge=1)
    """Updates of one timing."""
    rounds: int = Field(default=7, ge=1)
    """How often every way is timed; medians and spread are over rounds."""
    threads: int = Field(default=1, ge=1)
    """Arithmetic threads, the same for all ways."""
    device: str = "cpu"
    """Device of the models: cpu, cuda, cuda:1."""

    @field_validator("recipe")
    @classmethod
    def _known(cls, recipe: str) -> str:
        if recipe not in RECIPES:
            raise ValueError(f"no recipe {recipe}; choose from {', '.join(RECIPES)}")
        return recipe


class InjectBenchConfig(Config):
    """The step into which passages are put, and how often it is timed."""

    width: int = Field(default=128, ge=8)
    """Width of the model's residual stream; a multiple of 8."""
    layers: int = Field(default=4, ge=1)
    """Decoder layers."""
    vocabulary: int = Field(default=2048, ge=64)
    """Tokens of the vocabulary."""
    batch: int = Field(default=32, ge=1)
    """Rows of an optimiser step."""
    length: int = Field(default=64, ge=8)
    """Tokens of a row."""
    share: float = Field(default=0.1, gt=0, le=1)
    """Share of the rows that carry a passage, at every step; at least one row does."""
    steps: int = Field(default=10, ge=1)
    """Updates of one timing."""
    rounds: int = Field(default=7, ge=1)
    """How often every way is timed; medians and spread are over rounds."""
    threads: int = Field(default=1, ge=1)
    """Arithmetic threads."""

    @field_validator("width")
    @classmethod
    def _divides(cls, width: int) -> int:
        if width % 8:
            raise ValueError("the width must be a multiple of 8")
        return width
