"""Contracts of the study `patch` (specification of `patch`, section 6).

Made by the plan, without a model: patch_pairs, patch_prompts, patch_items, patch_cells. Raw, one
unit per checkpoint and language pair: patch_scores, patch_answers, patch_selfcheck. All others are
derived. Model, step, tokens and phase of a checkpoint are in CHECKPOINTS (there: stage).
"""

import polars as pl

from polylore.tables.contract import Column, Table
from polylore.tables.derived import AXIS, HI, LO
from polylore.tables.lexicon import FLAGS
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

_WHAT = (CKPT, LANG_A, LANG_B, SETTING, DRAW, K, PAIR_ID, SOURCE, TARGET, INTERVENTION, ONSET)
_WHAT_KEY = (
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
        *_WHAT,
        Column("cell_concept", pl.String(), "src (source concept) or tgt (target concept)"),
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
    key=(*_WHAT_KEY, "cell_concept", "cell_lang"),
    raw=True,
)

ANSWERS = Table(
    "patch_answers",
    "What the model wrote after the prompt, untouched.",
    (
        *_WHAT,
        Column("raw_text", pl.String(), "generated text; null if there is none", "", True),
        Column("n_new_tokens", pl.Int32(), "tokens generated", "tokens"),
        Column("unterminated", pl.Boolean(), "it holds no closing quote and no newline"),
        Column("engine", pl.String(), "suffix or hooks"),
        Column("dtype", pl.String(), "number format of the blocks"),
        PLAN_HASH,
        Column("error", pl.String(), "why there is no answer; null if there is one", "", True),
    ),
    key=_WHAT_KEY,
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

ERRORS = Table(
    "patch_errors",
    "Each answer's class.",
    (
        *_WHAT,
        Column("answer_key", pl.String(), "the answer as it was compared"),
        Column("category", pl.String(), "correct_homograph, correct_first, ..., fragment, other"),
        Column("subtype", pl.String(), "finer class; null if none", "", True),
        Column("loose", pl.Boolean(), "found only without its article"),
        Column("manual", pl.String(), "class given by people; null if none", "", True),
        *FLAGS,
    ),
    key=_WHAT_KEY,
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
    "concept named (src, tgt) and language of the name: b, a or a code; src_b is the headline",
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
