"""Contracts of the derived tables of the study `unify` (specification of `unify`, section 6)."""

import polars as pl

from polylore.tables.contract import Column, Table
from polylore.tables.derived import HI, LO, REASON
from polylore.tables.pathways import flag, number
from polylore.tables.raw import STEP, TOKENS
from polylore.tables.unify import (
    CENTER,
    DISTRACTORS,
    ITEM_KIND,
    ITEMS,
    LAYER,
    POSITION,
    RUN,
    STANDARDIZE,
)

N_CELLS = Column("n", pl.Int64(), "cells behind the number", "cells")

TRANSFER = Table(
    "unify_transfer",
    "Accuracies of a population of cells.",
    (
        RUN,
        STEP,
        Column("population", pl.String(), "parallel, mono_seen, mono_unseen (X) or never_seen"),
        Column("direction", pl.String(), "all, the language asked, or seen->asked"),
        N_CELLS,
        Column("n_known", pl.Int64(), "those right in a seen language", "cells", True),
        number("acc", "share of cells that are right", "share"),
        number("acc_known", "share among known cells; null without any", "share"),
        number("acc_restricted", "share right among the relation's values", "share"),
        number("wrong_language", "right value in another language's token", "share"),
        number("loss", "mean negative log-probability of the gold", "nats"),
        LO,
        HI,
        REASON,
    ),
    key=("run_hash", "step", "population", "direction"),
)

COURSE = Table(
    "unify_course",
    "One row per run and step: transfer, its baselines, and what phases are read from.",
    (
        RUN,
        STEP,
        TOKENS,
        number("acc_train", "share right of all training cells", "share"),
        number("acc_src", "share right of the seen cells of facts with unseen ones", "share"),
        number("acc_x", "share right of held-out cells; null if there are none", "share"),
        number("acc_x_known", "share among those known in a seen language", "share"),
        Column("n_known", pl.Int64(), "those", "cells", True),
        number("acc_x_restricted", "share of X right among the relation's values", "share"),
        number("wrong_language", "share of X with the value in another language", "share"),
        number("gap", "acc_src - acc_x", "share"),
        number("agreement", "facts of X: equal restricted answers in two languages", "share"),
        number("acc_never", "share right of never-seen entities", "share"),
        number("loss_train", "mean loss of training cells", "nats"),
        number("loss_x", "mean loss of held-out cells", "nats"),
        number("pref_mass", "mean mass on the asked language's values, on X", "share"),
        number("pref_error_share", "wrong answers on X within these values", "share"),
        number("used_info", "language's information in answers about never-seen entities", "bits"),
        number("used_info_x", "the same on X", "bits"),
        number("chance", "1 / values", "share"),
        number("loss_uniform", "no-knowledge baseline H(V|r)", "nats"),
        number("loss_language", "language-conditional baseline H(V|r,language)", "nats"),
        Column("label", pl.String(), "unified, separated or partial; null without X", "", True),
        REASON,
    ),
    key=("run_hash", "step"),
)

UNIFICATION = Table(
    "unify_unification",
    "Unification scores of a pair of languages, or their mean over pairs.",
    (
        RUN,
        STEP,
        ITEM_KIND,
        ITEMS,
        Column("pair", pl.String(), "a-b, or all: the mean over pairs"),
        LAYER,
        POSITION,
        CENTER,
        STANDARDIZE,
        DISTRACTORS,
        Column("n", pl.Int64(), "items that are not trivial", "items"),
        number("par", "mean cosine of translations"),
        number("within", "mean cosine of different items in one language"),
        number("cross", "mean cosine of different items in two languages"),
        number("u_diff", "par - within"),
        number("u_norm", "(par - within)/(1 - within)"),
        number("u_pair", "par - cross"),
        number("c", "checkerboard index within - cross"),
        number("auc", "P(a translation is closer than a distractor of its own language)"),
        number("ret1", "share of items whose nearest is their translation", "share"),
        number("cka", "linear CKA, biased"),
        number("cka_debiased", "linear CKA, debiased"),
        number("u_proc", "U_norm after an orthogonal map fitted on other entities"),
        number("u_step0", "u_norm of the same run before training"),
        number("u_fresh", "mean u_norm of fresh initialisations"),
        number("u_excess", "u_norm - u_step0"),
        number("u_null", "mean u_norm of shuffled pairs"),
        flag("trivial", "all prompts token-identical up to the position", nullable=False),
        number("lo", "lower end of the 95 % interval of u_norm"),
        number("hi", "upper end of the 95 % interval of u_norm"),
        number("diff_lo", "lower end of the 95 % interval of u_diff"),
        number("diff_hi", "upper end of the 95 % interval of u_diff"),
        REASON,
    ),
    key=(
        "run_hash", "step", "item_kind", "items", "pair", "layer", "position", "center",
        "standardize", "distractors",
    ),
)  # fmt: skip

