"""The tokens of a world: which ids a type of token has in each language.

Ids are given in this order: padding, unknown, cues, names, relations, values, synonyms of cues. A
class of T types has L blocks of T ids; a shared type uses its id in the first block in every
language, and its other ids stay unused (`pad_vocab`), so that vocabulary and initialisation do not
depend on how much is shared.
"""

from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from polylore.errors import ConfigError
from polylore.facts.worlds.config import CLASSES, WorldConfig
from polylore.facts.worlds.cues import cue_words

Ids = NDArray[np.int64]

PADDING, UNKNOWN = "<pad>", "<unk>"
"""The first two words of every vocabulary; training shows neither."""


@dataclass(frozen=True)
class Vocabulary:
    """Words, and the tokens of everything that is told."""

    words: list[str]
    """Word of every id."""
    names: Ids
    """[languages, name types]: entities, or letters if a name has several tokens."""
    relations: Ids
    """[languages, relations, templates]."""
    values: Ids
    """[languages, relations, values, value_len]."""


def value_base(config: WorldConfig) -> int:
    """How many tokens a place of a value has: the smallest b with b ** value_len >= values."""
    return next(b for b in count(2) if b**config.value_len >= config.values or b >= config.values)


def make_vocabulary(config: WorldConfig) -> Vocabulary:
    """The vocabulary of a drawn world.

    Raises:
        ConfigError: a share of false friends that amounts to a single type.
    """
    rng = np.random.default_rng(np.random.SeedSequence(config.seed_of("world"), spawn_key=(1,)))
    cues, synonyms = cue_words(config.languages, max(c.m * (c.kind == "syn") for c in config.cues))
    words = [PADDING, UNKNOWN, *cues]
    base, length = value_base(config), config.value_len
    types = {
        "names": _name_types(config),
        "relations": [
            f".{r}" if config.templates == 1 else f".{r}.{k}"
            for r in range(config.relations)
            for k in range(config.templates)
        ],
        "values": [
            f".{r}.{v}" if length == 1 else f".{r}.{place}.{v}"
            for r in range(config.relations)
            for place in range(length)
            for v in range(config.values if length == 1 else base)
        ],
    }
    ids = {name: class_ids(config, name, types[name], words, rng) for name in CLASSES}
    words += synonyms
    if not config.pad_vocab:
        words, ids = _without_unused(words, ids, len(cues) + 2, len(synonyms))
    shape = (config.languages, config.relations)
    if length == 1:
        values = ids["values"].reshape(*shape, config.values, 1)
    else:
        # A value is a number in that base: all its tokens are needed to know it.
        digits = np.arange(config.values)[:, None] // base ** np.arange(length)[::-1] % base
        places = ids["values"].reshape(*shape, length, base)
        values = places[:, :, np.arange(length), digits]
    return Vocabulary(words, ids["names"], ids["relations"].reshape(*shape, -1), values)


def _name_types(config: WorldConfig) -> list[str]:
    n = config.name_pool if config.name_len > 1 else config.entities + config.never_seen
    return [f".{i}" for i in range(n)]


def class_ids(
    config: WorldConfig, name: str, types: list[str], words: list[str], rng: np.random.Generator
) -> Ids:
    """Ids [languages, types] of a class; its words are added to `words`."""
    first, n = len(words), len(types)
    share, false = getattr(config.share, name), getattr(config.false_friends, name)
    order = rng.permutation(n)
    n_shared = int(share * n + 0.5)
    n_false = min(int(false * n + 0.5), n - n_shared)
    if n_false == 1:
        raise ConfigError(
            f"false_friends.{name}: {false:g} of {n} types is a single one, which cannot mean "
            "another; raise it or set it to 0."
        )
    common, friends = order[:n_shared], order[n_shared : n_shared + n_false]
    ids = first + np.arange(config.languages)[:, None] * n + np.arange(n)
    ids[:, common] = ids[0, common]
    for lang in range(1, config.languages):
        ids[lang, friends] = ids[0, _derangement(friends, rng)]
    same = {int(i) for i in (*common, *friends)}
    for lang in range(config.languages):
        # A form of several languages is written without the number of one.
        marks = [name[0] if lang == 0 and t in same else f"{name[0]}{lang}" for t in range(n)]
        words += [mark + kind for mark, kind in zip(marks, types, strict=True)]
    return ids


def _derangement(items: Ids, rng: np.random.Generator) -> Ids:
    """The items in another order in which none keeps its place (a random cycle)."""
    order = rng.permutation(len(items))
    found = items.copy()
    found[order] = items[np.roll(order, 1)]
    return found


def _without_unused(
    words: list[str], ids: dict[str, Ids], n_first: int, n_last: int
) -> tuple[list[str], dict[str, Ids]]:
    used = np.zeros(len(words), dtype=bool)
    used[:n_first] = True
    used[len(words) - n_last :] = True
    for own in ids.values():
        used[own] = True
    new = np.cumsum(used) - 1
    kept = [word for word, there in zip(words, used, strict=True) if there]
    return kept, {name: new[own] for name, own in ids.items()}
