"""The first pass of a generation: prompts that begin alike are read once up to where they part.

Behind the shared beginning the rest of each prompt is padded on the left, so there is a gap between
the two. Positions and attention masks step over it, which is exact where nothing else counts
tokens; whether that is so is found out on some of the very prompts.
"""

from collections.abc import Sequence
from typing import Any

import torch

from polylore.models.engines import difference
from polylore.models.forward import head_reads
from polylore.models.loading import LanguageModel
from polylore.models.masks import windows
from polylore.models.packing import common_length
from polylore.models.prefix_cache import KEEN, best_cuts, read_beginnings

_ROUNDING = 10
"""Largest difference of log-probabilities, in units of the tolerance of scores. A whole vocabulary
of them rounds further than a few sums; a gap that is counted changes them by whole nats."""


def next_logits(
    model: Any, ids_BS: torch.Tensor, mask_BT: torch.Tensor, cache: Any
) -> tuple[torch.Tensor, Any]:
    """Read one more piece of every row.

    Args:
        model: a causal language model in evaluation mode.
        ids_BS: token ids of the pieces.
        mask_BT: which tokens are real, of all that were read, these included.
        cache: what the model keeps of the pieces before; None for the first.

    Returns:
        Logits of the next token (B, V), and the cache.
    """
    inputs: dict[str, Any] = {"input_ids": ids_BS, "use_cache": True}
    if cache is not None:
        inputs["past_key_values"] = cache
    if bool((mask_BT == 0).any()):
        inputs["attention_mask"] = mask_BT
        inputs["position_ids"] = (mask_BT.cumsum(-1) - 1).clamp_min(0)[:, -ids_BS.shape[1] :]
    last_B = torch.arange(1, len(ids_BS) + 1, device=ids_BS.device) * ids_BS.shape[1] - 1
    with head_reads(model, last_B, ids_BS.shape):
        output = model(**inputs)
    return output.logits[0], getattr(output, "past_key_values", None)


def prefill(
    model: Any, prompts: Sequence[list[int]], *, share: bool, keen: bool = False
) -> tuple[torch.Tensor, Any, torch.Tensor]:
    """Read prompts; return the next token's logits (B, V), the cache, and its mask (B, T).

    Args:
        model: a causal language model in evaluation mode.
        prompts: their token ids.
        share: read what they begin with only once.
        keen: do so also where it does not pay, to see whether it is exact.
    """
    cuts: list[int] = []
    if share:
        deepest = min(map(len, prompts)) - 1
        cuts = best_cuts(prompts, deepest, *([KEEN] if keen else []))[1]
    cache = read_beginnings(model, prompts, cuts)
    start = cuts[-1] if cuts else 0
    width = max(map(len, prompts)) - start
    gaps = [start + width - len(ids) for ids in prompts]
    ids = [[0] * gap + ids[start:] for gap, ids in zip(gaps, prompts, strict=True)]
    mask = [[1] * start + [0] * gap + [1] * (width - gap) for gap in gaps]
    ids_BS = torch.tensor(ids, device=model.device)
    mask_BT = torch.tensor(mask, device=model.device)
    return *next_logits(model, ids_BS, mask_BT, cache), mask_BT


def may_share(lm: LanguageModel, prompts: Sequence[list[int]], longest: int) -> bool:
    """Whether prompts may be read behind a shared beginning, with gaps.

    Args:
        lm: the model.
        prompts: token ids of all prompts; the longest and one that shares much with it are read
            in both ways and compared.
        longest: most tokens of any prompt and its continuation.
    """
    try:
        if any(width is not None and width < longest for width in windows(lm.model).values()):
            return False  # a window would count the gaps
        some = sample(prompts)
        whole = prefill(lm.model, some, share=False)[0]
        shared = prefill(lm.model, some, share=True, keen=True)[0]
    except Exception:
        return False  # layers with a state, no cache, no memory: nothing is lost but time
    one, two = (logits.double().log_softmax(-1).cpu().numpy() for logits in (whole, shared))
    return difference(one, two, lm.dtype) <= _ROUNDING


def sample(prompts: Sequence[list[int]]) -> list[list[int]]:
    """The longest prompt and, of another length if there is one, that which shares most with it."""
    longest = max(prompts, key=len)
    others = [ids for ids in prompts if 1 < len(ids) < len(longest)] or list(prompts)
    return [longest, max(others, key=lambda ids: common_length(ids, longest))]
