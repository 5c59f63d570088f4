"""Seeded sampling of the next token, with a text that does not depend on the batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

FLOOR = 0.05
"""Tokens less likely than this share of the likeliest one are never drawn ("min-p")."""


@dataclass(frozen=True)
class Sampling:
    """How each prompt's tokens are drawn."""

    temperature: float
    """Logits are divided by it; above 0."""
    seeds: Sequence[int | None]
    """One per prompt, not negative; None takes the likeliest token instead."""

    def draw(
        self, logits_BV: torch.Tensor, prompts: Sequence[int], written: Sequence[int]
    ) -> torch.Tensor:
        """The next token of every row, shape (B,).

        The largest of logits / temperature + Gumbel noise is a draw from their softmax. The noise
        is a function of the prompt's seed and of the tokens written so far alone.

        Args:
            logits_BV: logits of the next token.
            prompts: which prompt each row continues.
            written: tokens that each row has written.
        """
        likeliest_B = logits_BV.argmax(-1)
        drawn = []
        for row, (prompt, n) in enumerate(zip(prompts, written, strict=True)):
            seed = self.seeds[prompt]
            if seed is None:
                drawn.append(likeliest_B[row])
                continue
            scaled_V = logits_BV[row].float() / self.temperature
            low = scaled_V.max() + float(np.log(FLOOR))
            noise = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, n]))
            gumbel_V = torch.from_numpy(noise.gumbel(size=len(scaled_V))).to(scaled_V)
            drawn.append((scaled_V + gumbel_V).masked_fill(scaled_V < low, -torch.inf).argmax())
        return torch.stack(drawn)
