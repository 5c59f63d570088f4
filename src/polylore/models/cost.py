"""What forward passes of a causal language model cost: formulas, without a model and without torch.

Arithmetic means matrix products; a multiplication and an addition are two operations (FLOPs), as
`torch.utils.flop_counter` counts. Two per weight and token (Kaplan et al. 2020, *Scaling Laws for
Neural Language Models*, section 2.1); in attention two per query, key and number of a head's query
and of its value, over whole rectangles of queries and keys, since kernels seldom skip the masked
half (Chowdhery et al. 2022, *PaLM*, appendix B). Norms, activations and softmax are left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Anatomy:
    """The numbers of an architecture that decide what a pass costs."""

    parameters: int
    """All weights, tied ones once."""
    largest: int
    """Weights of the largest tensor."""
    inner: int
    """Weights that each token meets in matrix products: no embeddings, norms or output layer; of
    experts only those that a token is sent to."""
    vocabulary: int
    """Rows of the output layer."""
    hidden: int
    """Numbers of a token between layers."""
    intermediate: int
    """Numbers of a token inside a layer, at its widest."""
    heads: int
    """Query heads of a layer; 0 without attention."""
    head: int
    """Numbers of one head's query, key or value."""
    key_heads: int
    """Heads of keys and values of a layer."""
    layers: int
    attending: int
    """Layers with attention."""
    parts: int
    """How many times `intermediate` numbers are held at once."""
    written: int
    """Copies of attention's weights held at once; 0 where the kernel does not write them out."""
    logit_copies: int
    """Copies of the logits held at once: 2 where they are capped or scaled."""


@dataclass(frozen=True)
class Pass:
    """The shape of one forward pass."""

    kind: str
    """packed, cached, plain, beginning (what many strings begin with), prompt (what is left of
    prompts), word (one more token of every row) or hidden (what layers make of sentences)."""
    rows: int
    width: int
    """Tokens of a row, padding included."""
    keys: int
    """Tokens that each token is compared with."""
    reads: int
    """Positions whose logits are computed."""
    tokens: int
    """Tokens that are no padding and still wanted."""
    masked: bool = False
    """Whether it has a mask of its own."""
    cached: bool = False
    """Whether keys and values are kept."""
    layers: int = 0
    """Layers whose output is kept until the pass ends."""

    @property
    def places(self) -> int:
        """Tokens computed, padding included."""
        return self.rows * self.width


def flops(anatomy: Anatomy, one: Pass) -> int:
    """Operations of one forward pass."""
    a = anatomy
    matrices = 2 * a.inner * one.places
    attention = 4 * a.attending * a.heads * a.head * one.places * one.keys
    return matrices + attention + 2 * a.hidden * a.vocabulary * one.reads


def total_flops(anatomy: Anatomy, passes: Mapping[Pass, int]) -> int:
    """Operations of forward passes, each made so many times."""
    return sum(count * flops(anatomy, one) for one, count in passes.items())


def moved_bytes(anatomy: Anatomy, one: Pass, width: int) -> int:
    """Bytes that one pass reads at least: every weight that it uses, and the cache."""
    output = anatomy.hidden * anatomy.vocabulary
    return width * (anatomy.inner + output) + cache_bytes(anatomy, one, width)


def cache_bytes(anatomy: Anatomy, one: Pass, width: int) -> int:
    """Keys and values of a pass, in numbers of `width` bytes."""
    if not one.cached:
        return 0
    a = anatomy
    return 2 * width * a.attending * a.key_heads * a.head * one.rows * one.keys


def working_bytes(anatomy: Anatomy, one: Pass, width: int, chunk: int = 2**18) -> int:
    """Largest memory of one pass beside the weights: activations, mask, logits and cache.

    What lives at once in a layer of transformers, found by following every tensor of tiny models:
    the embeddings, the residual, its norm, attention's result and one more; in the layer's inside
    also its parts; in attention queries, keys and values before and after their rotation. Where
    attention writes its weights out, they stay until the layer ends.

    Args:
        anatomy: the model.
        one: the pass.
        width: bytes of a number.
        chunk: logits that are normalised at once.
    """
    a = anatomy
    weights = a.heads * one.keys
    inside = a.parts * a.intermediate + min(1, a.written) * weights
    attention = 2 * (a.heads + 2 * a.key_heads) * a.head + a.written * weights
    mask = one.keys if one.masked else 0
    layer = one.places * (5 * a.hidden + max(inside, attention) + mask)
    logits = one.reads * a.vocabulary
    output = 2 * one.places * a.hidden + a.logit_copies * logits + min(logits, chunk)
    output += one.layers * one.places * a.hidden
    layer += one.layers * one.places * a.hidden
    before = logits if one.kind == "word" else 0  # those of the pass before
    return width * (max(layer, output) + before) + cache_bytes(a, one, width)
