"""The forward pass of the standard Llama class, for a stack of models at once.

Weights have a leading axis R of runs; a single model is a stack of one, so single and stacked runs
are computed by the same lines. The arithmetic is that of transformers' `LlamaForCausalLM` (a test
holds them together), without what these models never need: masks, caches, and, in the last layer,
everything behind the keys and values at positions nobody asks about.

R runs, B rows, S positions, N = B·S, n places per row, D width, H heads, V vocabulary.
"""

from collections.abc import Mapping
from functools import lru_cache

import torch
from torch.nn import functional

from polylore.training.tiny.sizes import EPSILON, THETA, Sizes

ROWS = 2**15
"""Rows that go through attention together; CUDA's kernels take fewer than 2^16 at once."""

Weights = Mapping[str, torch.Tensor]
"""By name of the standard class, each with the axis of runs in front."""
Places = int | torch.Tensor | None
"""Positions whose states are wanted: the last n of each row, indices (R, B, n), or all."""


def logits(weights: Weights, sizes: Sizes, ids_RBS: torch.Tensor, places: Places) -> torch.Tensor:
    """Next-token logits at the wanted places: (R, B, n, V)."""
    states_RBnD = last_states(weights, sizes, ids_RBS, places)
    flat = torch.bmm(states_RBnD.flatten(1, 2), weights["lm_head.weight"].mT)
    return flat.view(*states_RBnD.shape[:3], sizes.vocabulary)


def last_states(
    weights: Weights,
    sizes: Sizes,
    ids_RBS: torch.Tensor,
    places: Places,
    passed: list[torch.Tensor] | None = None,
) -> torch.Tensor:
    """States after the final norm at the wanted places: (R, B, n, D).

    Args:
        weights: of the stack.
        sizes: its shape.
        ids_RBS: token ids; padding stands at the end of a row, where no earlier position sees it.
        places: which positions of each row are wanted.
        passed: receives the input of every layer (R, B, S, D); the first one is the embeddings.
    """
    x, shape = _embedded(weights, sizes, ids_RBS)
    for layer in range(sizes.layers):
        if passed is not None:
            passed.append(x.view(*shape, sizes.hidden))
        wanted = places if layer == sizes.layers - 1 else None
        x = _block(weights, sizes, f"model.layers.{layer}.", x, shape, wanted)
    x = _norm(x, weights["model.norm.weight"])
    return x.view(*shape[:2], -1, sizes.hidden)


def state_before(weights: Weights, sizes: Sizes, ids_RBS: torch.Tensor, layer: int) -> torch.Tensor:
    """The input of one layer at every position: (R, B, S, D)."""
    x, shape = _embedded(weights, sizes, ids_RBS)
    for earlier in range(layer):
        x = _block(weights, sizes, f"model.layers.{earlier}.", x, shape, None)
    return x.view(*shape, sizes.hidden)


def _embedded(
    weights: Weights, sizes: Sizes, ids_RBS: torch.Tensor
) -> tuple[torch.Tensor, tuple[int, int, int]]:
    """The embeddings (R, N, D), and (R, B, S)."""
    runs, rows, length = ids_RBS.shape
    table = weights["model.embed_tokens.weight"].flatten(0, 1)
    first = sizes.vocabulary * torch.arange(runs, device=ids_RBS.device)
    x = functional.embedding((ids_RBS + first[:, None, None]).flatten(1), table)
    return x, (runs, rows, length)


def _block(
    weights: Weights,
    sizes: Sizes,
    name: str,
    x_RND: torch.Tensor,
    shape: tuple[int, int, int],
    places: Places,
) -> torch.Tensor:
    """One layer; what follows the keys and values is computed at the wanted places only."""
    runs, rows, length = shape
    width = sizes.hidden // sizes.heads

    def product(x: torch.Tensor, part: str) -> torch.Tensor:
        return torch.bmm(x, weights[f"{name}{part}.weight"].mT)

    def heads(x_RND: torch.Tensor) -> torch.Tensor:
        return x_RND.view(runs * rows, -1, sizes.heads, width).transpose(1, 2)

    cos_SW, sin_SW = _rotary(length, width, x_RND.device)
    a = _norm(x_RND, weights[f"{name}input_layernorm.weight"])
    k = _rotated(heads(product(a, "self_attn.k_proj")), cos_SW, sin_SW)
    v = heads(product(a, "self_attn.v_proj"))
    mask = None
    if places is not None:
        x_RND, a, at = _at(x_RND, a, shape, places)
        cos_SW, sin_SW = cos_SW[at], sin_SW[at]
        if not (isinstance(places, int) and places == 1):  # the last position sees all
            mask = torch.arange(length, device=x_RND.device) <= at[..., None]
    q = _rotated(heads(product(a, "self_attn.q_proj")), cos_SW, sin_SW)
    seen = _attended(q, k, v, mask, causal=places is None)
    seen = seen.transpose(1, 2).reshape(x_RND.shape)
    x_RND = x_RND + product(seen, "self_attn.o_proj")
    a = _norm(x_RND, weights[f"{name}post_attention_layernorm.weight"])
    gated = functional.silu(product(a, "mlp.gate_proj")) * product(a, "mlp.up_proj")
    return x_RND + product(gated, "mlp.down_proj")


def _attended(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None, *, causal: bool
) -> torch.Tensor:
    """Attention of many short rows, (R·B, H, S or n, width)."""
    found = []
    for start in range(0, len(q), ROWS):
        own = slice(start, start + ROWS)
        its = mask[own] if mask is not None and mask.ndim == 4 else mask
        found.append(
            functional.scaled_dot_product_attention(q[own], k[own], v[own], its, is_causal=causal)
        )
    return found[0] if len(found) == 1 else torch.cat(found)


def _at(
    x_RND: torch.Tensor,
    a_RND: torch.Tensor,
    shape: tuple[int, int, int],
    places: int | torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two states at the wanted places, and the positions: (n,) or (R·B, 1, n)."""
    runs, rows, length = shape
    width = x_RND.shape[-1]
    if isinstance(places, int):
        at = torch.arange(length - places, length, device=x_RND.device)
        x, a = (t.view(runs, rows, length, width)[:, :, -places:] for t in (x_RND, a_RND))
        return x.flatten(1, 2), a.flatten(1, 2), at
    index = places[..., None].expand(*places.shape, width)
    x, a = (t.view(runs, rows, length, width).gather(2, index) for t in (x_RND, a_RND))
    return x.flatten(1, 2), a.flatten(1, 2), places.view(runs * rows, 1, -1)


def _norm(x_RND: torch.Tensor, weight_RD: torch.Tensor) -> torch.Tensor:
    scale = torch.rsqrt(x_RND.pow(2).mean(-1, keepdim=True) + EPSILON)
    return x_RND * scale * weight_RD[:, None]


def _rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    one, two = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-two, one), dim=-1) * sin


@lru_cache(maxsize=64)
def _rotary(length: int, width: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines of the rotary positions, (S, width)."""
    with torch.inference_mode(False):  # kept for later, when gradients may pass
        steps = torch.arange(0, width, 2, dtype=torch.int64, device=device).float() / width
        angles = torch.arange(length, device=device).float()[:, None] / THETA**steps
        angles = torch.cat((angles, angles), dim=-1)
        return angles.cos(), angles.sin()
