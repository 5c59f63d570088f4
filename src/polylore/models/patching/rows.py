"""Prompts as rows of tokens: one row for each path through what may follow a prompt."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from polylore.models.patching.blocks import Blocks
from polylore.models.patching.prompts import PATCHED, PatchPrompt

Side = Literal["left", "right"]


@dataclass(frozen=True)
class Rows:
    """Every path of every prompt, and where in it the places are."""

    behind: list[list[int]]
    """Tokens behind the patched ones, of each row."""
    owner: list[int]
    """The prompt of each row."""
    places: list[tuple[int, int]]
    """Row and index (among the tokens from the first patched one on) of each place; prompt by
    prompt, in the order of `Tree.places`."""

    @classmethod
    def of(cls, prompts: Sequence[PatchPrompt]) -> "Rows":
        """The rows of some prompts."""
        behind: list[list[int]] = []
        owner: list[int] = []
        places: list[tuple[int, int]] = []
        for number, prompt in enumerate(prompts):
            tree, first = prompt.tree, len(behind)
            paths = tree.paths()
            for path in paths:
                behind.append([tree.ids[node] for node in path])
                owner.append(number)
            for node in tree.places:
                row = next(k for k, p in enumerate(paths) if node == PATCHED or node in p)
                index = 0 if node == PATCHED else 1 + paths[row].index(node)
                places.append((first + row, prompt.patched - 1 + index))
        return cls(behind, owner, places)


def padded(
    rows: Sequence[Sequence[int]], side: Side, blocks: Blocks, device: torch.device
) -> tuple[dict[str, Any], list[int]]:
    """Inputs for a model, and the index of the first real token of each row.

    On the right nothing real looks at the padding, so the model needs no mask; on the left it gets
    a mask, and position ids wherever its forward takes them: GPT-2 is wrong without.
    """
    width = max(map(len, rows))
    gaps = [width - len(row) for row in rows]
    if side == "right" or not any(gaps):
        ids = [[*row, *[0] * gap] for row, gap in zip(rows, gaps, strict=True)]
        return {"input_ids": torch.tensor(ids, device=device)}, [0] * len(rows)
    ids = [[*[0] * gap, *row] for row, gap in zip(rows, gaps, strict=True)]
    mask = [[0] * gap + [1] * len(row) for row, gap in zip(rows, gaps, strict=True)]
    mask_BT = torch.tensor(mask, device=device)
    inputs = {"input_ids": torch.tensor(ids, device=device), "attention_mask": mask_BT}
    if blocks.takes_positions:
        inputs["position_ids"] = positions(mask_BT)
    return inputs, gaps


def positions(mask_BT: torch.Tensor) -> torch.Tensor:
    """Position ids that count real tokens only."""
    return (mask_BT.cumsum(-1) - 1).clamp_min(0)
