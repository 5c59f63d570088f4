"""What a token of a tree row may look at: its ancestors, as far back as each layer looks.

An architecture with sliding windows limits some or all layers to the last W tokens. In a tree row
the distance that counts is that of the depths, not of the indices, so the windows have to be put
into the masks; masks made by transformers itself would count indices.
"""

from typing import Any

import torch

from polylore.errors import ModelError

_FULL, _SLIDING = "full_attention", "sliding_attention"


def windows(model: Any) -> dict[str, int | None]:
    """Tokens that each kind of layer looks back on, itself included; None for all.

    Raises:
        ModelError: a layer is neither of full nor of sliding attention.
    """
    config = model.config.get_text_config()
    width = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    if not kinds:
        # Mistral, Phi-3 and others without a list: a window holds in every layer.
        return {_FULL if width is None else _SLIDING: width}
    unknown = sorted({*kinds} - {_FULL, _SLIDING})
    if unknown:
        raise ModelError(
            f"{type(model).__name__} has layers of {unknown[0]}, which no tree mask describes."
        )
    return {kind: width if kind == _SLIDING else None for kind in sorted({*kinds})}


def tree_masks(
    model: Any, ends_BS: torch.Tensor, depths_BS: torch.Tensor
) -> torch.Tensor | dict[str, torch.Tensor]:
    """The attention masks of tries, as `own_masks` gives them.

    Args:
        model: a causal language model.
        ends_BS: index after the last descendant of each token.
        depths_BS: position of each token within its own string.

    Raises:
        ModelError: as `windows`.
    """
    index_S = torch.arange(ends_BS.shape[1], device=ends_BS.device)
    query, key = index_S[:, None], index_S[None, :]
    return own_masks(model, (query >= key) & (query < ends_BS[:, None, :]), depths_BS)


def own_masks(
    model: Any, seen_BSS: torch.Tensor, depths_BS: torch.Tensor
) -> torch.Tensor | dict[str, torch.Tensor]:
    """Attention masks as the model takes them: one, or one for each kind of layer.

    Additive (B, 1, S, S): 0 for what is seen, the lowest number elsewhere; additive rather than
    boolean because eager attention adds whatever it is given.

    Args:
        model: a causal language model.
        seen_BSS: whether a token (first S) may look at another, windows left aside.
        depths_BS: position of each token within its own string.

    Raises:
        ModelError: as `windows`.
    """
    widths = windows(model)
    # Strings that no window cuts need no mask of their own (and no reading of the depths).
    if any(widths.values()):
        deepest = int(depths_BS.max()) + 1
        widths = {kind: w if w and w < deepest else None for kind, w in widths.items()}
    made = {w: _mask(seen_BSS, depths_BS, w, model.dtype) for w in {*widths.values()}}
    masks = {kind: made[width] for kind, width in widths.items()}
    # Models whose layers differ take masks by name; one mask for all is understood by all models.
    return masks if len(made) > 1 else next(iter(made.values()))


def _mask(
    seen_BSS: torch.Tensor, depths_BS: torch.Tensor, width: int | None, dtype: torch.dtype
) -> torch.Tensor:
    if width is not None:
        # Only what is less than so many tokens away.
        seen_BSS = seen_BSS & (depths_BS[:, :, None] - depths_BS[:, None, :] < width)
    mask_BSS = torch.zeros(seen_BSS.shape, dtype=dtype, device=seen_BSS.device)
    return mask_BSS.masked_fill_(~seen_BSS, torch.finfo(dtype).min)[:, None]
