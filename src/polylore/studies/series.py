"""Which checkpoints of a model a study asks, and how they come to this machine."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from polylore.config import Config

if TYPE_CHECKING:
    from polylore.models.resolve import Resolved
    from polylore.models.store import Store


class SeriesConfig(Config):
    """Which checkpoints are asked, and how those on the hub are fetched."""

    name: str | None = None
    """Name of the series in titles; by default that of its folder or repository."""
    schedule: str | int | list[int | str] = "all"
    """Checkpoints to ask: all, log:20, every:5000, or a list of steps or names."""
    nearest: bool = False
    """Let the nearest checkpoint stand for a scheduled step that is missing."""
    pattern: str | None = None
    """Regular expression of the names, with the group (?P<step>...); for unusual names."""
    phases: dict[str, int] | None = None
    """Number of each phase folder, for runs kept as PHASE/iter_N."""
    tokens_per_step: int | None = Field(default=None, ge=1)
    """Tokens of one step, where names do not say it and the batch is constant."""
    ingredient: int | None = None
    """Keep only this branch of the later stages (OLMo 2)."""
    duplicates: Literal["exclude", "keep", "error"] = "exclude"
    """Checkpoints with another one's weights: out of trajectories, like all others, or refused."""
    keep: bool = False
    """Keep fetched checkpoints in the hub's cache; by default each is deleted after use."""
    disk_budget_gb: float | None = Field(default=None, gt=0)
    """Gigabytes that fetched checkpoints may take together; by default what the disk has."""
    cache_dir: str | None = None
    """Folder of the hub's cache, if not the usual one."""

    def resolve(self, model: str, *, damaged: bool = False) -> "Resolved":
        """Find the model's checkpoints, damaged ones too if told so; see `models.resolve`."""
        from polylore.models.resolve import resolve

        values = self.model_dump(exclude={"keep", "disk_budget_gb"})
        return resolve(model, damaged=damaged, **values)

    def store(self, owner: str = "") -> "Store":
        """What fetches and deletes checkpoints for `owner`."""
        from polylore.models.store import Store

        return Store(self.cache_dir, self.keep, self.disk_budget_gb, owner)
