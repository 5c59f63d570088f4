"""Contracts of a lexicon: concepts and the words for them in many languages."""

import polars as pl

from polylore.tables.contract import Column, Table
from polylore.tables.raw import LANG, STRINGS

LEXICON = Table(
    "lexicon",
    "One row per word form of a concept in a language.",
    (
        Column("concept_id", pl.String(), "identity of the concept, equal in all languages"),
        LANG,
        Column("rank", pl.Int32(), "0 is the first form, the one shown in prompts"),
        Column("form", pl.String(), "the word as written, without any gloss"),
        Column("aliases", STRINGS, "other accepted spellings of this form; may be empty"),
        Column("sense_id", pl.String(), "sense row that the form mostly stands in", "", True),
        Column("senses", STRINGS, "all sense rows it stands in, the main one first; may be empty"),
        Column("pos", pl.String(), "part of speech; null if unknown", "", True),
        Column("n_slots", pl.Int32(), "how often the source pairs it with the concept", "slots"),
        Column("erratum", pl.Boolean(), "the source marks it as corrected or doubtful"),
        Column("flags", STRINGS, "reader flags, such as gloss_in_form"),
        Column("source", pl.String(), "where the form comes from"),
        Column("licence", pl.String(), "licence of the source; null if unknown", "", True),
    ),
    key=("concept_id", "lang", "rank"),
    raw=True,
)

FLAGS = (
    Column("hom_same", pl.Boolean(), "a form in a is also one in b"),
    Column("hom_false", pl.Boolean(), "else, a form in a means another concept in b"),
    Column("colex_a", pl.Boolean(), "a form in a names another concept too"),
    Column("colex_b", pl.Boolean(), "a form in b names another concept too"),
    Column("poly", pl.Boolean(), "several forms in a or b, or several senses"),
    Column("clean", pl.Boolean(), "none of these"),
)
"""Flags of an item (a, b, intended concept); specification of `patch`, section 2."""

LEXICON_DROPS = Table(
    "lexicon_drops",
    "What each step of a reader kept and dropped, in order.",
    (
        Column("step", pl.String(), "name of the step"),
        Column("unit", pl.String(), "what is counted: rows, slots, cells, words or concepts"),
        Column("kept", pl.Int64(), "left after the step"),
        Column("dropped", pl.Int64(), "taken away by the step"),
        Column("examples", STRINGS, "up to five of them"),
    ),
    key=("step",),
)

SIMILARITY = Table(
    "lexicon_similarity",
    "What people said about the similarity of two concepts.",
    (
        Column("concept_a", pl.String(), "first concept, the smaller id"),
        Column("concept_b", pl.String(), "second concept"),
        Column("score", pl.Float64(), "mean rating, 0 (unrelated) to 6 (the same)"),
    ),
    key=("concept_a", "concept_b"),
    raw=True,
)

LEXICON_FLAGS = Table(
    "lexicon_flags",
    "What makes it hard to tell what an answer shows: one row per concept, asked for from a in b.",
    (
        Column("lang_a", pl.String(), "language of the word that is shown"),
        Column("lang_b", pl.String(), "language of the word that is asked for"),
        Column("concept_id", pl.String(), "concept"),
        *FLAGS,
        Column("multi_word", pl.Boolean(), "the first form in a or b holds a space"),
        Column("near_synonyms", STRINGS, "concepts rated 4.5 or more similar"),
        Column("related", STRINGS, "concepts rated 3 or more similar, but below 4.5"),
    ),
    key=("lang_a", "lang_b", "concept_id"),
)

LEXICON_PAIRS = Table(
    "lexicon_pairs",
    "How the words of two languages relate, over the concepts that both have.",
    (
        Column("lang_a", pl.String(), "first language"),
        Column("lang_b", pl.String(), "second language"),
        Column("concepts", pl.Int64(), "concepts with a form in both", "concepts"),
        Column("homographs", pl.Int64(), "those with a form in common, folded", "concepts"),
        Column("false_friends", pl.Int64(), "strings that never name the same concept", "strings"),
        Column("hom_same", pl.Int64(), "concepts flagged so when a is asked for in b", "concepts"),
        Column("hom_false", pl.Int64(), "a form in a means another concept in b", "concepts"),
        Column("colex_a", pl.Int64(), "a form in a names another concept too", "concepts"),
        Column("colex_b", pl.Int64(), "a form in b names another concept too", "concepts"),
        Column("poly", pl.Int64(), "several forms in a or b, or several senses", "concepts"),
        Column("clean", pl.Int64(), "none of these", "concepts"),
    ),
    key=("lang_a", "lang_b"),
)

LEXICON_STATS = Table(
    "lexicon_stats",
    "What a lexicon holds in each language.",
    (
        LANG,
        Column("concepts", pl.Int64(), "concepts with a form", "concepts"),
        Column("forms", pl.Int64(), "forms in all", "forms"),
        Column("several_forms", pl.Int64(), "concepts with more than one form", "concepts"),
        Column(
            "multi_word",
            pl.Int64(),
            "concepts whose first form, as given, holds a space",
            "concepts",
        ),
        Column("colexified_forms", pl.Int64(), "strings that name several concepts", "strings"),
        Column("colexified_concepts", pl.Int64(), "concepts they name", "concepts"),
        Column(
            "same_as_english",
            pl.Int64(),
            "concepts with a form as in English; null in English",
            "concepts",
            True,
        ),
    ),
    key=("lang",),
)
