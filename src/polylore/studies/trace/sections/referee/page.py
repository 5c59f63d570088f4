"""The page itself: first what was done, then labels, rates and causes."""

import polars as pl

from polylore.report import Block, Page, Prose, TableView, interval
from polylore.studies.trace.context import Context, percent
from polylore.studies.trace.sections.referee.causes import cause_blocks
from polylore.studies.trace.sections.referee.labels import label_blocks
from polylore.studies.trace.sections.referee.rates import rate_blocks
from polylore.studies.trace.sections.referee.rows import LABELS, METHODS, judged, pivot_name, runs


def referee_page(context: Context) -> Page | None:
    """None without a truth to hold labels against."""
    scores = judged(context, "truth_scores")
    if scores is None:
        return None
    blocks: list[Block] = [
        _story(context),
        *label_blocks(context, scores),
        *rate_blocks(context),
        *cause_blocks(context),
        _scores(scores),
    ]
    blocks += [block for block in (_losses(context), _arms(context)) if block is not None]
    lead = (
        "Labels and rates are claims made from answers and counts. Here they meet the truth, which "
        "is known because this model was trained on a corpus made for the purpose."
    )
    return Page("referee", "The referee", lead, tuple(blocks))


def _story(context: Context) -> Prose:
    pivot, several = pivot_name(context), runs(context)
    design = context.table("design")
    told = design.filter(pl.col("lang") != context.pivot) if design is not None else None
    parts = [
        "Which cells – a fact in a language – were told there, told in "
        f"{pivot} alone, or told nowhere was decided before training, and checked afterwards by "
        "reading the training text back from its tokens. What is right although it was never told "
        f"there but in {pivot} came by transfer (or by equal spelling); what is right although it "
        "was told nowhere was guessed. Labels never saw any of this."
    ]
    if told is not None and told.height:
        names = {"both": "told in both", "pivot_only": f"in {pivot} alone",
                 "lang_only": "in the language alone", "none": "nowhere"}  # fmt: skip
        counts = dict(told.group_by("condition").len().iter_rows())
        shown = ", ".join(f"{counts[c]:,} {words}" for c, words in names.items() if c in counts)
        parts[0] += f" Cells by design: {shown}."
    arms = context.table("arms")
    if arms is None:
        parts.append(
            "The model was not trained again without some documents, so this page cannot say what "
            "those documents caused: “polylore trace --with-referee” does that."
        )
        return Prose(tuple(parts))
    one = arms.filter(pl.col("arm") != "full").row(0, named=True)
    parts.append(
        f"Then the model was trained again, {several} time{'s' if several > 1 else ''} from other "
        f"initial weights, each time on the whole text, without the {pivot} documents about one "
        "half of the facts (A), and without those about the other (B). Their places were filled "
        f"with sentences of equal length that state no fact ({percent(_share(one))} of the "
        "tokens); all other tokens stood in the same places, which their hashes confirm. What is "
        f"right in the whole run and wrong without the documents is lost, and the half that was "
        "left alone shows how much is lost by chance."
    )
    if several < 3:
        parts.append(
            f"With {several} run{'s' if several > 1 else ''} the luck of initial weights is hardly "
            "averaged out: read the intervals as too narrow."
        )
    return Prose(tuple(parts), "plain" if several > 2 else "caution")


def _share(arm: dict[str, int]) -> float:
    return arm["tokens_replaced"] / arm["tokens"]


def _scores(rows: pl.DataFrame) -> TableView:
    names = ("precision", "recall", "f1", "auc", "brier")
    frame = rows.with_columns(
        *(interval(c, f"{c}_lo", f"{c}_hi") for c in names),
        words=pl.col("label").replace_strict(LABELS, return_dtype=pl.String),
        by=pl.col("method").replace_strict(METHODS, return_dtype=pl.String),
    )
    return TableView(
        "referee-scores",
        "Every label at every level of information",
        "Language macro: mean over languages. AUC and Brier score are taken among right cells. "
        "L1-0.3: counts of strings with 30 % of the matches deleted. A label that no cell carries, "
        "or that is nowhere the truth, has no score.",
        frame,
        {
            "words": "Label", "by": "Method", "info_level": "Told", "lang": "Language",
            "n_truth": "True", "n_label": "Labelled", "tp": "Both", "precision_ci": "Precision",
            "recall_ci": "Recall", "f1_ci": "F1", "auc_ci": "AUC", "brier_ci": "Brier",
            "reason": "Why not",
        },
        {"precision_ci": "interval", "recall_ci": "interval", "f1_ci": "interval",
         "auc_ci": "interval.number", "brier_ci": "interval.number"},
    )  # fmt: skip


def _losses(context: Context) -> TableView | None:
    rows = judged(context, "counterfactual")
    if rows is None:
        return None
    names = (
        "l1", "l0", "causal_precision", "causal_recall", "auc", "auc_untouched", "effect",
        "fall_untouched",
    )  # fmt: skip
    frame = rows.filter(pl.col("arm") == "both").with_columns(
        interval(c, f"{c}_lo", f"{c}_hi") for c in names
    )
    return TableView(
        "referee-losses",
        "All losses",
        "L1: share lost of treated cells that were right; L0: of untouched ones. Causal precision: "
        "(L1 − L0)/(1 − L0), between 0 and 1. Causal recall: share of the losses beyond chance "
        "that carry the label. Effect: fall of recall in treated cells minus that in untouched "
        "ones. Both halves of the facts together.",
        frame,
        {
            "stratum": "Cells", "label": "Label", "method": "Method", "info_level": "Told",
            "lang": "Language", "n": "Right", "lost": "Lost", "l1_ci": "L1", "l0_ci": "L0",
            "causal_precision_ci": "Causal precision", "causal_recall_ci": "Causal recall",
            "auc_ci": "AUC", "auc_untouched_ci": "AUC, untouched", "effect_ci": "Effect",
            "fall_untouched_ci": "Fall, untouched",
        },
        {"l1_ci": "interval", "l0_ci": "interval", "causal_precision_ci": "interval",
         "causal_recall_ci": "interval", "auc_ci": "interval.number",
         "auc_untouched_ci": "interval.number", "effect_ci": "interval",
         "fall_untouched_ci": "interval"},
    )  # fmt: skip


def _arms(context: Context) -> TableView | None:
    arms = context.table("arms")
    if arms is None:
        return None
    return TableView(
        "referee-arms",
        "The runs, and the proof that they differ only as they should",
        "Tokens outside the replaced documents have the same hash in every run of an arm and in "
        "the full run with the same places left out. Leaks: documents that tell a held-out cell.",
        arms.with_columns(hash=pl.col("stream_hash").str.head(16)),
        {
            "seed": "Seed", "arm": "Without", "fillers": "Documents replaced", "tokens": "Tokens",
            "tokens_replaced": "Tokens replaced", "hash": "Hash of the others", "leaks": "Leaks",
            "ran": "Computed in",
        },
        {"tokens": "int", "tokens_replaced": "int"},
    )  # fmt: skip
