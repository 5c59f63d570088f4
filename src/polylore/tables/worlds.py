"""Contracts of a controlled world (specification of `unify`, section 3.4)."""

import polars as pl

from polylore.tables.contract import Column, Table
from polylore.tables.raw import FACT_ID, LANG, RELATION, STRINGS

NUMBERS = pl.List(pl.Int64())

WORLD_FACTS = Table(
    "world_facts",
    "One row per cell, that is a fact in a language; the row number is the number of the cell.",
    (
        FACT_ID,
        RELATION,
        LANG,
        Column("subject", pl.String(), "name in this language, its tokens joined by spaces"),
        Column("object", pl.String(), "value in this language, its tokens joined by spaces"),
        Column("aliases", STRINGS, "always empty; answers are graded by value"),
        Column("entity", pl.Int64(), "number of the entity"),
        Column("home_lang", pl.String(), "language that the fact, or its entity, is at home in"),
        Column(
            "owner_block",
            pl.String(),
            "language that owns the block of its value; null where values have no blocks",
            "",
            True,
        ),
        Column("value_index", pl.Int64(), "number of the value within its relation"),
        Column(
            "population",
            pl.String(),
            "parallel (shown in several languages), mono_seen, mono_unseen (X: not shown here, but "
            "in another language) or never_seen",
        ),
        Column("seen", pl.Boolean(), "whether training shows the cell"),
        Column(
            "weight",
            pl.Int64(),
            "presentations per epoch, stages of a curriculum aside; 0 where not shown",
            "presentations",
        ),
        Column("stage_weights", NUMBERS, "presentations per epoch in every stage", "presentations"),
        Column("template_ids", NUMBERS, "wordings of its entity in training"),
        Column("eval_template_ids", NUMBERS, "wordings of its entity in evaluation"),
        Column("prompt", pl.String(), "first of its evaluation prompts"),
        Column("answer", pl.String(), "what follows that prompt"),
    ),
    key=("fact_id", "lang"),
    raw=True,
)

WORLD_FORMS = Table(
    "world_forms",
    "How every relation and every value is written in every language.",
    (
        Column("kind", pl.String(), "relation (one row per wording) or value"),
        RELATION,
        Column("number", pl.Int64(), "number of the wording, or of the value"),
        LANG,
        Column("text", pl.String(), "its tokens joined by spaces"),
    ),
    key=("kind", "relation", "number", "lang"),
    raw=True,
)
