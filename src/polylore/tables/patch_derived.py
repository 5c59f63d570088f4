"""Contracts of what is derived from the raw rows of `patch` (specification of `patch`, section 6).

Every row can be made again without a model; plans and raw rows are in `patch`.
"""

import polars as pl

from polylore.tables.contract import Column, Table
from polylore.tables.derived import AXIS, HI, LO
from polylore.tables.lexicon import FLAGS
from polylore.tables.patch import INTERVENTION, ONSET, SETTING, WHAT, WHAT_KEY, K

ERRORS = Table(
    "patch_errors",
    "Each answer's class.",
    (
        *WHAT,
        Column("answer_key", pl.String(), "the answer as it was compared"),
        Column("category", pl.String(), "correct_homograph, correct_first, ..., fragment, other"),
        Column("subtype", pl.String(), "finer class; null if none", "", True),
        Column("loose", pl.Boolean(), "found only without its article"),
        Column("manual", pl.String(), "class given by people; null if none", "", True),
        *FLAGS,
    ),
    key=WHAT_KEY,
)

AGREEMENT = Table(
    "patch_agreement",
    "How far two people agree on the class of answers.",
    (
        Column("n", pl.Int64(), "answers that both coded", "answers"),
        Column("agreement", pl.Float64(), "share coded alike; null if none", "share", True),
        Column("chance", pl.Float64(), "share expected from how often each uses a code", "", True),
        Column("kappa", pl.Float64(), "Cohen's kappa; null if chance is perfect", "", True),
    ),
)

_WHERE = (
    *AXIS,
    Column("stage", pl.Int32(), "phase of training, if the family has phases", "", True),
    Column("lang_a", pl.String(), "language of the left-hand words, or 'all' pairs"),
    Column("lang_b", pl.String(), "language of the right-hand words, or 'all' pairs"),
    SETTING,
    INTERVENTION,
)
AT = Column(
    "at",
    pl.String(),
    "onset, unpatched, mean_first_half, best_crossfit or best_insample (optimistic)",
)
METRIC = Column("metric", pl.String(), "p_full, p_first or exact_match")
SUBSET = Column("subset", pl.String(), "full or clean")
_ESTIMATE = (
    METRIC,
    SUBSET,
    Column("mean", pl.Float64(), "mean over items; null without items", "", True),
    LO,
    HI,
    Column("sim_lo", pl.Float64(), "lower end of the simultaneous band", "", True),
    Column("sim_hi", pl.Float64(), "upper end of the simultaneous band", "", True),
    Column("rowwise_lo", pl.Float64(), "mean - 1.96 sd/sqrt(n): the published form", "", True),
    Column("rowwise_hi", pl.Float64(), "mean + 1.96 sd/sqrt(n)", "", True),
    Column("n_items", pl.Int64(), "items behind the number", "items"),
)
_ESTIMATE_KEY = (
    "ckpt_id",
    "lang_a",
    "lang_b",
    "setting",
    "intervention",
    "at",
    "onset",
    "metric",
    "subset",
)

TRANSITIONS = Table(
    "patch_transitions",
    "How answers change from the unpatched to the patched run.",
    (
        *_WHERE,
        ONSET,
        SUBSET,
        Column("from", pl.String(), "category of the unpatched answer"),
        Column("to", pl.String(), "category of the patched answer"),
        Column(
            "class",
            pl.String(),
            "gain, shift_up, loss, shift_down, synonym_switch, same or other_change",
        ),
        Column("n", pl.Int64(), "items", "items"),
        Column("share", pl.Float64(), "n over all items of the subset", "share"),
        LO,
        HI,
    ),
    key=(
        *(k for k in _ESTIMATE_KEY if k not in ("at", "metric")),
        "from",
        "to",
        "class",
    ),
)

SHARES = Table(
    "patch_shares",
    "How often answers are of each class.",
    (
        *_WHERE,
        ONSET,
        SUBSET,
        Column("category", pl.String(), "class of the answer, as people have it if they coded it"),
        Column("n", pl.Int64(), "answers of this class", "items"),
        Column("share", pl.Float64(), "n over all items of the subset", "share"),
        LO,
        HI,
    ),
    key=(*(k for k in _ESTIMATE_KEY if k not in ("at", "metric")), "category"),
)

