"""Contracts of the tables that hold pathways against the truth (`trace`, section 4.8)."""

import polars as pl

from polylore.tables.contract import Column, Table
from polylore.tables.derived import AXIS, MATCHER, REASON
from polylore.tables.pathways import WHERE, ends, flag, number
from polylore.tables.raw import FACT_ID, LANG, RELATION

TRUTH = Table(
    "truth",
    "How each answer got there, from what was really read: no label and no estimate takes part.",
    (
        *AXIS,
        FACT_ID,
        RELATION,
        LANG,
        MATCHER,
        Column(
            "truth",
            pl.String(),
            "known-by-frequency (read in the language), transfer-candidate (read elsewhere only), "
            "copied-string (the same with a shared string), guess (never read), unknown (wrong)",
        ),
    ),
    key=("ckpt_id", "fact_id", "lang", "matcher"),
)

TRUTH_SCORES = Table(
    "truth_scores",
    "Labels and shares against the truth, one label against the rest.",
    (
        Column("run", pl.String(), "name of the run"),
        *AXIS,
        MATCHER,
        Column("lang", pl.String(), "language, 'all' but the pivot pooled, or 'macro' mean"),
        Column("info_level", pl.String(), "what the labels knew of the exposures"),
        Column("method", pl.String(), "pathways, or paper (right below the threshold)"),
        Column("label", pl.String(), "label that is scored"),
        Column("n_truth", pl.Int64(), "cells that have it in truth", "cells"),
        Column("n_label", pl.Int64(), "cells that were given it", "cells"),
        Column("tp", pl.Int64(), "both", "cells"),
        number("precision", "tp / n_label; null if nothing was given it", "share"),
        *ends("precision"),
        number("recall", "tp / n_truth; null if nothing has it", "share"),
        *ends("recall"),
        number("f1", "harmonic mean of both"),
        number("auc", "AUC of its share among right cells"),
        *ends("auc"),
        number("auc_all_cells", "the same over all cells, which flatters"),
        number("average_precision", "area under precision over recall, among right cells"),
        number("brier", "mean squared error of the share, among right cells"),
    ),
    key=("run", "ckpt_id", "matcher", "lang", "info_level", "method", "label"),
)

CONFUSION = Table(
    "confusion",
    "How often each label was given to each truth, all languages but the pivot together.",
    (
        *AXIS,
        MATCHER,
        Column("truth", pl.String(), "what it was"),
        Column("label", pl.String(), "what it was labelled"),
        Column("n", pl.Int64(), "cells", "cells"),
    ),
    key=("ckpt_id", "matcher", "truth", "label"),
)

TRUE_RATE = Table(
    "true_rate",
    "Transfer rate that held-out cells show, and the estimate that never saw them as such.",
    (
        *AXIS,
        MATCHER,
        WHERE,
        Column("n_pivot_only", pl.Int64(), "facts read in the pivot only", "cells"),
        Column("n_none", pl.Int64(), "facts never read", "cells"),
        number("acc_pivot_only", "share right of the first", "share"),
        number("acc_none", "share right of the second, weighted to the first's relations"),
        number("rate", "(acc_pivot_only - acc_none)/(1 - acc_none)", "share"),
        *ends("rate"),
        number("guess_share", "acc_none / acc_pivot_only: guesses among true transfers", "share"),
        number("t", "estimated transfer rate", "share"),
        number("difference", "t minus rate"),
        flag("held", "the interval of t holds the rate; null without an interval"),
        REASON,
    ),
    key=("ckpt_id", "matcher", "lang"),
)

COUNTERFACTUAL = Table(
    "counterfactual",
    "What is lost when the pivot's documents about a group of facts are taken away.",
    (
        Column("arm", pl.String(), "group whose documents were taken away"),
        Column("seed", pl.Int64(), "seed of the pair of runs"),
        *AXIS,
        MATCHER,
        WHERE,
        Column("label", pl.String(), "label in the full run, or 'all'"),
        Column("n_treated", pl.Int64(), "right cells of the group with the label", "cells"),
        Column("lost_treated", pl.Int64(), "of them, wrong in the other run", "cells"),
        Column("n_untouched", pl.Int64(), "the same of the other group", "cells"),
        Column("lost_untouched", pl.Int64(), "of them, wrong in the other run", "cells"),
        number("l1", "lost_treated / n_treated", "share"),
        number("l0", "lost_untouched / n_untouched", "share"),
        number("causal_precision", "clip((l1 - l0)/(1 - l0), 0, 1)", "share"),
        *ends("causal_precision"),
        number("causal_recall", "lost by the label beyond chance, of all lost beyond chance"),
        number("auc", "AUC of e_transfer for being lost, treated group; row 'all'"),
        number("auc_untouched", "the same in the untouched group: near 1/2"),
        number("effect", "drop of the share right, treated minus untouched; row 'all'", "share"),
        *ends("effect"),
    ),
    key=("arm", "seed", "ckpt_id", "matcher", "lang", "label"),
)
