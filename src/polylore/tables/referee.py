"""Contracts of the tables in which labels meet the truth: specification of `trace`, 4.8."""

import polars as pl

from polylore.tables.contract import Column, Table
from polylore.tables.derived import AXIS, HI, LO, MATCHER, REASON
from polylore.tables.raw import CKPT, EXPOSURE, FACT_ID, LANG, RELATION

SEED = Column("seed", pl.Int64(), "seed of the training run; null: all runs pooled", "", True)
WHERE = Column("lang", pl.String(), "language; all: cells of every language but the pivot pooled")
METHOD = Column("method", pl.String(), "pathways, or paper (frequency threshold, right below it)")
INFO_LEVEL = Column(
    "info_level",
    pl.String(),
    "what the method was told: L0 answers only, L1 string counts, L2 counts by language, L3 those "
    "up to the checkpoint; L1-0.1 and so on: that share of the matches deleted",
)


def _share(name: str, meaning: str) -> tuple[Column, Column, Column]:
    """A share and both ends of its interval."""
    return (
        Column(name, pl.Float64(), f"{meaning}; null where it is not defined", "share", True),
        Column(f"{name}_lo", pl.Float64(), "lower end of its 95 % interval", "share", True),
        Column(f"{name}_hi", pl.Float64(), "upper end of its 95 % interval", "share", True),
    )


TRUTH = Table(
    "truth",
    "How each answer came about, from the design of the corpus and never from labels.",
    (
        CKPT,
        FACT_ID,
        RELATION,
        LANG,
        MATCHER,
        Column("y", pl.Boolean(), "right; null if there is no answer", "", True),
        Column(
            "truth",
            pl.String(),
            "unknown (wrong), known-by-frequency (an upper bound), transfer-candidate, "
            "copied-string or guess; null without an answer, and where a language that is no donor "
            "told the fact",
            "",
            True,
        ),
        Column("e_l", pl.Float64(), "documents in the language by the checkpoint", "documents"),
        Column("e_donor", pl.Float64(), "the most in a donor language", "documents"),
        Column("shared", pl.Boolean(), "object as in the pivot, or contained in the subject"),
        Column("condition", pl.String(), "both, pivot_only, lang_only or none"),
        Column("group", pl.String(), "A or B"),
        Column("surface", pl.String(), "same, cognate or disjoint; null in the pivot", "", True),
        Column("dose", pl.Int64(), "documents planned for the cell", "documents"),
    ),
    key=("ckpt_id", "fact_id", "lang", "matcher"),
)

TRUE_RATES = Table(
    "true_rates",
    "True transfer rate of a language, from held-out cells, beside the rate that was estimated.",
    (
        SEED,
        *AXIS,
        WHERE,
        MATCHER,
        INFO_LEVEL,
        Column("n_pivot_only", pl.Int64(), "facts told in the pivot alone", "facts"),
        Column("n_none", pl.Int64(), "facts told nowhere", "facts"),
        *_share("acc_pivot_only", "share right of facts told in the pivot alone"),
        *_share("acc_none", "share right of facts told nowhere, relations weighted as there"),
        *_share("true_rate", "(acc_pivot_only - acc_none)/(1 - acc_none), disjoint surface"),
        Column(
            "guess_contamination",
            pl.Float64(),
            "acc_none / acc_pivot_only: share of apparent transfers that are guesses",
            "share",
            True,
        ),
        Column("t", pl.Float64(), "transfer rate estimated without the design", "share", True),
        Column("t_lo", pl.Float64(), "lower end of its 95 % interval", "share", True),
        Column("t_hi", pl.Float64(), "upper end of its 95 % interval", "share", True),
        Column("error", pl.Float64(), "t - true_rate", "", True),
        Column("covered", pl.Boolean(), "true_rate lies in the interval of t", "", True),
        REASON,
    ),
    key=("seed", "ckpt_id", "lang", "matcher", "info_level"),
)

TRUTH_SCORES = Table(
    "truth_scores",
    "Labels held against the truth, label by label.",
    (
        SEED,
        *AXIS,
        Column(
            "lang",
            pl.String(),
            "language; all: cells of every language but the pivot pooled; macro: mean over them",
        ),
        MATCHER,
        METHOD,
        INFO_LEVEL,
        Column("label", pl.String(), "the label that is judged"),
        Column("n", pl.Int64(), "cells with a label and a truth", "cells"),
        Column("n_right", pl.Int64(), "those answered right", "cells"),
        Column("n_truth", pl.Int64(), "cells whose truth it is", "cells"),
        Column("n_label", pl.Int64(), "cells that carry it", "cells"),
        Column("tp", pl.Int64(), "cells of which both hold", "cells"),
        *_share("precision", "tp / n_label"),
        *_share("recall", "tp / n_truth"),
        *_share("f1", "harmonic mean of precision and recall"),
        *_share("auc", "AUC of the label's evidence for its truth, among right cells"),
        Column(
            "auc_all_cells",
            pl.Float64(),
            "the same over all cells, wrong ones with evidence 0: flattering",
            "",
            True,
        ),
        *_share("average_precision", "mean precision down the evidence, among right cells"),
        *_share("brier", "mean squared distance of evidence and truth, among right cells"),
        REASON,
    ),
    key=("seed", "ckpt_id", "lang", "matcher", "method", "info_level", "label"),
)

