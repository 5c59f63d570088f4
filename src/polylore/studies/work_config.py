"""How fast work is done, and where: the settings that all studies share."""

from typing import Self

from pydantic import Field, model_validator

from polylore.config import Config


class WorkConfig(Config):
    """How fast, never what: nothing here changes a result."""

    executor: str = Field(default="local", pattern=r"^(local|ray(://\S+)?)$")
    """Where to work: local (processes), ray (a cluster for this run), ray://auto, ray://host:port."""
    jobs: int = Field(default=1, ge=1)
    """Processes that work side by side, each with its own copy of the model."""
    threads: int = Field(default=1, ge=1)
    """Arithmetic threads per process; one is usually fastest when several processes run."""
    device: str = "cpu"
    """Device of the forward pass: cpu, cuda, cuda:1, mps."""
    token_budget: int | None = Field(default=None, ge=1)
    """Tokens per forward pass, padding included; by default what suits the device."""
    cpus_per_worker: float | None = Field(default=None, ge=0)
    """CPUs that each process asks Ray for; by default as many as threads."""
    gpus_per_worker: float | None = Field(default=None, ge=0)
    """GPUs that each process asks Ray for; by default one if the device is cuda."""
    vectors_gb: float = Field(default=2.0, gt=0)
    """Gigabytes for vectors that are kept; where they do not fit, texts are read again."""
    retries: int = Field(default=3, ge=0)
    """How often Ray gives work to a fresh process after the one that had it died."""

    @model_validator(mode="after")
    def _ray_chooses_the_gpu(self) -> Self:
        if self.executor != "local" and self.device.startswith("cuda:"):
            raise ValueError("with Ray, device is just cuda: Ray gives each process its GPU")
        return self

    def gpus(self) -> float:
        """GPUs that each process asks Ray for."""
        if self.gpus_per_worker is not None:
            return self.gpus_per_worker
        return 1 if self.device.startswith("cuda") else 0

    def scoring_budget(self) -> int:
        """Tokens per pass when scoring: on CPUs, what still fits their caches."""
        return self.token_budget or (2048 if self.device == "cpu" else 65536)

    def generation_budget(self) -> int:
        """Tokens held at once when generating."""
        return self.token_budget or (8192 if self.device == "cpu" else 131072)
