"""How a model is trained on."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from polylore.config import Config

RESUMED = "resume_formula"
"""Schedule that needs no rate: it is a formula of the step."""


class RateConfig(Config):
    """The learning rate of every update (specification of `inject`, section 4.2)."""

    schedule: Literal["constant", "linear", "cosine", "resume_formula"] = "constant"
    """Always the same, falling to `final`, or as the published runs went on from their step."""
    learning_rate: float | None = Field(default=None, gt=0)
    """Highest rate; the checkpoint's own last one if not given."""
    warmup: int = Field(default=0, ge=0)
    """Updates in which the rate rises linearly to where the schedule has it."""
    final: float = Field(default=0.0, ge=0, le=1)
    """With `linear` and `cosine`: rate of the last update, as a share of the highest."""
    formula: Literal["linear", "cosine"] = "linear"
    """With `resume_formula`: which of the two published formulas."""
    factor: float = Field(default=1.0, gt=0)
    """What every rate is multiplied by, whatever it comes from."""


class ExecutionConfig(Config):
    """What decides speed and what is kept, but no result."""

    per_device: int | None = Field(default=None, ge=1)
    """Rows that a process reads at once; all of its share if not given."""
    shard: bool = False
    """Spread weights and optimizer over the processes (FSDP), for models that fit on none."""
    state_every: int = Field(default=200, ge=1)
    """Updates between states to resume from; every checkpoint saves one too."""
    update_norm_every: int | None = Field(default=None, ge=0)
    """Updates between readings of how far the weights moved, which take a copy of them; 0 for none;
    if not given, `inject` reads every one of models below a billion parameters, others none."""
    adapter: Literal["merged", "adapter"] = "merged"
    """Checkpoints of a model with an adapter: an ordinary model, or the adapter alone."""


class ContinueConfig(Config):
    """Continued training of a causal language model."""

    updates: int = Field(default=1000, ge=0)
    """Updates to make."""
    seed: int = 0
    """Decides dropout and the first weights of an adapter."""
    optimizer: Literal["auto", "restore", "fresh", "fresh_burn_in"] = "auto"
    """Take over AdamW's moments, begin anew, or begin anew before the study; auto: take over what
    there is, else begin before."""
    burn_in: int = Field(default=100, ge=1)
    """With `fresh_burn_in`: updates on the background before the study begins."""
    rate: RateConfig = RateConfig()
    """The learning rate."""
    beta1: float | None = Field(default=None, ge=0, lt=1)
    """Decay of AdamW's mean of gradients; a restored optimizer's own, else 0.9."""
    beta2: float | None = Field(default=None, ge=0, lt=1)
    """Decay of AdamW's mean of squared gradients; a restored optimizer's own, else 0.95."""
    eps: float | None = Field(default=None, gt=0)
    """AdamW's smallest divisor; a restored optimizer's own, else 1e-8."""
    weight_decay: float | None = Field(default=None, ge=0)
    """Decoupled weight decay of all matrices; a restored optimizer's own, else 0.1."""
    clip: float | None = Field(default=None, gt=0)
    """Largest gradient norm; the checkpoint's own if known, else 1.0."""
    precision: Literal["auto", "float32", "bfloat16", "float64"] = "auto"
    """Number format of the forward and backward pass; auto: bfloat16 on an accelerator. float64 is
    for checks: weights and optimizer are float64 too, and everything is slow."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads; those of the first start if not given, which resuming keeps."""
    execution: ExecutionConfig = ExecutionConfig()
    """Speed and safety."""

    @model_validator(mode="after")
    def _means_something(self) -> Self:
        if self.rate.schedule == RESUMED and self.rate.learning_rate is not None:
            raise ValueError("resume_formula gives the rate; leave learning_rate out")
        return self

    def identity(self) -> dict[str, object]:
        """The settings that decide results; a factor of 1 is left out, as older runs know none."""
        exclude: dict[str, Any] = {"execution": True}
        if self.rate.factor == 1:
            exclude["rate"] = {"factor"}
        return self.model_dump(mode="json", exclude=exclude)
