"""Contracts of the tables about representations of facts in two languages (`trace`, section 4.6).

Similarity of strings is another matter: column `sim` of table `cells`.
"""

import polars as pl

from polylore.tables.contract import Column, Table
from polylore.tables.derived import AXIS, REASON, N
from polylore.tables.pathways import WHERE, ends, flag, number
from polylore.tables.raw import CKPT, FACT_ID, LANG

LAYER = Column("layer", pl.Int32(), "0 for the output of the embeddings, k for the k-th block")
AFTER_NORM = Column(
    "after_norm",
    pl.Boolean(),
    "whether the layer is what the output layer reads, a final norm included",
)
POSITION = Column("position", pl.String(), "subject_last, prompt_end, answer_last or weighted_mean")
OTHER = Column("pivot", pl.String(), "language that the vectors are compared with")
STRATUM = Column("stratum", pl.String(), "all, or no_same_object (objects spelled differently)")


def small(name: str, meaning: str) -> Column:
    # Half the size; a cosine is not known better than this.
    return Column(name, pl.Float32(), meaning, "", True)


SIMILARITY = Table(
    "similarity",
    "How alike the vectors of a fact are in a language and in the pivot; no vector is kept.",
    (
        CKPT,
        LAYER,
        AFTER_NORM,
        POSITION,
        LANG,
        OTHER,
        FACT_ID,
        small("cos", "cosine of the two vectors; null if one is zero"),
        small("cos_centred", "the same without each language's mean vector; null if none is left"),
        small("base", "mean cosine with the other facts of its relation; null if there are none"),
        flag("mexa_hit", "its cosine is the largest of its row and column; null if undefined"),
    ),
    key=("ckpt_id", "layer", "position", "lang", "fact_id"),
    raw=True,
)

SIMILARITY_BASE = Table(
    "similarity_base",
    "Mean cosine of different facts: what any two vectors of a layer have in common.",
    (
        CKPT,
        LAYER,
        POSITION,
        LANG,
        OTHER,
        STRATUM,
        Column("relation", pl.String(), "relation that both facts belong to, or 'all'"),
        N,
        number("base", "mean over all pairs of different facts; null if there is none"),
    ),
    key=("ckpt_id", "layer", "position", "lang", "stratum", "relation"),
    raw=True,
)

_GROUPS_OF = Column(
    "groups_of", pl.String(), "own (groups of this checkpoint) or final (those of the last one)"
)

SIMILARITY_SUMMARY = Table(
    "similarity_summary",
    "Similarity of groups of facts to the pivot, layer by layer, beside what any two facts share.",
    (
        *AXIS,
        LAYER,
        AFTER_NORM,
        POSITION,
        WHERE,
        OTHER,
        _GROUPS_OF,
        Column("kind", pl.String(), "all, label or paper_class (columns of `cells`)"),
        Column("group", pl.String(), "label or class; all"),
        STRATUM,
        N,
        number("cos", "mean cosine"),
        *ends("cos"),
        number("cos_clipped", "mean of cosines cut to 0..1: the published form"),
        number("base_all", "mean cosine of different facts"),
        number("base_relation", "mean cosine of different facts of one relation"),
        number("excess", "mean of cosine minus that of different facts of its relation"),
        *ends("excess"),
        number("cos_centred", "mean cosine without the mean vectors"),
        *ends("cos_centred"),
        number("mexa", "share of facts whose cosine is the largest of its row and column", "share"),
        *ends("mexa", "mexa", "share"),
    ),
    key=(
        "ckpt_id",
        "layer",
        "position",
        "lang",
        "groups_of",
        "kind",
        "group",
        "stratum",
    ),
)

SIMILARITY_CONTROLS = Table(
    "similarity_controls",
    "Facts that may have come by transfer against matched ones: how much closer to the pivot.",
    (
        *AXIS,
        LAYER,
        AFTER_NORM,
        POSITION,
        WHERE,
        OTHER,
        _GROUPS_OF,
        Column("case_set", pl.String(), "transfer (labelled transfer-candidate) or paper_fn"),
        Column("control_set", pl.String(), "donor_knows, donor_ignorant or paper_tn"),
        STRATUM,
        Column("n_matched", pl.Int64(), "cases with at least one control", "cells"),
        Column("n_controls", pl.Int64(), "distinct controls", "cells"),
        number("cos_cases", "mean cosine of the cases"),
        number("cos_controls", "mean over the cases of the mean cosine of their controls"),
        number("difference", "cases minus controls; equal for cos and excess"),
        *ends("difference"),
        number("p_value", "two-sided, permuting who is the case within each matched set"),
        REASON,
    ),
    key=(
        "ckpt_id",
        "layer",
        "position",
        "lang",
        "groups_of",
        "case_set",
        "control_set",
        "stratum",
    ),
)
