"""The training recipe of tiny runs (specification of `unify`, section 4.1), and its presets."""

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from polylore.config import Config

FINAL_RATE = 0.1
"""Learning rate at the last step, as a share of the peak."""
LOG_SPACED = 10
"""Evaluations that are log-spaced between the first step and the last."""
SHARES = 20
"""Evaluations that are evenly spaced: one every 5 % of the steps."""


class Recipe(Config):
    """How a tiny Llama is trained from scratch; its vocabulary is that of its world."""

    layers: int = Field(default=2, ge=1)
    """Decoder layers."""
    hidden: int = Field(default=64, ge=2)
    """Width of the residual stream, d."""
    heads: int | None = Field(default=None, ge=1)
    """Attention heads, and as many for keys and values; max(1, d/32) if not given."""
    max_positions: int = Field(default=32, ge=2)
    """Longest input the model accepts."""
    learning_rate: float = Field(default=3e-3, gt=0)
    """Peak learning rate of AdamW."""
    warmup: int = Field(default=100, ge=0)
    """Steps in which the rate rises linearly; the cosine to a tenth of the peak runs beside it."""
    batch_size: int = Field(default=512, ge=1)
    """Presentations per step."""
    steps: int = Field(default=800, ge=1)
    """Updates."""
    weight_decay: float = Field(default=0.1, ge=0)
    """Decoupled weight decay of all matrices, embeddings included; norms never decay."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    """Decay of AdamW's running mean of gradients."""
    beta2: float = Field(default=0.95, ge=0, lt=1)
    """Decay of AdamW's running mean of squared gradients."""
    clip: float = Field(default=1.0, gt=0)
    """Largest gradient norm."""
    objective: Literal["answer_only", "full_lm"] = "answer_only"
    """Loss on the tokens of the value, or on all tokens after the first."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Number format of matrix products in training; weights and measurements stay float32."""
    dense: int | None = Field(default=None, ge=1)
    """Evaluate every so many steps as well (15 to 20 show the transition)."""
    dense_until: int | None = Field(default=None, ge=1)
    """Last step of the dense evaluations; the last step of all if not given."""

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.hidden % self.n_heads or (self.hidden // self.n_heads) % 2:
            raise ValueError("hidden must be an even multiple of heads")
        return self

    @property
    def n_heads(self) -> int:
        """Attention heads: as given, or one per 32 numbers of the residual stream."""
        return self.heads or max(1, self.hidden // 32)

    @property
    def intermediate(self) -> int:
        """Width of the feed-forward layer: 8d/3, rounded up to a multiple of 8."""
        return 8 * math.ceil(self.hidden / 3)


_SMALL = Recipe(layers=4, hidden=128, learning_rate=1e-3, batch_size=256, steps=700)
_LARGE = Recipe(
    layers=8, hidden=512, heads=8, learning_rate=6e-4, batch_size=256, steps=20_000,
    objective="full_lm", precision="bfloat16",
)  # fmt: skip

RECIPES = {
    "smoke": Recipe(hidden=32, learning_rate=5e-3, warmup=30, batch_size=128, steps=300),
    "toy": Recipe(),
    "small": _SMALL,
    "medium": Recipe(
        layers=4, hidden=256, learning_rate=6e-4, batch_size=256, steps=400, precision="bfloat16"
    ),
    "large": _LARGE,
    "laptop": Recipe(),
    "cpu-1M": _SMALL,
    "gpu-44M": _LARGE,
}
"""By name: the five of the specification, then those named for where they run. `laptop` is `toy`;
`cpu-1M` is `small` (1.01 M parameters with the 857 tokens of a toy world); `gpu-44M` is `large`,
which has 25.2 M parameters in its layers and 1,024 per token: 44 M with 18,400 tokens, as a world
of 9,000 entities with names in two languages has. Rate and steps of `large` are only a start to
sweep from; the specification leaves both to the user."""


def evaluation_steps(recipe: Recipe) -> list[int]:
    """Steps after which a run is measured, ascending: 0, log-spaced, every 5 %, dense, the last."""
    total = recipe.steps
    steps = {0, total}
    steps |= {round(total ** (k / (LOG_SPACED - 1))) for k in range(LOG_SPACED)}
    steps |= {round(total * k / SHARES) for k in range(1, SHARES)}
    if recipe.dense:
        steps |= set(range(recipe.dense, (recipe.dense_until or total) + 1, recipe.dense))
    return sorted(step for step in steps if step <= total)


def rate_share(step: int, recipe: Recipe) -> float:
    """Learning rate of step 1..steps as a share of the peak: min(1, s/warmup) (.1 + .9 cosine)."""
    rise = min(1.0, step / recipe.warmup) if recipe.warmup else 1.0
    cosine = 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
    return rise * (FINAL_RATE + (1 - FINAL_RATE) * cosine)
