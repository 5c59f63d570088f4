"""Contracts of the tables about how a recalled fact got there (`trace`, sections 2.4 to 5.4)."""

import polars as pl

from polylore.tables.contract import Column, Table
from polylore.tables.derived import AXIS, MATCHER, REASON, N
from polylore.tables.raw import FACT_ID, LANG, RELATION

GROUP = Column("relation", pl.String(), "relation, or 'all'")
WHERE = Column("lang", pl.String(), "language, or 'all' but the pivot")


def ends(name: str, of: str = "", unit: str = "") -> tuple[Column, Column]:
    """Columns of a 95 % interval."""
    what = of or name
    return (
        Column(f"{name}_lo", pl.Float64(), f"lower end of the 95 % interval of {what}", unit, True),
        Column(f"{name}_hi", pl.Float64(), f"upper end of the 95 % interval of {what}", unit, True),
    )


def flag(name: str, meaning: str, *, nullable: bool = True) -> Column:
    return Column(name, pl.Boolean(), meaning, "", nullable)


def number(name: str, meaning: str, unit: str = "") -> Column:
    return Column(name, pl.Float64(), meaning, unit, True)


CELLS = Table(
    "cells",
    "Evidence and label of every (checkpoint, fact, language): how its answer may have got there.",
    (
        *AXIS,
        FACT_ID,
        RELATION,
        LANG,
        MATCHER,
        flag("y", "right in at least half of the wordings; null without an answer"),
        flag("y_paper", "the same by the published matcher; null if not graded by it"),
        number("variants_right", "share of the wordings answered right", "share"),
        number("gold_rank", "rank of the gold among its candidates, mean over wordings"),
        number("pmi", "log P(gold) with the subject minus without it", "nats"),
        number("E_l", "exposure in the language up to the checkpoint", "units"),
        number("E_p", "exposure in the pivot", "units"),
        number("E_donor_max", "largest exposure among the donors", "units"),
        number("n_subj_l", "units with the subject, in the language", "units"),
        number("n_obj_l", "units with the object, in the language", "units"),
        Column("exposure_kind", pl.String(), "exact, scaled, total or none"),
        flag("lang_conditioned", "counted only in documents of the language"),
        number("p_f", "probability of being right without a donor (no-donor curve)", "share"),
        number("p_0", "the same at exposure zero: the floor of guessing", "share"),
        number("g", "guess strength: the largest of its parts", "share"),
        number("g_prior", "P(gold) among the candidates without a subject", "share"),
        number("g_bias", "share of facts with another gold answered with this object", "share"),
        number("g_demo", "chance that copying a demonstration gives the gold", "share"),
        Column("guess_source", pl.String(), "answers, or data (how common the object is)"),
        flag("same_object", "object string equal to the pivot's; null in the pivot"),
        flag("same_pair", "subject and object equal to the pivot's; null in the pivot"),
        flag("answer_in_subject", "object contained in the subject"),
        flag("shared", "a shared string, or the question, may give the answer away"),
        number("sim", "1 - edit distance / length of the two objects; null in the pivot"),
        flag("script_same", "written in the pivot's script; null if unknown or the pivot"),
        flag("donor_known", "a donor is right at this checkpoint"),
        Column(
            "donor_first_step", pl.Int64(), "step at which a donor was first right", "steps", True
        ),
        flag("k", "a donor is right here or was sustained by here; null if unknown"),
        number("t_l", "transfer rate of the language, before clipping", "share"),
        flag("supported", "interval of t_l lies above 0; null without an interval"),
        number("e_freq", "share of frequency in a right cell", "share"),
        number("e_transfer", "share of transfer in a right cell", "share"),
        number("e_floor", "share of the floor in a right cell; the three sum to 1", "share"),
        number("e_guess", "max(g, e_floor) of a right cell", "share"),
        number("e_copy", "similarity to the pivot's object, 1 if the question holds the answer"),
        Column(
            "label",
            pl.String(),
            "known-by-frequency, copied-string, transfer-candidate, guess, unknown or null",
        ),
        Column("why", pl.String(), "rule behind the label"),
        Column(
            "paper_class",
            pl.String(),
            "published class by the in-sample threshold: TP, FN (right, rarely read), FP, TN",
            "",
            True,
        ),
    ),
    key=("ckpt_id", "fact_id", "lang", "matcher"),
)

