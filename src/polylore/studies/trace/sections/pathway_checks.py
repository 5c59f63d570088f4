"""What stands beside the transfer rates: other ways to ask, and worlds whose truth is known."""

import altair as alt
import polars as pl

from polylore.report import Chart, TableView, interval, shapes
from polylore.studies.trace.context import Context, with_names

CONTROLS = {
    "null_labels": "no transfer, by construction",
    "planted_labels": "transfer of 25 %, by construction",
    "permuted_donor": "donors exchanged among alike facts",
    "reverse": "from the language to the pivot",
}


RUNGS = {
    "M0": "nothing",
    "M1": "exposure",
    "M2": "+ language",
    "M3": "+ relation",
    "M4": "+ shared string, guess",
    "M5": "+ what the pivot knows",
}
"""Predictors that each model of the ladder adds."""


def _end(context: Context, name: str) -> pl.DataFrame | None:
    table = context.table(name)
    if table is None:
        return None
    rows = context.at_end(table)
    return rows if rows.height else None


def _conditions(context: Context, rows: pl.DataFrame, n: str = "n") -> str:
    return context.conditions(rows[n], matcher=str(rows["matcher"][0]))


def ladder(context: Context) -> Chart | None:
    """Does knowing what the donor knows help to predict?"""
    end = _end(context, "ladder")
    rows = end.filter(pl.col("lang") == "all").drop_nulls("auc") if end is not None else None
    if rows is None or not rows.height:
        return None
    frame = rows.with_columns(
        words=pl.col("model").replace_strict(RUNGS, return_dtype=pl.String)
    ).select(
        "model", "words", "matcher", "n", "right", "auc", "auc_lo", "auc_hi", "delta_auc",
        "delta_auc_lo", "delta_auc_hi", "logloss", "accuracy", "majority", "balanced_accuracy",
    )  # fmt: skip
    spec = shapes.dots(
        alt.X("auc:Q", title="AUC for unseen facts", scale=alt.Scale(domain=[0.4, 1], zero=False),
              axis=alt.Axis(tickCount=4)),
        "words",
        frame["words"].to_list(),
        {"words": ("predictors", ""), "auc": ("AUC", ".3f"), "auc_lo": ("from", ".3f"),
         "auc_hi": ("to", ".3f"), "delta_auc": ("gain", ".4f"), "accuracy": ("accuracy", ".1%"),
         "majority": ("majority", ".1%")},
        interval=("auc_lo", "auc_hi"),
        rule=0.5,
    )  # fmt: skip
    return Chart(
        "ladder",
        "What predicts a right answer?",
        "Each row adds predictors to the row above and is judged on facts it was not fitted to. "
        "0.5: no better than chance. Only a gain in the last row speaks for the donor, and a rate "
        "shows a weak transfer earlier than this does. " + _conditions(context, frame),
        "Dot plot of the AUC of six nested classifiers with intervals and a line at one half.",
        spec,
        frame.with_columns(
            interval("auc", "auc_lo", "auc_hi"),
            interval("delta_auc", "delta_auc_lo", "delta_auc_hi"),
        ),
        {"model": "Model", "words": "Predictors", "n": "n", "auc_ci": "AUC",
         "delta_auc_ci": "Gain in AUC", "logloss": "Log loss", "accuracy": "Accuracy",
         "majority": "Majority", "balanced_accuracy": "Balanced"},
        {"auc_ci": "interval.number", "delta_auc_ci": "interval.number", "accuracy": "share",
         "majority": "share", "balanced_accuracy": "share"},
        "half",
    )  # fmt: skip


def lags(context: Context) -> Chart | None:
    """Is the lag behind the pivot what frequency alone gives?"""
    table = context.table("lag_expected")
    rows = table.drop_nulls("difference") if table is not None else None
    if rows is None or not rows.height:
        return None
    frame = with_names(rows).drop("reason")
    spec = shapes.dots(
        alt.X("difference:Q", title="observed minus expected lag, steps"),
        "language",
        [n for n in context.names if n in set(frame["language"])],
        {"language": ("language", ""), "observed": ("observed", ",.0f"),
         "simulated": ("expected", ",.0f"), "difference": ("difference", ",.0f"),
         "difference_lo": ("from", ",.0f"), "difference_hi": ("to", ",.0f"),
         "both": ("facts acquired in both", ",")},
        interval=("difference_lo", "difference_hi"),
        rule=0.0,
    )  # fmt: skip
    return Chart(
        "lag-expected",
        "Later than exposure explains?",
        "Mean lag behind the pivot, minus the lag of simulated worlds in which exposure alone "
        "decides. At the dashed line exposure explains the lag; left of it a language follows "
        "sooner, as it would if the pivot brought facts along. Only facts that both acquired. "
        + _conditions(context, frame, "both"),
        "Dot plot by language of the observed minus the expected lag, with intervals and a line at "
        "zero.",
        spec,
        frame.with_columns(
            interval("simulated", "simulated_lo", "simulated_hi"),
            interval("difference", "difference_lo", "difference_hi"),
        ),
        {"language": "Language", "both": "Facts in both", "pivot_first": "Pivot first",
         "tie": "Cannot be told", "language_first": "Language first", "observed": "Observed",
         "simulated_ci": "Expected", "difference_ci": "Difference"},
        {"simulated_ci": "interval.number", "difference_ci": "interval.number"},
        "half",
    )  # fmt: skip


