"""Contracts of the tables that stand finished runs beside each other."""

import polars as pl

from polylore.tables.contract import Column, Table
from polylore.tables.derived import HI, LO, MATCHER, N
from polylore.tables.raw import CKPT

MODEL = Column("model", pl.String(), "name of the model in the comparison")
REFERENCE = Column("reference", pl.String(), "model it is held against: the first one named")
LANG = Column("lang", pl.String(), "language code (BCP 47), or 'all'")
RELATION = Column("relation", pl.String(), "relation, or 'all'")

MODEL_RECALL = Table(
    "model_recall",
    "Recall of each compared model on the questions that all of them were asked.",
    (
        MODEL,
        CKPT,
        LANG,
        RELATION,
        MATCHER,
        N,
        Column("acc", pl.Float64(), "share right; of 'all' languages, their mean", "share", True),
        LO,
        HI,
        Column("baseline", pl.Float64(), "best knowledge-free baseline of this row", "share", True),
        Column("baseline_name", pl.String(), "which one; null for 'all' languages", "", True),
        Column("gc", pl.Float64(), "(acc - baseline)/(1 - baseline)", "share", True),
        Column("gc_lo", pl.Float64(), "lower end of its 95 % interval", "share", True),
        Column("gc_hi", pl.Float64(), "upper end of its 95 % interval", "share", True),
    ),
    key=("model", "lang", "relation", "matcher"),
)

MODEL_DIFFERENCE = Table(
    "model_difference",
    "Recall of the reference minus recall of another model, question by question.",
    (
        REFERENCE,
        MODEL,
        LANG,
        RELATION,
        MATCHER,
        N,
        Column("acc_reference", pl.Float64(), "share right of the reference", "share", True),
        Column("acc", pl.Float64(), "share right of the other model", "share", True),
        Column("difference", pl.Float64(), "acc_reference - acc", "share", True),
        LO,
        HI,
        Column("only_reference", pl.Float64(), "share that the reference alone has right", "share"),
        Column("only_model", pl.Float64(), "share that the other model alone has right", "share"),
    ),
    key=("reference", "model", "lang", "relation", "matcher"),
)

MODEL_TOKENS = Table(
    "model_tokens",
    "How the tokenizer of each compared model cuts the candidates.",
    (
        MODEL,
        Column("lang", pl.String(), "language code (BCP 47)"),
        RELATION,
        Column("n", pl.Int64(), "different candidates", "candidates"),
        Column("tokens", pl.Float64(), "mean number of tokens", "tokens"),
        Column("whole", pl.Float64(), "share of candidates that are one token", "share"),
        Column("bytes_per_token", pl.Float64(), "UTF-8 bytes per token, pooled", "bytes"),
    ),
    key=("model", "lang", "relation"),
)