NO_DONOR_CURVE = Table(
    "no_donor_curve",
    "p = sigmoid(intercept + slope log10(1 + E)), fitted to cells that no donor can have helped.",
    (
        *AXIS,
        MATCHER,
        Column("form", pl.String(), "main, or with_donor (donor's exposure as a covariate)"),
        GROUP,
        N,
        Column("right", pl.Int64(), "right cells among them", "cells"),
        number("intercept", "intercept; relation effect included in a relation's row"),
        *ends("intercept"),
        number("slope", "slope of log10(1 + E)"),
        *ends("slope"),
        number("donor_slope", "slope of the donor's log10(1 + E), form with_donor"),
        number("half_exposure", "E at which p = 1/2; null without a positive slope", "units"),
        Column("slope_flag", pl.Boolean(), "slope not positive: exposure left out"),
        REASON,
    ),
    key=("ckpt_id", "matcher", "form", "relation"),
)

TRANSFER_RATE = Table(
    "transfer_rate",
    "Noisy-or rate at which a donor's knowledge makes a fact known that exposure does not explain.",
    (
        *AXIS,
        MATCHER,
        WHERE,
        GROUP,
        Column("n", pl.Int64(), "facts that a donor knows and that share no string", "cells"),
        Column("right", pl.Int64(), "right answers among them", "cells"),
        number("expected", "right answers that the no-donor curve expects", "cells"),
        number("t", "sum(y - p)/sum(1 - p); negative where less than expected is right", "share"),
        *ends("t"),
        flag("supported", "interval of t above 0; null without an interval"),
        number("t_second", "the same with the curve that has the donor's exposure too", "share"),
        *ends("t_second"),
        flag("claimed", "both intervals above 0; null if either is missing"),
        REASON,
        Column("reason_second", pl.String(), "why t_second is null", "", True),
    ),
    key=("ckpt_id", "matcher", "lang", "relation"),
)

COMPOSITION = Table(
    "composition",
    "What right answers are made of, in expected numbers of cells, beside the count of each label.",
    (
        *AXIS,
        MATCHER,
        WHERE,
        GROUP,
        Column("stratum", pl.String(), "all, or apart (no string shared with pivot or question)"),
        Column("n", pl.Int64(), "cells with an answer", "cells"),
        Column("right", pl.Int64(), "right cells", "cells"),
        Column("attributed", pl.Int64(), "right cells with an estimate", "cells"),
        number("e_freq", "sum of e_freq", "cells"),
        number("e_transfer", "sum of e_transfer", "cells"),
        *ends("e_transfer", "the sum of e_transfer", "cells"),
        number("e_floor", "sum of e_floor", "cells"),
        *(
            Column(name, pl.Int64(), f"cells labelled {label}", "cells")
            for name, label in (
                ("n_frequency", "known-by-frequency"),
                ("n_copied", "copied-string"),
                ("n_transfer", "transfer-candidate"),
                ("n_guess", "guess"),
                ("n_unexplained", "unknown although right"),
                ("n_wrong", "unknown because wrong"),
                ("n_missing", "null"),
            )
        ),
        Column("n_paper_fn", pl.Int64(), "published FN: right below the threshold", "cells"),
    ),
    key=("ckpt_id", "matcher", "lang", "relation", "stratum"),
)

TRANSFER_CONTROLS = Table(
    "transfer_controls",
    "The transfer rate where there is none to find, or a known one.",
    (
        *AXIS,
        MATCHER,
        Column(
            "control",
            pl.String(),
            "null_labels, planted_labels, permuted_donor or reverse",
        ),
        Column(
            "lang",
            pl.String(),
            "language that receives (reverse: that gives), or 'all' but the pivot",
        ),
        N,
        number("t", "transfer rate", "share"),
        *ends("t"),
        number("truth", "rate that was planted, if any", "share"),
        REASON,
    ),
    key=("ckpt_id", "matcher", "control", "lang"),
)

