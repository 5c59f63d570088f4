"""Contracts of a plan: what a study will cost."""

import polars as pl

from polylore.tables.contract import Column, Table
from polylore.tables.raw import CKPT, LANG

PLAN = Table(
    "plan",
    "Work that is left, before anything starts: one row per checkpoint, language and kind.",
    (
        CKPT,
        LANG,
        Column(
            "work",
            pl.String(),
            "candidates, content_free, generate, similarity (reading sentences for their "
            "vectors), or check (comparing the scoring engines)",
        ),
        Column("prompts", pl.Int64(), "prompts that are asked or read; 0 for check", "prompts"),
        Column("candidates", pl.Int64(), "candidates that are scored; 0 for check", "candidates"),
        Column("passes", pl.Int64(), "forward passes expected", "passes"),
        Column("tokens", pl.Int64(), "tokens the model is expected to read", "tokens"),
        Column("tokens_most", pl.Int64(), "the same if no answer ends before its cap", "tokens"),
        Column("padding", pl.Int64(), "places computed beside those tokens", "tokens"),
        Column(
            "tokens_plain", pl.Int64(), "tokens if every candidate were read by itself", "tokens"
        ),
        Column("new_tokens", pl.Int64(), "tokens expected to be generated", "tokens"),
        Column("new_tokens_most", pl.Int64(), "most tokens that can be generated", "tokens"),
        Column("flops", pl.Float64(), "operations expected in matrix products", "FLOPs"),
        Column("flops_most", pl.Float64(), "the same if no answer ends before its cap", "FLOPs"),
        Column("seconds", pl.Float64(), "forward passes here; null if not measured", "s", True),
    ),
    key=("ckpt_id", "lang", "work"),
)

PLAN_TOTALS = Table(
    "plan_totals",
    "What a study will cost in all.",
    (
        Column("topic", pl.String(), "asking, reading, arithmetic, memory, disk or time"),
        Column("name", pl.String(), "which quantity"),
        Column("value", pl.Float64(), "how much; null if unknown", "", True),
        Column("unit", pl.String(), "unit of the value"),
        Column("remark", pl.String(), "how it was found and what it assumes"),
    ),
    key=("topic", "name"),
)
