"""Contracts of what is said of data before a model is asked: facts, lint, counts."""

import polars as pl

from polylore.tables.contract import Column, Table
from polylore.tables.derived import HI, LO, N
from polylore.tables.raw import FACT_ID, LANG, RELATION, STRINGS

DATA_REPORT = Table(
    "data_report",
    "What a fact set can and cannot show, per language and relation.",
    (
        LANG,
        Column("relation", pl.String(), "relation, or 'all'"),
        N,
        Column(
            "duplicate_triples", pl.Int64(), "groups of equal (relation, subject, object)", "groups"
        ),
        Column("multi_gold", pl.Int64(), "facts whose subject has several golds", "facts"),
        # Null in the next four: the set has no pivot.
        Column("same_object", pl.Int64(), "object equal to the pivot's, exact", "facts", True),
        Column("same_object_cf", pl.Int64(), "the same after NFC and case folding", "facts", True),
        Column(
            "same_pair", pl.Int64(), "subject and object equal to the pivot's, exact", "facts", True
        ),
        Column("same_pair_cf", pl.Int64(), "the same after NFC and case folding", "facts", True),
        Column("answer_in_subject", pl.Int64(), "folded object contained in the subject", "facts"),
        Column("subject_equals_object", pl.Int64(), "folded object equals the subject", "facts"),
        Column(
            "prefix_conflicts", pl.Int64(), "object is a prefix of another or the reverse", "facts"
        ),
        Column("object_bytes_over_20", pl.Int64(), "objects longer than 20 UTF-8 bytes", "facts"),
        Column("distinct_objects", pl.Int64(), "distinct objects", "objects"),
        Column("majority_share", pl.Float64(), "accuracy of the commonest object", "share"),
        Column(
            "copy_demo", pl.Float64(), "accuracy of copying a random demonstration", "share", True
        ),
        Column(
            "demo_leak_probability",
            pl.Float64(),
            "P(gold among 3 random demonstrations)",
            "share",
            True,
        ),
        Column(
            "one_char_baseline", pl.Float64(), "best one-character answer, paper matcher", "share"
        ),
        Column("chance", pl.Float64(), "1 / number of candidates, averaged", "share", True),
        Column("non_nfc", pl.Int64(), "facts with a string that is not NFC", "facts"),
        Column(
            "gold_last_share",
            pl.Float64(),
            "share of facts whose gold is the last candidate",
            "share",
            True,
        ),
        Column("missing_languages", STRINGS, "languages that lack some of these facts"),
    ),
    key=("lang", "relation"),
)

LINT = Table(
    "lint",
    "Findings of the fact-set linter.",
    (
        Column("rule", pl.String(), "name of the rule"),
        Column("severity", pl.String(), "error, warning or note"),
        Column("lang", pl.String(), "language, if one is concerned", "", True),
        Column("relation", pl.String(), "relation, if one is concerned", "", True),
        Column("count", pl.Int64(), "places concerned"),
        Column("examples", STRINGS, "up to five examples"),
        Column("message", pl.String(), "what it means and how to mend it"),
    ),
)

FREQ_AGREEMENT = Table(
    "freq_agreement",
    "How far two sources of counts agree, per language and relation (`all` for all together).",
    (
        Column("source_a", pl.String(), "first source"),
        Column("source_b", pl.String(), "second source"),
        Column("unit_a", pl.String(), "what the first counts"),
        Column("unit_b", pl.String(), "what the second counts"),
        LANG,
        RELATION,
        Column("n", pl.Int64(), "cells that both have a count for", "cells"),
        Column("spearman", pl.Float64(), "rank correlation, ties at mid-rank", "", True),
        LO,
        HI,
        Column("pearson_log1p", pl.Float64(), "Pearson r of log10(1 + count)", "", True),
        Column("pearson_raw", pl.Float64(), "Pearson r of counts", "", True),
        Column("ratio", pl.Float64(), "geometric mean of b/a where both are positive", "", True),
        Column("exactly_equal", pl.Int64(), "cells with equal counts", "cells"),
        Column("within_2x_both_positive", pl.Int64(), "both positive, at most twice", "cells"),
        Column("a0_b_positive", pl.Int64(), "zero in a and positive in b", "cells"),
        Column("b0_a_positive", pl.Int64(), "zero in b and positive in a", "cells"),
        Column(
            "above_corpus_docs",
            pl.Int64(),
            "counts above the number of documents, which none can be; null if not known",
            "counts",
            True,
        ),
    ),
    key=("lang", "relation"),
)

FREQ_DISAGREEMENTS = Table(
    "freq_disagreements",
    "The cells on which two sources of counts disagree most, worst first.",
    (
        Column("source_a", pl.String(), "first source"),
        Column("source_b", pl.String(), "second source"),
        FACT_ID,
        LANG,
        RELATION,
        Column("subject", pl.String(), "subject as written in this language"),
        Column("object", pl.String(), "object as written in this language"),
        Column("count_a", pl.Int64(), "count of the first source"),
        Column("count_b", pl.Int64(), "count of the second source"),
        Column("log10_ratio", pl.Float64(), "log10 of (1 + b) / (1 + a)"),
    ),
    key=("fact_id", "lang"),
)
