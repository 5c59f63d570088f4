"""Contracts of training arms (specification of `align`, sections 4.3, 4.4 and 6)."""

import polars as pl

from polylore.tables.align import ALIGN_LANG, MODEL_STEP
from polylore.tables.contract import Column, Table

RUN_ID = Column("run_id", pl.String(), "arm and seed: one training")
ARM = Column("arm", pl.String(), "controlled condition; stages of a sequence are joined by >")
SEED = Column("seed", pl.Int64(), "training seed")

MATERIAL = Table(
    "align_material",
    "Texts that arms are trained on.",
    (
        Column(
            "part",
            pl.String(),
            "start (what the start model reads), text (what continued training reads), question "
            "(instructions) or heldout (told to no model)",
        ),
        Column("lang", pl.String(), "language code; mul for texts in several"),
        Column("fact_id", pl.String(), "fact that it tells; null if unknown", "", True),
        Column("prompt", pl.String(), "what is given; empty for plain text"),
        Column("response", pl.String(), "what is learned: loss is on these tokens"),
    ),
    raw=True,
)

DOCUMENTS = Table(
    "align_documents",
    "What an arm reads, in order.",
    (
        Column("row", pl.Int64(), "row of the whole training that it ends in, from 0"),
        Column("lang", pl.String(), "language code; mul for texts in several"),
        Column("block", pl.String(), "part of the material, or block of the invented world"),
        Column("fact_id", pl.String(), "fact that it tells; null if unknown", "", True),
        Column("input_tokens", pl.Int32(), "its tokens", "tokens"),
        Column("loss_tokens", pl.Int32(), "those that are learned", "tokens"),
    ),
    raw=True,
)

ARMS = Table(
    "align_arms",
    "Every training: what it was, and what it cost.",
    (
        RUN_ID,
        ARM,
        SEED,
        Column("kind", pl.String(), "none, cpt, mix, itune or inject"),
        Column("start", pl.String(), "run that it goes on from; `start` is the start model"),
        Column("start_hash", pl.String(), "hash of the weights that it starts from"),
        Column("data_hash", pl.String(), "hash of everything it reads, in order"),
        Column("source", pl.String(), "language of injected facts; null if none", "", True),
        Column("target", pl.String(), "language it is trained for; null if none", "", True),
        Column("method", pl.String(), "full or lora"),
        Column("updates", pl.Int64(), "updates made", "updates"),
        Column("input_tokens", pl.Int64(), "tokens read", "tokens"),
        Column("loss_tokens", pl.Int64(), "tokens learned", "tokens"),
        Column(
            "left_out",
            pl.Int64(),
            "rows not trained on: what is learned lies beyond the end of a row",
            "rows",
            True,
        ),
        Column("trainable", pl.Int64(), "trained parameters", "parameters"),
        Column("stopped", pl.String(), "end, gate (passed), or cap (never passed)"),
        Column("seconds", pl.Float64(), "wall time of training; differs by machine", "s"),
    ),
    key=("run_id",),
    raw=True,
)

BUDGETS = Table(
    "align_budgets",
    "What every training read, by language.",
    (
        RUN_ID,
        ALIGN_LANG,
        Column("documents", pl.Int64(), "documents", "documents"),
        Column("input_tokens", pl.Int64(), "their tokens", "tokens"),
        Column("loss_tokens", pl.Int64(), "tokens learned", "tokens"),
        Column("injected", pl.Int64(), "of the documents, rows about invented facts", "documents"),
    ),
    key=("run_id", "lang"),
    raw=True,
)

EXPOSURE = Table(
    "align_exposure",
    "How often every fact was told to a model: exact, ancestors included.",
    (
        RUN_ID,
        MODEL_STEP,
        Column("fact_id", pl.String(), "fact"),
        ALIGN_LANG,
        Column("count", pl.Int64(), "documents read that tell it", "documents"),
    ),
    key=("run_id", "step", "fact_id", "lang"),
    raw=True,
)

HELD_OUT_LOSS = Table(
    "align_loss",
    "Loss of text that no model was told.",
    (
        RUN_ID,
        ARM,
        SEED,
        MODEL_STEP,
        ALIGN_LANG,
        Column("tokens", pl.Int64(), "tokens predicted", "tokens"),
        Column("loss", pl.Float64(), "mean loss per token; exp of it is the perplexity", "nats"),
    ),
    key=("run_id", "step", "lang"),
    raw=True,
)

SIBLINGS = Table(
    "align_siblings",
    "Which arms may be compared: what differs between their manifests.",
    (
        ARM,
        Column("minus", pl.String(), "arm that it is compared with"),
        Column("factor", pl.String(), "what is declared to differ"),
        Column("siblings", pl.Boolean(), "whether nothing else does, and budgets match"),
        Column("differs", pl.List(pl.String()), "all that differs, declared or not"),
        Column("beyond", pl.List(pl.String()), "what differs and was not declared"),
        Column(
            "budget",
            pl.Float64(),
            "largest relative difference of budgets; null until a gate",
            "share",
            True,
        ),
    ),
    key=("arm", "minus"),
)
