"""How many documents of which language: token quotas, exact to one document (`align`, 4.3).

Documents of a language are read in an order drawn by seed, and again in another order when all have
been read. Languages get the longest beginnings of their orders that fit into their quotas, so no
language is off its share by as much as one document.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polylore.errors import DataError
from polylore.facts.fiction.tongue import draw

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Pool:
    """Documents of one language."""

    name: str
    """Names the order of reading, with the seed."""
    sizes: Ids
    """Tokens of each document."""

    def order(self, n: int, seed: int) -> Ids:
        """The first n documents of the order of reading."""
        return np.concatenate([np.empty(0, dtype=np.int64), *self._epochs(n, seed)])[:n]

    def _epochs(self, n: int, seed: int) -> Iterator[Ids]:
        for epoch in range(-(-n // len(self.sizes))):
            yield draw(seed, "order", self.name, str(epoch)).permutation(len(self.sizes))


def by_quota(
    pools: Mapping[str, Pool],
    ratio: Mapping[str, float],
    seed: int,
    *,
    documents: int | None = None,
    tokens: int | None = None,
) -> list[tuple[str, int]]:
    """Which documents are read, in one order drawn by seed.

    Args:
        pools: documents by language.
        ratio: share of tokens by language; need not add up to 1.
        seed: seed of every order.
        documents: how many documents in all; or
        tokens: at least so many tokens in all, and less than one document of each language more.

    Returns:
        (language, number of the document in its pool), in order of reading. There is one amount of
        tokens of which every language has its share, less or (if `tokens` is given) more than that
        by less than one document.

    Raises:
        DataError: a language has no documents.
    """
    if (documents is None) == (tokens is None):
        raise ValueError("give documents or tokens")
    absent = [lang for lang in ratio if lang not in pools or not len(pools[lang].sizes)]
    if absent:
        known = sorted(lang for lang, pool in pools.items() if len(pool.sizes))
        there = ", ".join(known) or "none"
        raise DataError(f"There is no text in {', '.join(absent)} to train on (there is: {there}).")
    total = sum(ratio.values())
    shares = {lang: value / total for lang, value in ratio.items()}
    counts, orders = _counts(pools, shares, seed, documents, tokens)
    chosen = [(lang, int(one)) for lang, n in counts.items() for one in orders[lang][:n]]
    mixed = draw(seed, "mix", *shares).permutation(len(chosen))
    return [chosen[at] for at in mixed]


def _counts(
    pools: Mapping[str, Pool],
    shares: Mapping[str, float],
    seed: int,
    documents: int | None,
    tokens: int | None,
) -> tuple[dict[str, int], dict[str, Ids]]:
    """Documents of each language, and their order.

    Ends of documents stand at certain amounts of all tokens: where a language's own tokens, divided
    by its share, come to that amount. The smallest of these, over all languages, are taken.
    """
    orders: dict[str, Ids] = {}
    ends: list[NDArray[np.float64]] = []
    for lang, share in shares.items():
        sizes = pools[lang].sizes
        mean = float(sizes.mean())
        # Enough for its share, with room: quotas are in tokens, and documents differ in length.
        if documents is None:
            n = int(share * (tokens or 0) / mean) + 1
        else:
            others = sum(s / float(pools[other].sizes.mean()) for other, s in shares.items())
            n = int(documents * share / mean / others) + 1
        while True:
            order = pools[lang].order(n + len(sizes) + 1, seed)
            reached = np.cumsum(sizes[order]) / share
            if documents is None and reached[-1] <= (tokens or 0):
                n *= 2
                continue
            break
        orders[lang] = order
        ends.append(reached)
    langs = np.repeat(np.arange(len(ends)), [len(reached) for reached in ends])
    amounts = np.concatenate(ends)
    first = np.argsort(amounts, kind="stable")
    if documents is not None:
        taken = first[:documents]
    else:
        # A document belongs if it is begun before all tokens are there.
        begun = np.concatenate([np.concatenate([[0.0], reached[:-1]]) for reached in ends])
        taken = np.flatnonzero(begun < (tokens or 0))
    numbers = np.bincount(langs[taken], minlength=len(ends))
    return {lang: int(n) for lang, n in zip(shares, numbers, strict=True)}, orders
