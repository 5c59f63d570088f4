"""Contracts of the derived tables: everything that metrics compute from raw tables."""

import polars as pl

from polylore.tables.contract import Column, Table
from polylore.tables.raw import CKPT, FACT_ID, LANG, RELATION, STEP, TOKENS, VARIANT

LO = Column("lo", pl.Float64(), "lower end of the 95 % interval", "", True)
HI = Column("hi", pl.Float64(), "upper end of the 95 % interval", "", True)
N = Column("n", pl.Int64(), "facts behind the number", "facts")
MATCHER = Column("matcher", pl.String(), "default, paper, or candidates (gold ranked first)")
REASON = Column("reason", pl.String(), "why a statistic is null; null if it is not", "", True)
# A checkpoint's place in training, repeated in derived tables so that each can be read alone.
AXIS = (
    CKPT,
    Column(
        "step",
        pl.Int64(),
        "optimiser updates done in all stages; null for a final model",
        "steps",
        True,
    ),
    TOKENS,
)
STRATUM = Column(
    "stratum",
    pl.String(),
    "all, taught, held_out, same_object, same_pair, neither, wording:<variant>, ...",
)

GAPS = Table(
    "gaps",
    "Checkpoints that the series should have and lacks: one row per unbroken stretch.",
    (
        Column("model", pl.String(), "name of the series"),
        Column("stage", pl.Int32(), "training stage, if the family has stages", "", True),
        Column("ingredient", pl.Int32(), "branch of a stage, if any", "", True),
        Column("from_step", pl.Int64(), "last step there is before the gap", "steps", True),
        Column("to_step", pl.Int64(), "first step there is after the gap", "steps", True),
        Column("n_missing", pl.Int64(), "expected checkpoints in the gap", "checkpoints"),
        Column("missing_steps", pl.List(pl.Int64()), "the expected steps", "steps"),
        Column("longest_gap_tokens", pl.Int64(), "tokens between its two ends", "tokens", True),
        Column("affected_requests", pl.List(pl.Int64()), "scheduled steps in the gap", "steps"),
    ),
)

GRADES = Table(
    "grades",
    "One row per answer and matcher.",
    (
        CKPT,
        FACT_ID,
        RELATION,
        LANG,
        VARIANT,
        MATCHER,
        Column("y", pl.Boolean(), "right; null if there is no answer", "", True),
        Column("answer_id", pl.String(), "candidate or object the answer named, if any", "", True),
        Column("gold_rank", pl.Float64(), "rank of the gold, ties count half", "", True),
        Column("truncated", pl.Boolean(), "stopped at the cap on a strict prefix of the gold"),
    ),
    key=("ckpt_id", "fact_id", "lang", "variant", "matcher"),
)

RECALL = Table(
    "recall",
    "Share of facts answered right.",
    (
        *AXIS,
        LANG,
        Column("relation", pl.String(), "relation, or 'all'"),
        STRATUM,
        MATCHER,
        N,
        Column("acc", pl.Float64(), "share right", "share", True),
        LO,
        HI,
        Column("baseline", pl.Float64(), "best knowledge-free baseline of this row", "share", True),
        Column("baseline_name", pl.String(), "which baseline that is", "", True),
        Column(
            "acc_guess_corrected", pl.Float64(), "(acc - baseline)/(1 - baseline)", "share", True
        ),
        Column("gc_lo", pl.Float64(), "lower end of its 95 % interval", "share", True),
        Column("gc_hi", pl.Float64(), "upper end of its 95 % interval", "share", True),
    ),
    key=("ckpt_id", "lang", "relation", "stratum", "matcher"),
)

BASELINES = Table(
    "baselines",
    "What is reached without knowing anything.",
    (
        LANG,
        Column("relation", pl.String(), "relation, or 'all'"),
        STRATUM,
        Column(
            "baseline",
            pl.String(),
            "chance, majority, copy_demo, one_char (paper matcher only), ...",
        ),
        N,
        Column("acc", pl.Float64(), "expected share right", "share", True),
        Column(
            "ckpt_id", pl.String(), "checkpoint it was measured at; null if it has none", "", True
        ),
        Column("matcher", pl.String(), "matcher that graded it; null if any", "", True),
    ),
    key=("ckpt_id", "lang", "relation", "stratum", "matcher", "baseline"),
)