CHANGES = Table(
    "patch_changes",
    "Accuracy before and after patching, what it is made of, and whether it is chance.",
    (
        *_WHERE,
        ONSET,
        SUBSET,
        Column("n_items", pl.Int64(), "items with both answers", "items"),
        Column("acc_unpatched", pl.Float64(), "share right unpatched", "share", True),
        Column("acc_patched", pl.Float64(), "share right patched", "share", True),
        Column("gain", pl.Int64(), "wrong to right on clean items", "items"),
        Column("shift_up", pl.Int64(), "wrong to right on other items", "items"),
        Column("loss", pl.Int64(), "right to wrong on clean items", "items"),
        Column("shift_down", pl.Int64(), "right to wrong on other items", "items"),
        Column("n01", pl.Int64(), "wrong, then right", "items"),
        Column("n10", pl.Int64(), "right, then wrong", "items"),
        Column("p", pl.Float64(), "exact McNemar test of n01 = n10"),
        Column("p_bh", pl.Float64(), "p after Benjamini-Hochberg over language pairs", "", True),
    ),
    key=tuple(k for k in _ESTIMATE_KEY if k not in ("at", "metric")),
)

CELL = Column(
    "cell",
    pl.String(),
    "concept named (src, tgt, either) and language of its name: b, a or a code; headline: src_b",
)

CURVES = Table(
    "patch_curves",
    "Mean of a score in a setting, by onset and in summary.",
    (*_WHERE, AT, ONSET, CELL, *_ESTIMATE),
    key=(*_ESTIMATE_KEY, "cell"),
)

CONTRAST = Column("contrast", pl.String(), "setting minus setting, such as seen-random_concept")

CONTRASTS = Table(
    "patch_contrasts",
    "Paired difference of a score between two settings.",
    (*(CONTRAST if c is SETTING else c for c in _WHERE), AT, ONSET, *_ESTIMATE),
    key=tuple("contrast" if k == "setting" else k for k in _ESTIMATE_KEY),
)

SAMEK = Table(
    "patch_samek",
    "Mean of a score when fewer source language pairs are averaged.",
    (
        *_WHERE,
        AT,
        ONSET,
        METRIC,
        SUBSET,
        K,
        Column("draw", pl.Int32(), "draw of the language pairs; null: all draws", "", True),
        Column("mean", pl.Float64(), "mean over items; null without items", "", True),
        LO,
        HI,
        Column("n_items", pl.Int64(), "items behind the number", "items"),
    ),
    key=(*_ESTIMATE_KEY, "k", "draw"),
)

EMERGENCE = Table(
    "patch_emergence",
    "When a contrast emerged in training, with censoring.",
    (
        Column("lang_a", pl.String(), "language of the left-hand words, or 'all' pairs"),
        Column("lang_b", pl.String(), "language of the right-hand words, or 'all' pairs"),
        CONTRAST,
        INTERVENTION,
        AT,
        ONSET,
        METRIC,
        SUBSET,
        Column("kind", pl.String(), "E1 (above the floor) or E2 (fraction of the final value)"),
        Column("phi", pl.Float64(), "that fraction; null for E1", "share", True),
        Column("lo_tokens", pl.Float64(), "it emerged after so many", "tokens", True),
        Column("hi_tokens", pl.Float64(), "and not after so many; null: never", "tokens", True),
        Column("lo_step", pl.Int64(), "step of the same; null if unknown", "steps", True),
        Column("hi_step", pl.Int64(), "step of the same; null: never or unknown", "steps", True),
        Column("point", pl.Float64(), "interpolated; null if censored", "tokens", True),
        Column("censor", pl.String(), "interval, left, right or undefined"),
        Column("p_left", pl.Float64(), "share of bootstrap draws censored left", "share", True),
        Column("p_right", pl.Float64(), "share of bootstrap draws censored right", "share", True),
        Column("boot_lo", pl.Float64(), "lower end of the bootstrap interval", "tokens", True),
        Column("boot_hi", pl.Float64(), "upper end of the bootstrap interval", "tokens", True),
    ),
    key=(
        "lang_a",
        "lang_b",
        "contrast",
        "intervention",
        "at",
        "onset",
        "metric",
        "subset",
        "kind",
        "phi",
    ),
)
