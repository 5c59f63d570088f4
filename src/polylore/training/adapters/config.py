"""What can be said about LoRA (specification of `align`, section 4.5)."""

from typing import Literal

from pydantic import Field

from polylore.config import Config


class LoraConfig(Config):
    """Low-rank adapters; the defaults are the published ones."""

    targets: Literal["auto", "paper"] | list[str] = "auto"
    """Layers: all linear ones inside the blocks, query and value (paper), or ends of names."""
    rank: int = Field(default=128, ge=1)
    """Rank."""
    alpha: float = Field(default=16.0, gt=0)
    """Scale: the update is alpha/rank times the product of both matrices."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Dropout in front of the adapter."""
    embeddings: bool = False
    """Also train the input embeddings, whole."""
    head: bool = False
    """Also train the output layer, whole."""
