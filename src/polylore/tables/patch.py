"""Contracts of the study `patch` (specification of `patch`, section 6).

Made by the plan, without a model: patch_pairs, patch_prompts, patch_items, patch_cells. Raw, one
unit per checkpoint and language pair: patch_scores, patch_answers, patch_selfcheck. All others are
in `patch_derived`. Model, step, tokens and phase of a checkpoint are in CHECKPOINTS (there: stage).
"""

import polars as pl

from polylore.tables.contract import Column, Table
from polylore.tables.raw import CKPT, STRINGS

LANG_A = Column("lang_a", pl.String(), "language of the left-hand words")
LANG_B = Column("lang_b", pl.String(), "language of the right-hand words: the one asked for")
PAIR_ID = Column("pair_id", pl.String(), "identity of the (source, target) pair of concepts")
SOURCE = Column("fact_id", pl.String(), "source concept s: the one that is put in")
TARGET = Column("fact_id_target", pl.String(), "target concept t: the one of the patched prompt")
SETTING = Column("setting", pl.String(), "experimental setting or control")
DRAW = Column("draw", pl.Int32(), "draw of the source language pairs; 0 where nothing is drawn")
K = Column("k", pl.Int32(), "source prompts averaged; 0 if nothing is patched", "prompts")
INTERVENTION = Column(
    "intervention",
    pl.String(),
    "site:reach: object, span or last_token; onset (from there to the last block), single, "
    "window<k>; none if nothing is patched",
)
ONSET = Column(
    "onset",
    pl.Int32(),
    "first patched block; -1 also patches the input of block 0; null if nothing is patched",
    "blocks",
    True,
)

PAIRS = Table(
    "patch_pairs",
    "Pairs of concepts, with the demonstrations of both sides.",
    (
        PAIR_ID,
        SOURCE,
        TARGET,
        Column("source_shots", STRINGS, "concepts shown before the source word, in order"),
        Column("target_shots", STRINGS, "concepts shown before the target word, in order"),
        Column("random_pair_id", pl.String(), "pair whose source is the random concept", "", True),
    ),
    key=("pair_id",),
    raw=True,
)

PROMPTS = Table(
    "patch_prompts",
    "Every text put before a model. The source prompt is the beginning of one, up to token o.",
    (
        Column("prompt_id", pl.String(), "identity of the prompt"),
        PAIR_ID,
        Column(
            "role",
            pl.String(),
            "source (s after source shots), target (t after target shots), replace (s after target "
            "shots), shuffled (s after shots that pair unrelated words)",
        ),
        LANG_A,
        LANG_B,
        Column("fact_id", pl.String(), "concept of the query line"),
        Column("shots", STRINGS, "concepts shown, in order"),
        Column("shots_b", STRINGS, "concepts of their right-hand words; null: same", "", True),
        Column("text", pl.String(), "the prompt up to its opening quote"),
        Column("token_ids", pl.List(pl.Int32()), "its ids, begin-of-text included if added"),
        Column("object_start", pl.Int32(), "index of the object's first token", "tokens"),
        Column("o", pl.Int32(), "index of the object's last token", "tokens"),
        Column("suffix_len", pl.Int32(), "tokens after o", "tokens"),
        Column("n_object_tokens", pl.Int32(), "tokens of the object", "tokens"),
        Column("boundary", pl.String(), "clean, repaired or split"),
        Column("incompatible", pl.Boolean(), "s and t share a first token: not for p_first"),
    ),
    key=("prompt_id",),
    raw=True,
)