CONSISTENCY = Table(
    "consistency",
    "Agreement of two languages about the same facts.",
    (
        *AXIS,
        Column("lang_a", pl.String(), "first language; the pivot where there is one"),
        Column("lang_b", pl.String(), "second language"),
        Column("relation", pl.String(), "relation, or 'all'"),
        MATCHER,
        N,
        Column("jaccard", pl.Float64(), "|A and B right| / |A or B right|; 0 if nobody is right"),
        Column("lo", pl.Float64(), "lower end of the 95 % interval of jaccard", "", True),
        Column("hi", pl.Float64(), "upper end of the 95 % interval of jaccard", "", True),
        Column("j0", pl.Float64(), "Jaccard if the two were independent", "", True),
        Column("jmax", pl.Float64(), "largest Jaccard the two accuracies allow", "", True),
        Column("j_norm", pl.Float64(), "(jaccard - j0)/(jmax - j0); null if jmax = j0", "", True),
        Column("j_norm_lo", pl.Float64(), "lower end of its 95 % interval", "", True),
        Column("j_norm_hi", pl.Float64(), "upper end of its 95 % interval", "", True),
        Column("p_b_given_a", pl.Float64(), "share of A's right facts that B has right", "", True),
        Column("p_a_given_b", pl.Float64(), "share of B's right facts that A has right", "", True),
        Column("agree_all", pl.Float64(), "share of facts with the same answer entity", "", True),
        Column("rankc", pl.Float64(), "RankC over the common candidates", "", True),
        Column("rankc_chance", pl.Float64(), "RankC of two random rankings", "", True),
        Column("rankc_norm", pl.Float64(), "(rankc - chance)/(1 - chance)", "", True),
        Column("coverlap", pl.Float64(), "both right over either right, pooled", "", True),
    ),
    key=("ckpt_id", "lang_a", "lang_b", "relation", "matcher"),
)

CONSISTENCY_SUMMARY = Table(
    "consistency_summary",
    "One number per checkpoint: mean Jaccard in the three published and corrected forms.",
    (
        *AXIS,
        MATCHER,
        Column("form", pl.String(), "paper (pivot included), without_pivot or all_pairs"),
        Column("value", pl.Float64(), "mean over languages or pairs", "", True),
        LO,
        HI,
    ),
    key=("ckpt_id", "matcher", "form"),
)

ACQUISITION = Table(
    "acquisition",
    "When each fact came and went, in each language.",
    (
        FACT_ID,
        RELATION,
        LANG,
        VARIANT,
        MATCHER,
        Column("event", pl.String(), "first, sustained, final_run or forget"),
        Column("censoring", pl.String(), "interval, left (already true) or right (never seen)"),
        Column("step_lo", pl.Int64(), "last observed step before the event", "steps", True),
        Column(
            "step_hi",
            pl.Int64(),
            "observed step of the event; null if right-censored",
            "steps",
            True,
        ),
        Column("tokens_lo", pl.Int64(), "tokens at step_lo", "tokens", True),
        Column("tokens_hi", pl.Int64(), "tokens at step_hi", "tokens", True),
        Column("flips", pl.Int32(), "changes between right and wrong", "changes"),
    ),
    key=("fact_id", "lang", "variant", "matcher", "event"),
)

LAG = Table(
    "lag",
    "How much later than the pivot a language acquired each fact that both acquired.",
    (
        FACT_ID,
        RELATION,
        LANG,
        VARIANT,
        MATCHER,
        Column(
            "lag_tokens", pl.Float64(), "tokens at acquisition minus the pivot's", "tokens", True
        ),
        Column("lag_log10", pl.Float64(), "difference of log10 tokens", "log10 tokens", True),
        Column("lag_steps", pl.Float64(), "the same in steps", "steps", True),
        Column("lo_steps", pl.Float64(), "lower bound from interval censoring", "steps", True),
        Column("hi_steps", pl.Float64(), "upper bound from interval censoring", "steps", True),
        Column("order", pl.String(), "pivot_first, tie (overlapping intervals) or language_first"),
    ),
    key=("fact_id", "lang", "variant", "matcher"),
)

