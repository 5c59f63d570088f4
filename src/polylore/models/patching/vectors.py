"""Concept vectors from concept states: means and the controls beside them.

Everything here is a pure function of vectors (L + 1, M, D) in float32, layer by layer; nothing is
centred or rescaled unless the name says so (specification of `patch`, sections 2 and 5). Means over
other prompts, leave-one-language-out for example, are the same mean over fewer members.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from polylore.errors import DataError


@dataclass
class RunningMean:
    """A mean whose members need not be kept."""

    count: int = 0
    total: torch.Tensor | None = None
    norms: torch.Tensor | None = None
    """Sum of the members' norms (L + 1, M, 1)."""

    def add(self, member: torch.Tensor) -> None:
        """Take one more member.

        Raises:
            DataError: it has another shape than those before it.
        """
        member = member.float()
        norms = member.norm(dim=-1, keepdim=True)
        if self.total is None or self.norms is None:
            self.total, self.norms = member.clone(), norms
        else:
            if member.shape != self.total.shape:
                raise DataError(
                    f"Concept vectors of shape {tuple(member.shape)} and "
                    f"{tuple(self.total.shape)} have no mean."
                )
            self.total += member
            self.norms += norms
        self.count += 1

    def mean(self) -> torch.Tensor:
        """The plain arithmetic mean.

        Raises:
            DataError: there are no members.
        """
        return self._checked()[0] / self.count

    def norm_matched(self) -> torch.Tensor:
        """The mean, rescaled to the average norm of its members.

        Raises:
            DataError: there are no members.
        """
        return with_norm(self.mean(), self._checked()[1] / self.count)

    def _checked(self) -> tuple[torch.Tensor, torch.Tensor]:
        if self.total is None or self.norms is None:
            raise DataError("A mean of no concept vectors is not defined.")
        return self.total, self.norms


def mean_of(members: Sequence[torch.Tensor]) -> torch.Tensor:
    """Plain arithmetic mean of some vectors: `seen`, grand mean, shuffled mean, mean of families.

    Which one it is depends on the members alone: the prompts of one concept in K language pairs,
    the means of all concepts, K prompts of K concepts, or the means of language families.

    Raises:
        DataError: no members, or of different shapes.
    """
    running = RunningMean()
    for member in members:
        running.add(member)
    return running.mean()


def with_norm(vector: torch.Tensor, norm: torch.Tensor) -> torch.Tensor:
    """The vector with another norm (L + 1, M, 1); a vector of zeros stays one."""
    own = vector.norm(dim=-1, keepdim=True)
    scaled: torch.Tensor = vector * (norm / own.clamp_min(torch.finfo(vector.dtype).tiny))
    return scaled


def gaussian(vector: torch.Tensor, seed: int) -> torch.Tensor:
    """Noise with the vector's norm in every layer; the same seed gives the same noise anywhere."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(vector.shape, generator=generator)
    return with_norm(noise.to(vector.device), vector.norm(dim=-1, keepdim=True))
