"""What is trained, and how."""

from typing import Literal, Self

from pydantic import Field, model_validator

from polylore.config import Config


class TokenizerConfig(Config):
    """A byte-level BPE trained on the corpus."""

    vocab_size: int = Field(default=4096, ge=300, le=2**31 - 1)
    """Tokens in the vocabulary, at most: 256 bytes, 2 special tokens, the rest merges."""
    min_frequency: int = Field(default=2, ge=1)
    """How often a pair must occur to be merged."""


class ModelConfig(Config):
    """A Llama-style decoder; its vocabulary is that of the tokenizer."""

    hidden_size: int = Field(default=192, ge=1)
    """Width of the residual stream."""
    layers: int = Field(default=4, ge=1)
    """Decoder layers."""
    heads: int = Field(default=4, ge=1)
    """Attention heads."""
    kv_heads: int | None = Field(default=None, ge=1)
    """Key and value heads; as many as heads if not given."""
    intermediate_size: int = Field(default=512, ge=1)
    """Width of the feed-forward layer."""
    max_positions: int = Field(default=512, ge=2)
    """Longest input the model accepts; positions beyond `context` are never trained."""
    tie_embeddings: bool = True
    """Use one matrix for input and output embeddings."""
    init_std: float = Field(default=0.02, gt=0)
    """Standard deviation of the initial weights."""

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.hidden_size % self.heads or (self.hidden_size // self.heads) % 2:
            raise ValueError("hidden_size must be an even multiple of heads")
        if self.heads % (self.kv_heads or self.heads):
            raise ValueError("heads must be a multiple of kv_heads")
        return self


class ScheduleConfig(Config):
    """Which steps become checkpoints; the first (0) and the last always do."""

    per_decade: int = Field(default=4, ge=0)
    """Log-spaced checkpoints per factor of ten in steps; 0 for none."""
    every: int | None = Field(default=None, ge=1)
    """A checkpoint every so many steps as well."""


class TrainConfig(Config):
    """From-scratch training of a causal language model on a composed corpus."""

    seed: int = 0
    """Decides the initial weights."""
    context: int = Field(default=96, ge=8)
    """Tokens that are predicted per training sequence."""
    batch_size: int = Field(default=16, ge=1)
    """Sequences per step, over all processes."""
    learning_rate: float = Field(default=3e-3, gt=0)
    """Peak learning rate of AdamW."""
    warmup: float = Field(default=0.05, ge=0, lt=1)
    """Share of the steps in which the rate rises linearly to its peak."""
    final_rate: float = Field(default=0.02, ge=0, le=1)
    """Rate at the last step, as a share of the peak; a cosine leads there."""
    weight_decay: float = Field(default=0.05, ge=0)
    """Decoupled weight decay of all matrices."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    """Decay of AdamW's running mean of gradients."""
    beta2: float = Field(default=0.98, ge=0, lt=1)
    """Decay of AdamW's running mean of squared gradients."""
    clip: float = Field(default=1.0, gt=0)
    """Largest gradient norm."""
    look_ahead: int = Field(default=256, ge=1)
    """Documents the packer may choose from to fill a sequence."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the forward and backward pass; auto measures and takes the faster."""
    attention: Literal["auto", "eager", "sdpa"] = "auto"
    """Attention code; auto measures and takes the faster."""
    compile: Literal["auto", "always", "never"] = "auto"
    """Use torch.compile; auto tries it only for jobs long enough to pay back."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads; one and all cores (at most 8) are measured if not given. Resuming keeps them."""
    log_every: int = Field(default=10, ge=1)
    """Steps between rows of the training log."""
    state_every: int = Field(default=200, ge=1)
    """Steps between states to resume from; every checkpoint saves one too."""
    tokenizer: TokenizerConfig = TokenizerConfig()
    """The tokenizer."""
    model: ModelConfig = ModelConfig()
    """The model."""
    checkpoints: ScheduleConfig = ScheduleConfig()
    """The checkpoints."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.model.max_positions < self.context:
            raise ValueError("model.max_positions must not be smaller than context")
        return self