ASSOCIATION = Table(
    "unify_association",
    "How much a language says about facts, by design, as realised and as used.",
    (
        RUN,
        Column("step", pl.Int64(), "step of used association; null of the data's", "steps", True),
        Column("quantity", pl.String(), "fact, attribute, unigram, joint, used_info or pref_mass"),
        Column("relation", pl.String(), "relation, or all: the mean"),
        Column("population", pl.String(), "training, never_seen or mono_unseen"),
        Column(
            "estimator",
            pl.String(),
            "design, plug_in, miller_madow, null_mean, null_95, corrected or value",
        ),
        number("value", "the quantity", "bits; pref_mass: share"),
        REASON,
    ),
    key=("run_hash", "step", "quantity", "relation", "population", "estimator"),
)

PHASES = Table(
    "unify_phases",
    "When a run passed the marks of learning and of unification.",
    (
        RUN,
        Column("mark", pl.String(), "t_stat, plateau, t_cond, t_lang, t_probe, t_know, dip, ..."),
        number("at", "when; interpolated. plateau: how long", "steps"),
        number("value", "series value of the dip; share of anti-transfer", ""),
        number("depth", "earlier maximum - minimum, of the dip"),
        number("threshold", "value that was to be crossed"),
        flag("censored", "never reached, or not at two checkpoints running", nullable=False),
        flag("at_start", "met at step 0 already", nullable=False),
        REASON,
    ),
    key=("run_hash", "mark"),
)

LAGS = Table(
    "unify_lags",
    "Order of the marks over the seeds of a condition.",
    (
        Column("condition", pl.String(), "everything but the seed"),
        Column("first", pl.String(), "mark, or start"),
        Column("second", pl.String(), "mark whose lag is given"),
        Column("n_seeds", pl.Int64(), "seeds with both marks", "seeds"),
        Column("n_censored", pl.Int64(), "seeds without one of them", "seeds"),
        number("lag", "mean of second - first", "steps"),
        LO,
        HI,
        number("least", "smallest over seeds", "steps"),
        number("most", "largest over seeds", "steps"),
        REASON,
    ),
    key=("condition", "first", "second"),
)

CAUSAL = Table(
    "unify_causal",
    "What patching and editing say about shared retrieval.",
    (
        RUN,
        STEP,
        Column("check", pl.String(), "patch or edit"),
        Column("set", pl.String(), "x or parallel: facts the check was made on"),
        Column("layer", pl.Int32(), "hidden state put in; null of edits", "", True),
        Column("position", pl.String(), "answer or name; null of edits", "", True),
        Column("n", pl.Int64(), "facts behind the score", "facts"),
        number("hit_cross", "answers v(f) after the state of the other language", "share"),
        number("hit_rand", "the same after the state of an unrelated fact", "share"),
        number("hit_same", "the same after a state of the value in the language", "share"),
        number("hit_src", "answers the value in the source language's token, arm cross", "share"),
        number("cu", "(hit_cross - hit_rand)/(hit_same - hit_rand)"),
        number("et", "share of edits that carry to the other language", "share"),
        number("source_new", "share of edits that took in their own language", "share"),
        number("old_kept", "share of edits whose old value stays in the other language", "share"),
        number("retention", "share of other trained cells still right", "share"),
        LO,
        HI,
        REASON,
    ),
    key=("run_hash", "step", "check", "set", "layer", "position"),
)

CONDITIONS = Table(
    "unify_conditions",
    "One number per condition, with an interval over its seeds and their entities.",
    (
        Column("condition", pl.String(), "everything but the seed"),
        Column("outcome", pl.String(), "acc_x, u_norm, u_diff, ..."),
        Column("n_seeds", pl.Int64(), "runs that have the outcome", "runs"),
        Column(
            "n_unfit",
            pl.Int64(),
            "runs behind the number that did not learn what they were told: no fit ones are there",
            "runs",
        ),
        Column("n_left_out", pl.Int64(), "such runs left out, because fit ones are there", "runs"),
        number("value", "mean over runs"),
        LO,
        HI,
        number("least", "smallest over runs"),
        number("most", "largest over runs"),
        REASON,
    ),
    key=("condition", "outcome"),
)

TUNING = Table(
    "unify_tuning",
    "Learning rates that were tried for a condition before its seeds were trained.",
    (
        Column("condition", pl.String(), "everything but the seed"),
        Column("lr", pl.Float64(), "peak learning rate"),
        Column("seed", pl.Int64(), "seed of the trial, which no run of the sweep has"),
        RUN,
        Column("status", pl.String(), "done, underfit or diverged"),
        number("acc_train", "recall of training cells at the end", "share"),
        number("loss_train", "loss on training cells at the end", "nats"),
        flag("chosen", "whether the seeds are trained with it", nullable=False),
    ),
    key=("condition", "lr"),
)

