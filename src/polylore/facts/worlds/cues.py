"""Language cues as distributions over tokens.

One table says everything: the token tuples that can stand in front of a prompt of each language,
and their probabilities in training. Drawing, information and leaks all follow from it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polylore.facts.worlds.cue_config import CueConfig

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]

SHOWN = 8
"""Synonyms that evaluation averages over, at most."""


def cue_words(languages: int, synonyms: int = 0) -> tuple[list[str], list[str]]:
    """Words that cues are made of: those of every world, and synonyms (at the end of its list)."""
    words = [f"tag{lang}" for lang in range(languages)] + ["neutral"]
    if languages == 2:
        words += [f"bit{place}.{bit}" for place in "AB" for bit in (0, 1)]
    return words, [f"syn{lang}.{j}" for lang in range(languages) for j in range(synonyms)]


@dataclass(frozen=True, eq=False)
class Cue:
    """What stands in front of a prompt."""

    tokens: Ids
    """[languages, variants, length] every tuple that training may show."""
    prob: Floats
    """[languages, variants] probability of each in a presentation; rows add up to 1."""
    shown: Ids
    """[languages, draws, length] the tuples of evaluation, which averages over them."""

    @property
    def length(self) -> int:
        """Tokens of a cue."""
        return int(self.tokens.shape[2])

    def draw(self, rng: np.random.Generator, lang: Ids) -> Ids:
        """[n, length] fresh cues for presentations in the languages `lang` [n]."""
        if self.tokens.shape[1] == 1:
            found: Ids = self.tokens[lang, 0]
            return found
        edges = np.cumsum(self.prob, axis=1)
        edges[:, -1] = 1.0
        # One search for all languages: language l has the numbers from l to l + 1.
        edges += np.arange(len(edges))[:, None]
        at = np.searchsorted(edges.ravel(), rng.random(len(lang)) + lang, side="right")
        drawn: Ids = self.tokens.reshape(-1, self.length)[np.minimum(at, edges.size - 1)]
        return drawn


def make_cue(config: CueConfig, languages: int, ids: dict[str, int], seed: int) -> Cue:
    """The cue of a world.

    Args:
        config: which cue.
        languages: number of languages.
        ids: id of every word.
        seed: decides which synonyms evaluation shows.
    """
    langs = range(languages)
    if config.kind == "xor":
        return _xor(config, ids)
    if config.kind == "none":
        nothing = np.zeros((languages, 1, 0), dtype=np.int64)
        return Cue(nothing, np.ones((languages, 1)), nothing)
    if config.kind == "syn":
        own = np.array([[[ids[f"syn{v}.{j}"]] for j in range(config.m)] for v in langs])
        chosen = np.arange(config.m)
        if config.m > SHOWN:
            chosen = np.sort(np.random.default_rng(seed).permutation(config.m)[:SHOWN])
        return Cue(own, np.full((languages, config.m), 1 / config.m), own[:, chosen])
    tags = np.array([ids[f"tag{v}"] for v in langs])
    clean = tags[:, None, None]
    if config.kind == "drop":
        neutral = np.full_like(clean, ids["neutral"])
        prob = np.tile([1 - config.q, config.q], (languages, 1))
        return Cue(np.concatenate([clean, neutral], axis=1), prob, clean)
    if config.kind == "tag_noise":
        prob = np.full((languages, languages), config.q / languages)
        prob[np.diag_indices(languages)] += 1 - config.q
        return Cue(np.tile(tags[None, :, None], (languages, 1, 1)), prob, clean)
    return Cue(clean, np.ones((languages, 1)), clean)


def _xor(config: CueConfig, ids: dict[str, int]) -> Cue:
    """First bit b1 equals the language with (1 + epsilon) / 2; b2 = b1 xor language, or redrawn."""
    tokens = np.zeros((2, 4, 2), dtype=np.int64)
    prob = np.zeros((2, 4))
    shown: list[list[list[int]]] = []
    for lang in (0, 1):
        shown.append([])
        for b1 in (0, 1):
            likely = (1 + (config.epsilon if b1 == lang else -config.epsilon)) / 2
            for b2 in (0, 1):
                pair = [ids[f"bitA.{b1}"], ids[f"bitB.{b2}"]]
                right = b1 ^ b2 == lang
                tokens[lang, 2 * b1 + b2] = pair
                prob[lang, 2 * b1 + b2] = likely * (config.q / 2 + (1 - config.q) * right)
                # What training never shows cleanly is not asked either.
                if right and likely > 0:
                    shown[lang].append(pair)
    return Cue(tokens, prob, np.array(shown))
