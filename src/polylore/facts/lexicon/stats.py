"""What a lexicon holds, counted: per language and per pair of languages."""

from collections.abc import Sequence

import polars as pl

from polylore.facts.lexicon.lexicon import Lexicon
from polylore.facts.lexicon.words import Words, ordered_pairs
from polylore.tables.lexicon import LEXICON_PAIRS, LEXICON_STATS


def language_stats(lexicon: Lexicon, pivot: str = "en") -> pl.DataFrame:
    """One row per language; contract LEXICON_STATS.

    Forms are counted as the source writes them ("Unión" beside "unión" are two); words are
    compared folded.
    """
    words = Words(lexicon, as_given=True)
    rows = []
    for lang in lexicon.languages:
        there = [c for c in lexicon.concepts if lexicon.forms(c, lang)]
        numbers = [len(lexicon.forms(concept, lang)) for concept in there]
        colexified = words.colexified(lang)
        rows.append(
            {
                "lang": lang,
                "concepts": len(there),
                "forms": sum(numbers),
                "several_forms": sum(n > 1 for n in numbers),
                "multi_word": sum(" " in lexicon.forms(c, lang)[0].given for c in there),
                "colexified_forms": len(colexified),
                "colexified_concepts": len(set().union(*colexified.values())),
                "same_as_english": len(words.homographs(pivot, lang))
                if pivot in lexicon.languages and lang != pivot
                else None,
            }
        )
    return LEXICON_STATS.build(rows)


def pair_stats(lexicon: Lexicon, pairs: Sequence[tuple[str, str]] | None = None) -> pl.DataFrame:
    """One row per ordered pair of languages; contract LEXICON_PAIRS.

    Args:
        lexicon: the lexicon.
        pairs: ordered pairs; all if None.
    """
    words = Words(lexicon, as_given=True)
    rows = []
    for a, b in pairs or ordered_pairs(lexicon.languages):
        both = words.both(a, b)
        flags = [words.flags(concept, a, b) for concept in both]
        rows.append(
            {
                "lang_a": a,
                "lang_b": b,
                "concepts": len(both),
                "homographs": len(words.homographs(a, b)),
                "false_friends": len(words.false_friends(a, b)),
                "hom_same": sum(f.hom_same for f in flags),
                "hom_false": sum(f.hom_false for f in flags),
                "colex_a": sum(f.colex_a for f in flags),
                "colex_b": sum(f.colex_b for f in flags),
                "poly": sum(f.poly for f in flags),
                "clean": sum(f.clean for f in flags),
            }
        )
    return LEXICON_PAIRS.build(rows)
