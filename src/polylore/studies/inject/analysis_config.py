"""How raw readings become numbers: nothing here is part of a run's identity."""

from pydantic import Field

from polylore.config import Config


class InjectAnalyseConfig(Config):
    """Analysis of a run of `inject`; all of it can be done again without a model."""

    window: int | None = Field(default=None, ge=1)
    """Steps after an exposure in which a gain may peak; by default from the optimizer's momentum:
    50 for 0.9."""
    resamples: int = Field(default=2000, ge=0)
    """Bootstrap resamples of items behind every interval; 0 leaves intervals out."""
    form_resamples: int = Field(default=200, ge=0)
    """How many of them the comparison of forms of forgetting uses."""
    shuffles: int = Field(default=200, ge=1)
    """How often arm labels are shuffled."""
    seed: int = 0
    """Seed of resamples and shuffles."""
    no_control: bool = False
    """Accept probe languages without never-injected items: their corrected estimates are null."""
