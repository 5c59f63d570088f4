"""Names of fictional people: far apart from each other by construction.

A name is four syllables, two for each of its parts. The last two are a code of the first two over
the integers modulo a prime, so any two names differ in at least three syllables. All syllables are
a consonant and a vowel: names are equally long, and none stands inside another. A name depends on
seed and number alone, not on which other names there are.
"""

import hashlib

from polylore.errors import ConfigError
from polylore.facts.people.pack import SYLLABLES, Pack

PRIME = 31
CAPACITY = PRIME * PRIME
"""Names that one seed can give."""


def drawn(*labels: object) -> int:
    """A 64-bit number that depends on the labels only."""
    text = "\x1f".join(str(label) for label in labels)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def phonemes(seed: int, number: int) -> tuple[str, str, str, str]:
    """The syllables of a name.

    Raises:
        ConfigError: there are not so many names.
    """
    if not 0 <= number < CAPACITY:
        raise ConfigError(f"There are {CAPACITY} names per seed; number {number} is none of them.")
    chosen = sorted(SYLLABLES, key=lambda syllable: drawn(seed, "syllable", syllable))[:PRIME]
    # A step through all names that is coprime to their number: neighbours look unlike each other.
    step = drawn(seed, "step") % (PRIME - 1) + 1 + PRIME * (drawn(seed, "stride") % PRIME)
    i, j = divmod((number * step + drawn(seed, "start")) % CAPACITY, PRIME)
    first, second, third, fourth = (chosen[k % PRIME] for k in (i, j, i + j, i + 2 * j))
    return first, second, third, fourth


def write_name(syllables: tuple[str, str, str, str], pack: Pack | None) -> str:
    """A name as a language writes it; in Latin letters without a pack."""
    own = syllables if pack is None else tuple(pack.syllables[s] for s in syllables)
    words = ["".join(own[:2]), "".join(own[2:])]
    return (" " if pack is None else pack.word_separator).join(w[:1].upper() + w[1:] for w in words)