def hazards(context: Context) -> TableView | None:
    """Does a fact come sooner after the donor learnt it?"""
    table = context.table("hazard")
    if table is None:
        return None
    return TableView(
        "hazard",
        "Does a fact come sooner once the pivot knows it?",
        "Log-odds that a fact is acquired at a checkpoint, with and without the pivot knowing it "
        "one checkpoint before, at equal exposure. Shuffled: the same with donors exchanged among "
        "facts of one relation and similar exposure; only a value above that range says anything. "
        "What comes along within one interval between checkpoints escapes it and lowers it. "
        + _conditions(context, table),
        table.with_columns(
            interval("gamma", "gamma_lo", "gamma_hi"),
            interval("gamma_permuted", "permuted_lo", "permuted_hi"),
            interval("beta", "beta_lo", "beta_hi"),
        ),
        {"lang": "Language", "events": "Acquired", "gamma_ci": "Pivot knew it",
         "gamma_permuted_ci": "Shuffled", "beta_ci": "Exposure, per factor of ten",
         "reason": "Why empty"},
        {"lang": "lang", "gamma_ci": "interval.number", "gamma_permuted_ci": "interval.number",
         "beta_ci": "interval.number"},
    )  # fmt: skip


def controls(context: Context) -> TableView | None:
    """The rate where its truth is known."""
    end = _end(context, "transfer_controls")
    if end is None:
        return None
    rows = end.with_columns(
        words=pl.col("control").replace_strict(CONTROLS, return_dtype=pl.String)
    )
    return TableView(
        "transfer-controls",
        "The same method where the truth is known",
        "The same cells and exposures with answers drawn from the run's own curve, without any "
        "transfer and with a known one: the interval should hold the truth. With exchanged donors "
        "little should be left. The reverse direction is positive also where everything comes from "
        "the pivot, since a fact known in the language was probably known in the pivot: it does "
        "not tell who gave. " + _conditions(context, rows),
        rows.with_columns(interval("t", "t_lo", "t_hi")),
        {"words": "World", "lang": "Language", "n": "n", "truth": "Truth", "t_ci": "Rate",
         "reason": "Why empty"},
        {"lang": "lang", "truth": "share", "t_ci": "interval"},
    )  # fmt: skip


def labels(context: Context) -> TableView | None:
    """How often each label was given, beside the expected numbers."""
    end = _end(context, "composition")
    if end is None:
        return None
    rows = end.filter((pl.col("relation") == "all") & (pl.col("stratum") == "all"))
    return TableView(
        "labels",
        "Labels, and what they stand for",
        "Number of answers by label at the last checkpoint, and the expected number by transfer "
        "among all right answers with its interval. Published FN: right although read less than "
        "the published threshold. A label says what may have happened, not what did. "
        + _conditions(context, rows),
        rows.with_columns(interval("e_transfer", "e_transfer_lo", "e_transfer_hi")),
        {"lang": "Language", "n": "n", "right": "Right", "n_frequency": "Known by frequency",
         "n_copied": "Copied string", "n_guess": "Guess", "n_transfer": "Transfer candidate",
         "n_unexplained": "Unexplained", "e_transfer_ci": "Expected by transfer",
         "n_paper_fn": "Published FN"},
        {"lang": "lang", "e_transfer_ci": "interval.number"},
    )  # fmt: skip


def balance(context: Context) -> TableView | None:
    """Transfer candidates beside wrong answers of the same exposure."""
    end = _end(context, "balance")
    if end is None:
        return None
    words = {
        "log_E_l": "exposure in the language",
        "log_E_p": "exposure in the pivot",
        "donor_rank": "gold's rank in the pivot",
        "sim": "similarity of strings",
    }
    sets = {
        "donor_knows": "wrong, known to pivot",
        "donor_ignorant": "wrong, unknown to pivot",
        "paper_tn": "published FN and TN",
    }
    rows = end.filter(pl.col("lang") == "all").with_columns(
        variable=pl.col("variable").replace_strict(words, return_dtype=pl.String),
        pair=pl.col("control_set").replace_strict(sets, return_dtype=pl.String),
        # Said by the caption; the remaining remarks have numbers missing.
        reason=pl.when(pl.col("smd_after").is_null()).then(pl.col("reason")),
    )
    return TableView(
        "balance",
        "Transfer candidates beside wrong answers of equal exposure",
        "Each candidate with up to five wrong answers of the same language and relation that were "
        "read about as often. Differences in standard deviations before and after matching; the "
        "p-value permutes who is the candidate; there is none where facts are matched on it or "
        "differ by definition. A large difference in exposure after matching would spoil the "
        "comparison. " + _conditions(context, rows, "n_cases"),
        rows,
        {"pair": "Beside", "variable": "In", "n_cases": "Cases", "n_matched": "Matched",
         "smd_before": "Before", "smd_after": "After", "difference": "Difference",
         "p_value": "p", "reason": "Remark"},
    )  # fmt: skip


CHECKS = (ladder, lags, labels, controls, hazards, balance)
