"""What a comparison can be told."""

from pydantic import Field

from polylore.config import Config


class CompareConfig(Config):
    """How finished traces are compared."""

    names: list[str] | None = None
    """Names of the models in the report, in the order of the runs; by default those of the runs."""
    draws: int = Field(default=1000, ge=0)
    """Bootstrap draws over facts behind every 95 % interval; 0 leaves intervals out."""
    seed: int = 0
    """Seed of the bootstrap."""
