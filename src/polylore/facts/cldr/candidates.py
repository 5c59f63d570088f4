"""Which wrong answers stand beside the right one.

Candidates are chosen among the right answers of the same relation, by hash, so the choice depends
on nothing but the fact and what CLDR names: the same entities in the same order in every language,
whatever languages were asked for. Choice and order use different hashes; with one hash the chosen,
small ones would push the gold to the end.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence

from polylore.facts.cldr.claims import Claim

N_CANDIDATES = 10
"""Candidates per fact if nobody asks for another number."""


def choose(
    claim: Claim,
    pool: Collection[str],
    named: Sequence[Mapping[str, tuple[str, ...]]],
    n: int = N_CANDIDATES,
) -> list[str]:
    """Candidate codes of a claim in their final order, the gold among them.

    Args:
        claim: the fact.
        pool: codes of all right answers of the relation.
        named: for each language that tells this fact, code -> folded name and other accepted
            forms of the code; codes without a name are absent.
        n: candidates wanted, the gold included; fewer where the pool is used up. A smaller choice
            is part of every larger one.

    A code is passed over if it is another right answer or barred, lacks a name in one of the
    languages, or reads in one of them like the gold or a candidate already chosen.
    """
    gold = claim.gold[1]
    excluded = {gold, *claim.accepted, *claim.barred}
    taken = [_forms(names, (gold, *claim.accepted)) for names in named]
    chosen = [gold]
    for code in sorted(set(pool) - excluded, key=lambda one: _hash("choice", claim, one)):
        if len(chosen) == n:
            break
        words = [names.get(code) for names in named]
        if any(w is None or w[0] in used for w, used in zip(words, taken, strict=True)):
            continue
        chosen.append(code)
        for word, used in zip(words, taken, strict=True):
            if word is not None:
                used.add(word[0])
    return sorted(chosen, key=lambda one: _hash("order", claim, one))


def _forms(names: Mapping[str, tuple[str, ...]], codes: tuple[str, ...]) -> set[str]:
    return {form for code in codes for form in names.get(code, ())}


def _hash(purpose: str, claim: Claim, code: str) -> bytes:
    return hashlib.sha256(f"{purpose}\x1f{claim.fact_id}\x1f{code}".encode()).digest()