SURVIVAL = Table(
    "survival",
    "Kaplan-Meier share of facts not yet acquired (event `sustained`), all facts included.",
    (
        LANG,
        MATCHER,
        STEP,
        TOKENS,
        Column("at_risk", pl.Int64(), "facts not yet acquired before the step", "facts"),
        Column("events", pl.Int64(), "facts acquired at the step", "facts"),
        Column("share_acquired", pl.Float64(), "1 - Kaplan-Meier survival", "share"),
        LO,
        HI,
    ),
    key=("lang", "matcher", "step"),
)

EXPOSURE_CURVE = Table(
    "freq_curve",
    "Share right by exposure up to the checkpoint; facts never read have a bin of their own.",
    (
        *AXIS,
        LANG,
        MATCHER,
        Column("bin", pl.Int32(), "number of the bin; -1 holds exposure zero"),
        Column("lo_edge", pl.Float64(), "smallest exposure of the bin", "documents"),
        Column("hi_edge", pl.Float64(), "end of the bin, exclusive", "documents"),
        N,
        Column("right", pl.Int64(), "facts answered right", "facts"),
        Column("p", pl.Float64(), "right / n; null for an empty bin", "share", True),
        LO,
        HI,
    ),
    key=("ckpt_id", "lang", "matcher", "bin"),
)

FREQ_CORR = Table(
    "freq_corr",
    "How well exposure ranks right over wrong facts.",
    (
        *AXIS,
        LANG,
        MATCHER,
        Column("subset", pl.String(), "all or positive (exposure above zero)"),
        N,
        Column(
            "pearson", pl.Float64(), "Pearson r of log10(1+exposure) with right/wrong", "", True
        ),
        Column("spearman", pl.Float64(), "Spearman rank correlation", "", True),
        Column(
            "auc", pl.Float64(), "P(exposure of a right fact > of a wrong one), ties half", "", True
        ),
        Column("auc_lo", pl.Float64(), "lower end of the 95 % interval of auc", "", True),
        Column("auc_hi", pl.Float64(), "upper end of the 95 % interval of auc", "", True),
        Column("binned_r", pl.Float64(), "published binned r; always inflated", "", True),
        REASON,
    ),
    key=("ckpt_id", "lang", "matcher", "subset"),
)

THRESHOLD = Table(
    "threshold",
    "Frequency-threshold classifier: predict right iff exposure >= t.",
    (
        *AXIS,
        LANG,
        MATCHER,
        Column("rule", pl.String(), "paper (in-sample), cv (folds by fact), youden, fixed:<n>"),
        N,
        Column("t", pl.Float64(), "threshold; infinity means always wrong", "documents", True),
        Column("acc", pl.Float64(), "in-sample accuracy", "share", True),
        Column("cv_acc", pl.Float64(), "cross-validated accuracy", "share", True),
        Column("majority", pl.Float64(), "accuracy of the commoner class", "share", True),
        Column("tp", pl.Int64(), "right and predicted right", "facts", True),
        Column("fp", pl.Int64(), "wrong and predicted right", "facts", True),
        Column("tn", pl.Int64(), "wrong and predicted wrong", "facts", True),
        Column("fn", pl.Int64(), "right and predicted wrong", "facts", True),
        Column("auc", pl.Float64(), "area under the ROC curve", "", True),
        Column("balanced_accuracy", pl.Float64(), "mean of the two class recalls", "share", True),
        Column(
            "fold_thresholds", pl.List(pl.Float64()), "threshold of each fold", "documents", True
        ),
        Column("log_loss", pl.Float64(), "cross-validated log loss (rule cv)", "nats", True),
        Column("lo", pl.Float64(), "lower end of the 95 % interval of cv_acc or acc", "", True),
        Column("hi", pl.Float64(), "upper end of the 95 % interval of cv_acc or acc", "", True),
        REASON,
    ),
    key=("ckpt_id", "lang", "matcher", "rule"),
)