CORRELATION = Table(
    "unify_correlation",
    "Score against acc_X over runs.",
    (
        Column("score", pl.String(), "score, with its variant"),
        Column("layer", pl.String(), "first, mid, last or a number"),
        Column("position", pl.String(), "subject, answer or a number"),
        Column("reading", pl.String(), "pooled, family (within one) or without (one family)"),
        Column("family", pl.String(), "family the reading is about; all if pooled"),
        Column("n", pl.Int64(), "runs", "runs"),
        Column("n_conditions", pl.Int64(), "conditions", "conditions"),
        Column("n_leaky", pl.Int64(), "leaky runs left out", "runs"),
        number("spearman", "rank correlation with mid-ranks"),
        number("pearson", "linear correlation"),
        number("partial", "rank correlation given `given`"),
        Column("given", pl.String(), "what partial is given; empty if nothing varied"),
        LO,
        HI,
        number("partial_lo", "lower end of the 95 % interval of partial"),
        number("partial_hi", "upper end of the 95 % interval of partial"),
        number("isotonic_mae", "mean absolute error of acc_X on the other half of conditions"),
        Column("selected_on", pl.String(), "none, or chosen_half / other_half of conditions"),
        REASON,
    ),
    key=("score", "layer", "position", "reading", "family", "selected_on"),
)

EFFECTS = Table(
    "unify_effects",
    "What one change does against its baseline arm, paired over seeds.",
    (
        Column("family", pl.String(), "family of the modulation"),
        Column("arm", pl.String(), "condition with the change"),
        Column("baseline", pl.String(), "condition without it"),
        Column("outcome", pl.String(), "acc_x, u_norm, t_unify, ..."),
        Column("n_seeds", pl.Int64(), "seeds that both arms have", "seeds"),
        Column(
            "n_unfit",
            pl.Int64(),
            "seeds behind the number that did not learn what they were told: no fit ones are there",
            "seeds",
        ),
        Column(
            "n_left_out", pl.Int64(), "such seeds left out, because fit ones are there", "seeds"
        ),
        number("value_arm", "mean over these seeds with the change"),
        number("value_baseline", "mean over these seeds without"),
        number("effect", "mean difference"),
        LO,
        HI,
        number("least", "smallest difference over seeds"),
        number("most", "largest difference over seeds"),
        REASON,
    ),
    key=("family", "arm", "baseline", "outcome"),
)

LINK = Table(
    "unify_link",
    "Real models: how well the score predicts accuracy across languages.",
    (
        Column("model", pl.String(), "name of the series"),
        Column("ckpt_id", pl.String(), "checkpoint, or all"),
        Column("step", pl.Int64(), "optimiser updates done; null if unknown", "steps", True),
        TOKENS,
        Column("level", pl.String(), "item, pair or time"),
        Column("control", pl.String(), "none, shuffled_pairs, fresh_init or permuted_accuracy"),
        Column("lang_a", pl.String(), "language the fact is known in, or all"),
        Column("lang_b", pl.String(), "language asked, or all"),
        LAYER,
        Column("position", pl.String(), "subject_last or prompt_end"),
        Column("score", pl.String(), "s_i (par_i - cross_i), neighbours, units, u_raw, lead, ..."),
        Column("n", pl.Int64(), "facts, pairs or intervals behind the row"),
        Column("n_known", pl.Int64(), "facts right in lang_a", "facts", True),
        number("u_raw", "U_norm of the pair"),
        number("u_corrected", "the same minus that of a fresh copy and of shuffled pairs"),
        number("acc", "share right in lang_b", "share"),
        number("acc_known", "share right in lang_b among those right in lang_a", "share"),
        number("spearman", "rank correlation of score and accuracy"),
        number("auc", "P(score of a right one > of a wrong one), among known facts"),
        number("coef", "coefficient of the score in the adjusted fit"),
        number("delta_auc", "AUC of the adjusted fit minus that without the score"),
        number("lo", "lower end of the 95 % interval of the first statistic of the row"),
        number("hi", "upper end of the same"),
        number("coef_lo", "lower end of the 95 % interval of coef"),
        number("coef_hi", "upper end of the same"),
        Column("given", pl.String(), "covariates of the adjusted fit, joined by commas"),
        Column("stratum", pl.String(), "main or identical"),
        Column("selected_on", pl.String(), "none, or chosen_half / other_half of facts"),
        REASON,
    ),
    key=(
        "model", "ckpt_id", "level", "control", "lang_a", "lang_b", "layer", "position", "score",
        "stratum", "selected_on",
    ),
)  # fmt: skip
