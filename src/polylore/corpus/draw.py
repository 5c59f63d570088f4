"""Random choices that are the same for ever: hashes, not the stream of some library's generator."""

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def number(*labels: object) -> int:
    """A 64-bit number that depends on the labels only."""
    text = "\x1f".join(str(label) for label in labels)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def ordered(items: Iterable[str], *labels: object) -> list[str]:
    """The items in a drawn order that depends on labels and items, not on the order given."""
    return sorted(items, key=lambda item: (number(*labels, item), item))


def permutation(n: int, *labels: object) -> NDArray[np.int64]:
    """A drawn order of 0..n-1 (splitmix64 keys, sorted)."""
    with np.errstate(over="ignore"):
        key = np.uint64(number(*labels)) + np.arange(1, n + 1, dtype=np.uint64) * _GOLDEN
        key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        key ^= key >> np.uint64(31)
    return np.argsort(key, kind="stable")


def shares(total: int, weights: list[float]) -> list[int]:
    """Split a total in proportion to weights, by largest remainder (ties: earlier first)."""
    whole = sum(weights)
    exact = [total * weight / whole for weight in weights] if whole else [0.0] * len(weights)
    parts = [int(value) for value in exact]
    left = sorted(range(len(weights)), key=lambda i: (parts[i] - exact[i], i))
    for i in left[: total - sum(parts) if whole else 0]:
        parts[i] += 1
    return parts