TRUTH_CONFUSION = Table(
    "truth_confusion",
    "Cells by truth and label.",
    (
        SEED,
        CKPT,
        WHERE,
        MATCHER,
        METHOD,
        INFO_LEVEL,
        Column("truth", pl.String(), "truth"),
        Column("label", pl.String(), "label"),
        Column("n", pl.Int64(), "cells", "cells"),
    ),
    key=("seed", "ckpt_id", "lang", "matcher", "method", "info_level", "truth", "label"),
)

RELIABILITY = Table(
    "reliability",
    "Evidence for transfer in ten bins, and how often the truth was transfer in each.",
    (
        SEED,
        CKPT,
        WHERE,
        MATCHER,
        INFO_LEVEL,
        Column("bin", pl.Int32(), "0 to 9: evidence from bin/10 to (bin + 1)/10"),
        Column("n", pl.Int64(), "right cells in the bin", "cells"),
        Column("evidence", pl.Float64(), "mean evidence for transfer", "share"),
        Column("truth", pl.Float64(), "share whose truth is transfer", "share"),
        LO,
        HI,
    ),
    key=("seed", "ckpt_id", "lang", "matcher", "info_level", "bin"),
)

COUNTERFACTUAL = Table(
    "counterfactual",
    "What is lost when the pivot's documents about a group of facts are taken away.",
    (
        Column("arm", pl.String(), "group whose documents were taken away, A or B; both: pooled"),
        SEED,
        *AXIS,
        WHERE,
        MATCHER,
        Column("method", METHOD.dtype, f"{METHOD.meaning}; null: labels play no part", "", True),
        Column("info_level", INFO_LEVEL.dtype, "as in truth_scores; null likewise", "", True),
        Column("label", pl.String(), "label of the cells in the full run; all: whatever it is"),
        Column(
            "stratum",
            pl.String(),
            "all, dose:<range> (of the cell), pivot_dose:<range>, surface:<class>, "
            "condition:<name>",
        ),
        Column("n_cells", pl.Int64(), "treated cells, right or wrong", "cells"),
        Column("n", pl.Int64(), "treated cells right in the full run", "cells"),
        Column("lost", pl.Int64(), "those wrong without the documents", "cells"),
        Column("n_untouched", pl.Int64(), "untouched cells right in the full run", "cells"),
        Column("lost_untouched", pl.Int64(), "those wrong in the other run all the same", "cells"),
        *_share("l1", "lost / n"),
        *_share("l0", "lost_untouched / n_untouched"),
        *_share("causal_precision", "clip((l1 - l0)/(1 - l0), 0, 1)"),
        *_share("causal_recall", "share of the causal losses that carry the label"),
        *_share("auc", "AUC of the evidence for transfer for lost, treated right cells"),
        *_share("auc_untouched", "the same in untouched cells: 0.5 if it tells only causes"),
        *_share("effect", "fall of recall in treated cells minus that in untouched ones"),
        *_share("fall_untouched", "fall of recall in untouched cells; 0 wanted"),
        REASON,
    ),
    key=(
        "arm", "seed", "ckpt_id", "lang", "matcher", "method", "info_level", "label", "stratum",
    ),
)  # fmt: skip

STRING_EXPOSURE = Table(
    "string_exposure",
    "Documents of any language that hold the strings of a cell: what an ordinary count would find.",
    EXPOSURE.columns,
    key=EXPOSURE.key,
    raw=True,
)

ARMS = Table(
    "arms",
    "The training runs that were compared, and the proof that they differ only as they should.",
    (
        Column("seed", pl.Int64(), "seed of the initial weights"),
        Column("arm", pl.String(), "full, A or B: group whose pivot documents were replaced"),
        Column("folder", pl.String(), "training folder"),
        Column("trace", pl.String(), "run folder of its answers"),
        Column("fillers", pl.Int64(), "documents replaced", "documents"),
        Column("tokens", pl.Int64(), "training tokens", "tokens"),
        Column("tokens_replaced", pl.Int64(), "tokens of the replaced documents", "tokens"),
        Column("stream_hash", pl.String(), "SHA-256 of all other tokens in their places"),
        Column("leaks", pl.Int64(), "documents that tell a held-out cell; must be 0", "documents"),
        Column("ran", pl.String(), "number format and threads of its training"),
    ),
    key=("seed", "arm"),
)
