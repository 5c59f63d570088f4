"""Which concepts are paired, and which ones are shown before them (`patch`, section 4.1).

Every choice takes the smallest SHA-256 of seed and names, so it depends on nothing else.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from polylore.errors import ConfigError, DataError

FEWEST = 30
"""Pairs below which a plan that could not make all is refused."""

Allowed = Callable[[str, str], bool]


@dataclass(frozen=True)
class ConceptPair:
    """A source and a target concept, with the demonstrations of both sides."""

    pair_id: str
    source: str
    target: str
    source_shots: tuple[str, ...]
    target_shots: tuple[str, ...]

    @property
    def members(self) -> frozenset[str]:
        """All concepts of the pair, shots included."""
        return frozenset({self.source, self.target, *self.source_shots, *self.target_shots})


def order(seed: int, *what: object) -> bytes:
    """Place of something in a random order that the seed alone decides."""
    return hashlib.sha256("\x1f".join(map(str, (seed, *what))).encode()).digest()


def draw_pairs(
    concepts: Sequence[str],
    n: int,
    n_shots: int,
    seed: int,
    *,
    allowed: Allowed,
    shot_allowed: Callable[[str, str, str], bool] = lambda shot, s, t: True,
) -> list[ConceptPair]:
    """Draw pairs greedily: least-used concepts first, ties at random.

    A concept is used at most ceil(n / concepts) times on each side.

    Args:
        concepts: concepts to draw from.
        n: pairs wanted; fewer come back if the filter leaves no more.
        n_shots: demonstrations on each side, all different, none of them s or t.
        seed: seed.
        allowed: whether (s, t) may be paired.
        shot_allowed: whether a concept may be a demonstration of (s, t).

    Raises:
        ConfigError: too few concepts for the demonstrations.
        DataError: fewer pairs than asked, and fewer than 30.
    """
    if len(concepts) < 2 * n_shots + 2:
        raise ConfigError(
            f"{n_shots} demonstrations on both sides need {2 * n_shots + 2} concepts with a form "
            f"in every language of the plan, but there are {len(concepts)}; ask for fewer "
            "demonstrations or languages."
        )
    chosen = _greedy(concepts, n, seed, allowed)
    pairs = []
    for number, (source, target) in enumerate(chosen):
        shots = _shots(concepts, source, target, n_shots, seed, shot_allowed)
        if shots is not None:
            pairs.append(
                ConceptPair(f"p{number:04d}", source, target, shots[:n_shots], shots[n_shots:])
            )
    if len(pairs) < min(n, FEWEST):
        raise DataError(
            f"Only {len(pairs)} of {n} pairs of concepts are compatible, too few for a plan; use "
            "more concepts, fewer languages, or leave filters out."
        )
    return pairs


def _greedy(concepts: Sequence[str], n: int, seed: int, allowed: Allowed) -> list[tuple[str, str]]:
    cap = ceil(n / len(concepts))
    used: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    chosen: dict[tuple[str, str], None] = {}
    exhausted: set[str] = set()
    places = [{c: order(seed, side, c) for c in concepts} for side in ("source", "target")]

    def ranked(side: int, without: Iterable[str] = ()) -> list[str]:
        left = [c for c in concepts if used[side][c] < cap and c not in without]
        # The tie-break changes with every use, so that rounds of reuse are not repeats.
        return sorted(left, key=lambda c: (used[side][c], _turned(places[side][c], used[side][c])))

    while len(chosen) < n:
        sources = ranked(0, exhausted)
        if not sources:
            break
        source = sources[0]
        target = next(
            (
                t
                for t in ranked(1)
                if t != source and (source, t) not in chosen and allowed(source, t)
            ),
            None,
        )
        if target is None:
            exhausted.add(source)
            continue
        chosen[source, target] = None
        used[0][source] += 1
        used[1][target] += 1
    return list(chosen)


def _turned(place: bytes, times: int) -> bytes:
    turn = times % len(place)
    return place[turn:] + place[:turn]


def _shots(
    concepts: Sequence[str],
    source: str,
    target: str,
    n_shots: int,
    seed: int,
    shot_allowed: Callable[[str, str, str], bool],
) -> tuple[str, ...] | None:
    candidates = sorted(
        (c for c in concepts if c not in (source, target)),
        key=lambda c: order(seed, "shot", source, target, c),
    )
    shots: list[str] = []
    for concept in candidates:
        if len(shots) == 2 * n_shots:
            break
        if shot_allowed(concept, source, target):
            shots.append(concept)
    return tuple(shots) if len(shots) == 2 * n_shots else None


def derangement(pairs: Sequence[ConceptPair], seed: int, allowed: Allowed) -> dict[str, str]:
    """Pair -> pair whose source is its random concept: a permutation without fixed points.

    The random concept is compatible with s and t, is neither of them, and neither of them is
    among its demonstrations. Pairs for which the permutation finds none are absent.
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_bipartite_matching

    shuffled = sorted(range(len(pairs)), key=lambda n: order(seed, "random", pairs[n].pair_id))
    fits = np.array(
        [[_may_stand_for(pairs[n], pair, allowed) for n in shuffled] for pair in pairs], dtype=int
    ).reshape(len(pairs), len(pairs))
    match = maximum_bipartite_matching(csr_matrix(fits), perm_type="column")
    return {
        pair.pair_id: pairs[shuffled[int(column)]].pair_id
        for pair, column in zip(pairs, match, strict=True)
        if column >= 0
    }


def _may_stand_for(other: ConceptPair, pair: ConceptPair, allowed: Allowed) -> bool:
    return (
        other.source not in (pair.source, pair.target)
        and pair.source not in other.source_shots
        and pair.target not in other.source_shots
        and allowed(other.source, pair.source)
        and allowed(other.source, pair.target)
    )


def strangers(pairs: Sequence[ConceptPair], pair: ConceptPair, seed: int) -> list[ConceptPair]:
    """Other pairs in random order, with different sources first: what a shuffled mean averages.

    None has s or t as its source or among its demonstrations.
    """
    others = sorted(
        (
            one
            for one in pairs
            if one.source not in (pair.source, pair.target)
            and not {pair.source, pair.target} & set(one.source_shots)
        ),
        key=lambda one: order(seed, "stranger", pair.pair_id, one.pair_id),
    )
    seen: set[str] = set()
    first: list[ConceptPair] = []
    again: list[ConceptPair] = []
    for one in others:
        (again if one.source in seen else first).append(one)
        seen.add(one.source)
    return first + again