ITEMS = Table(
    "patch_items",
    "What is run: which prompt, and which prompts give the vectors that are put into it.",
    (
        LANG_A,
        LANG_B,
        SETTING,
        DRAW,
        PAIR_ID,
        SOURCE,
        TARGET,
        Column("prompt_id", pl.String(), "prompt that is run"),
        Column("source_ids", STRINGS, "prompts whose states make the vector; empty if none"),
        K,
        Column(
            "vector",
            pl.String(),
            "none, mean, norm_matched (mean at its members' average norm), gauss (noise of the "
            "mean's norm) or grand_mean (average of the means of all items of this setting)",
        ),
        Column(
            "weights", pl.List(pl.Float64()), "weights of the source prompts; null: equal", "", True
        ),
        Column("onsets", pl.String(), "none, all (-1 to the last block) or first (-1 alone)"),
        INTERVENTION,
        Column(
            "separable", pl.Boolean(), "forms of s and t in a, b and the pivot have none in common"
        ),
        Column("first_separable", pl.Boolean(), "the same of their first tokens"),
    ),
    key=("lang_a", "lang_b", "setting", "draw", "pair_id"),
    raw=True,
)

CELLS = Table(
    "patch_cells",
    "Answers that count as naming a concept in a language, for a query in lang_a.",
    (
        LANG_A,
        Column("fact_id", pl.String(), "concept"),
        Column("cell_lang", pl.String(), "language of the answer"),
        Column("forms", STRINGS, "accepted forms, the first form first"),
        Column("first_ids", pl.List(pl.Int32()), "first-token set of these forms, ascending"),
        Column("n_forms", pl.Int32(), "accepted forms", "forms"),
    ),
    key=("lang_a", "fact_id", "cell_lang"),
    raw=True,
)

WHAT = (CKPT, LANG_A, LANG_B, SETTING, DRAW, K, PAIR_ID, SOURCE, TARGET, INTERVENTION, ONSET)
WHAT_KEY = (
    "ckpt_id",
    "lang_a",
    "lang_b",
    "setting",
    "draw",
    "pair_id",
    "intervention",
    "onset",
)
PLAN_HASH = Column("plan_hash", pl.String(), "hash of the plan that was run")

SCORES = Table(
    "patch_scores",
    "Probability of naming a concept in a language, unpatched and at every onset.",
    (
        *WHAT,
        Column(
            "cell_concept",
            pl.String(),
            "src (source concept), tgt (target concept), either (last-token patches, pivot)",
        ),
        Column("cell_lang", pl.String(), "language of the name"),
        Column("p_first", pl.Float64(), "first-token probability; null if not asked", "", True),
        Column(
            "logp_full", pl.Float64(), "log-probability of all forms; null if not asked", "", True
        ),
        Column("n_forms", pl.Int32(), "accepted forms behind it", "forms"),
        Column("boundary_merge", pl.Boolean(), "a form merged with the opening quote"),
        Column("engine", pl.String(), "suffix or hooks"),
        Column("dtype", pl.String(), "number format of the blocks"),
        PLAN_HASH,
    ),
    key=(*WHAT_KEY, "cell_concept", "cell_lang"),
    raw=True,
)

ANSWERS = Table(
    "patch_answers",
    "What the model wrote after the prompt, untouched.",
    (
        *WHAT,
        Column("raw_text", pl.String(), "generated text; null if there is none", "", True),
        Column("n_new_tokens", pl.Int32(), "tokens generated", "tokens"),
        Column("unterminated", pl.Boolean(), "it holds no closing quote and no newline"),
        Column("engine", pl.String(), "suffix or hooks"),
        Column("dtype", pl.String(), "number format of the blocks"),
        PLAN_HASH,
        Column("error", pl.String(), "why there is no answer; null if there is one", "", True),
    ),
    key=WHAT_KEY,
    raw=True,
)

SELFCHECK = Table(
    "patch_selfcheck",
    "What a checkpoint was held against before its numbers counted.",
    (
        CKPT,
        Column("lang_a", pl.String(), "language pair of the batch; null if none", "", True),
        Column("lang_b", pl.String(), "language pair of the batch; null if none", "", True),
        Column("check", pl.String(), "what was checked"),
        Column("value", pl.Float64(), "what was found; null if not a number", "", True),
        Column("tolerance", pl.Float64(), "what is allowed", "", True),
        Column("passed", pl.Boolean(), "whether it holds"),
        Column("note", pl.String(), "remark, such as why another engine took over", "", True),
    ),
    key=("ckpt_id", "lang_a", "lang_b", "check"),
    raw=True,
)