LADDER = Table(
    "ladder",
    "How well right and wrong are predicted for unseen facts, predictor by predictor.",
    (
        *AXIS,
        MATCHER,
        WHERE,
        Column("model", pl.String(), "M0 to M5"),
        Column("adds", pl.String(), "predictors that this model has and the previous has not"),
        N,
        Column("right", pl.Int64(), "right cells among them", "cells"),
        number("auc", "area under the ROC curve, cross-validated"),
        *ends("auc"),
        number("delta_auc", "auc minus that of the previous model"),
        *ends("delta_auc"),
        number("logloss", "mean log loss", "nats"),
        number("brier", "mean squared error"),
        number("accuracy", "share predicted right at 1/2", "share"),
        number("majority", "accuracy of the commoner class of the other folds", "share"),
        number("balanced_accuracy", "mean of the two class recalls", "share"),
        REASON,
    ),
    key=("ckpt_id", "matcher", "lang", "model"),
)

CONTROLS = Table(
    "controls",
    "Wrong cells matched to cells that may have come by transfer, nearest exposure first.",
    (
        *AXIS,
        MATCHER,
        RELATION,
        LANG,
        Column("case_set", pl.String(), "transfer (labelled transfer-candidate) or paper_fn"),
        Column("control_set", pl.String(), "donor_knows, donor_ignorant or paper_tn"),
        FACT_ID,
        Column(
            "control_fact_id", pl.String(), "matched fact; null if none was near enough", "", True
        ),
        Column("place", pl.Int32(), "1 for the nearest control", "", True),
        number("distance", "difference of log10(1 + E)"),
    ),
)

BALANCE = Table(
    "balance",
    "Matched cells against their controls: alike where they should be, and where not.",
    (
        *AXIS,
        MATCHER,
        WHERE,
        Column("case_set", pl.String(), "transfer or paper_fn"),
        Column("control_set", pl.String(), "donor_knows, donor_ignorant or paper_tn"),
        Column("variable", pl.String(), "log_E_l, log_E_p, donor_rank or sim"),
        Column("n_cases", pl.Int64(), "cases", "cells"),
        Column("n_matched", pl.Int64(), "cases with at least one control", "cells"),
        Column("n_controls", pl.Int64(), "distinct controls", "cells"),
        Column("n_reused", pl.Int64(), "times a control was used again", "cells"),
        number("smd_before", "standardised difference of all cases and all possible controls"),
        number("smd_after", "the same of matched cases and their controls"),
        number("difference", "mean of case minus mean of its controls"),
        number("p_value", "two-sided, permuting who is the case within each matched set"),
        REASON,
    ),
    key=("ckpt_id", "matcher", "lang", "case_set", "control_set", "variable"),
)

HAZARD = Table(
    "hazard",
    "Does a fact come sooner once a donor knows it? logit P(acquired now | not before).",
    (
        MATCHER,
        WHERE,
        Column("n", pl.Int64(), "facts at risk, once per checkpoint", "observations"),
        Column("events", pl.Int64(), "acquisitions among them", "observations"),
        number("beta", "coefficient of log10(1 + E)"),
        *ends("beta"),
        number("gamma", "coefficient of: a donor knew it at the previous checkpoint"),
        *ends("gamma"),
        number("gamma_permuted", "mean of gamma with donors shuffled among alike facts"),
        number("permuted_lo", "2.5 % point of gamma with shuffled donors"),
        number("permuted_hi", "97.5 % point of gamma with shuffled donors"),
        REASON,
    ),
    key=("matcher", "lang"),
)

LAG_EXPECTED = Table(
    "lag_expected",
    "Mean lag behind the pivot, beside what the no-donor curve alone would produce.",
    (
        LANG,
        MATCHER,
        Column("both", pl.Int64(), "facts acquired in both languages", "facts"),
        Column("pivot_first", pl.Int64(), "of them, in the pivot first", "facts"),
        Column("tie", pl.Int64(), "order cannot be told", "facts"),
        Column("language_first", pl.Int64(), "in the language first", "facts"),
        number("observed", "mean lag", "steps"),
        number("simulated", "mean lag over worlds with frequency alone", "steps"),
        number("simulated_lo", "2.5 % point over those worlds", "steps"),
        number("simulated_hi", "97.5 % point over those worlds", "steps"),
        number("difference", "observed minus simulated", "steps"),
        *ends("difference", "difference", "steps"),
        REASON,
    ),
    key=("lang", "matcher"),
)
