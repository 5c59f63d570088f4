"""Contracts of the study `align` (specification of `align`, section 6).

Raw: what is asked (align_items, align_questions) and what was answered (align_answers,
align_option_scores). Everything else follows from these without a model. A *system* is what answers
as one: a model at a step, asked in a mode and a variant.
"""

import polars as pl

from polylore.tables.contract import Column, Table
from polylore.tables.raw import STRINGS

MODEL = Column("model", pl.String(), "name of the model")
MODEL_STEP = Column(
    "step", pl.Int64(), "optimiser updates done; null if it has no step", "steps", True
)
MODE = Column("mode", pl.String(), "generate, letter_ll, text_ll or rank")
VARIANT = Column("variant", pl.String(), "wording of prompt and instruction; imported for files")
SYSTEM = (MODEL, MODEL_STEP, MODE, VARIANT)
SYSTEM_KEY = tuple(column.name for column in SYSTEM)

DATASET = Column("dataset", pl.String(), "name of the parallel set")
ITEM = Column("item", pl.Int32(), "number of the item in its set, from 0, equal in all languages")
ALIGN_LANG = Column("lang", pl.String(), "language code")
ROTATION = Column(
    "rotation",
    pl.Int32(),
    "options shown starting with this one; null: as published, or the mean of all rotations",
    "",
    True,
)
PARSER = Column("parser", pl.String(), "first_char, robust or lenient; scores where none is needed")
PIVOT = Column("pivot", pl.String(), "language that the others are compared with")

ITEMS = Table(
    "align_items",
    "One row per parallel item, whatever the language.",
    (
        DATASET,
        ITEM,
        Column("fact_id", pl.String(), "identity of the fact: <set>:<item>"),
        Column("relation", pl.String(), "relation of the fact; null if none", "", True),
        Column("cluster", pl.String(), "what is drawn in a bootstrap: item, person or subject"),
        Column("n_options", pl.Int32(), "options; 0 if the answer is free", "options"),
        Column("gold_index", pl.Int32(), "the right option, from 0; null if free", "", True),
    ),
    key=("dataset", "item"),
    raw=True,
)

QUESTIONS = Table(
    "align_questions",
    "What is asked, in every language.",
    (
        DATASET,
        ITEM,
        ALIGN_LANG,
        Column("source_id", pl.String(), "id in the source file"),
        Column("lang_in_file", pl.String(), "language that the row itself claims", "", True),
        Column("kind", pl.String(), "type of the item, such as cause or effect", "", True),
        Column("question", pl.String(), "question or premise"),
        Column("options", STRINGS, "options, the first is A"),
        Column("gold_index", pl.Int32(), "the right option by this language's file, from 0"),
        Column("object", pl.String(), "text of the right option"),
    ),
    key=("dataset", "item", "lang"),
    raw=True,
)

_ANSWER_KEY = (*SYSTEM_KEY, "dataset", "item", "lang", "rotation")

ANSWERS = Table(
    "align_answers",
    "One row per system, item, language and rotation: what came back, ungraded.",
    (
        *SYSTEM,
        DATASET,
        ITEM,
        ALIGN_LANG,
        ROTATION,
        Column("raw_output", pl.String(), "text, untouched; null if options were scored", "", True),
        Column(
            "truncated",
            pl.Boolean(),
            "the token limit was met before an end mark; null if unknown",
            "",
            True,
        ),
        Column(
            "answer_index", pl.Int32(), "option of highest score; null if text is read", "", True
        ),
    ),
    key=_ANSWER_KEY,
    raw=True,
)

OPTION_SCORES = Table(
    "align_option_scores",
    "Log-probability of every option.",
    (
        *SYSTEM,
        DATASET,
        ITEM,
        ALIGN_LANG,
        ROTATION,
        Column("option_index", pl.Int32(), "the option by its content: its place as published"),
        Column("logp", pl.Float64(), "log-probability of its letter or text", "nats"),
        Column("n_tokens", pl.Int32(), "its tokens; null if unknown", "tokens", True),
        Column("n_bytes", pl.Int32(), "its UTF-8 length; null if unknown", "bytes", True),
        Column("logp_null", pl.Float64(), "the same after a content-free cue", "nats", True),
    ),
    key=(*_ANSWER_KEY, "option_index"),
    raw=True,
)

PARSED = Table(
    "align_parsed",
    "The option that every parser reads from an answer (content, not place; null if none).",
    (
        *SYSTEM,
        DATASET,
        ITEM,
        ALIGN_LANG,
        ROTATION,
        Column("head", pl.String(), "first character after stripping; F if none", "", True),
        Column("first_char", pl.Int32(), "option by the published parser", "", True),
        Column("robust", pl.Int32(), "option by the default parser", "", True),
        Column("lenient", pl.Int32(), "option by the lenient parser", "", True),
        Column(
            "status",
            pl.String(),
            "robust: ok, lookalike, late, out_of_range, word_start, empty, unparsed; or scored",
        ),
        Column("lenient_status", pl.String(), "the same of the lenient parser, which adds text"),
    ),
    key=_ANSWER_KEY,
)


def _share(name: str, meaning: str) -> Column:
    return Column(name, pl.Float64(), meaning, "share", True)


def _number(name: str, meaning: str, unit: str = "") -> Column:
    return Column(name, pl.Float64(), meaning, unit, True)


_CELL = (*SYSTEM, DATASET, ALIGN_LANG, PARSER)
_CELL_KEY = (*SYSTEM_KEY, "dataset", "lang", "parser")

CELLS = Table(
    "align_cells",
    "Performance and letter flags of a system in one set and language.",
    (
        *_CELL,
        Column("n", pl.Int64(), "items answered", "items"),
        Column("right", pl.Int64(), "items answered right", "items"),
        Column("acc", pl.Float64(), "accuracy", "percent"),
        _number("lo", "lower end of its 95 % Wilson interval", "percent"),
        _number("hi", "upper end of its 95 % Wilson interval", "percent"),
        _number("ra_paper", "(acc-chance)/(ref-chance), clipped at 0 (published form)"),
        _number("ra", "the same without clipping; null without a reference"),
        _number("ra_lo", "lower end of its 95 % interval (bootstrap over clusters)"),
        _number("ra_hi", "upper end of its 95 % interval"),
        _number("ref", "reference accuracy; null if there is none for this set", "percent"),
        Column("chance", pl.Float64(), "accuracy of guessing", "percent"),
        _number("x", "chance-corrected accuracy (a-c)/(1-c), without reference; null if c is 1"),
        Column("unparsed", pl.Int64(), "answers without a legal option", "items"),
        Column("out_of_range", pl.Int64(), "those with a letter beyond the options", "items"),
        Column("lookalike", pl.Int64(), "answers whose letter was of another script", "items"),
        Column("word_start", pl.Int64(), "letters that begin a word", "items"),
        Column("truncated", pl.Int64(), "answers cut off; null if unknown", "items", True),
        Column("top_letter", pl.String(), "most frequent first character", "", True),
        _share("top_share", "its share of n"),
        _share("tv_gold", "half the L1 distance of parsed letters (or none) from gold letters"),
        _share("demo_letter_share", "share of the demonstration's letter; null without one"),
        _share("position_sensitivity", "items whose option changes with rotation"),
        Column("near_chance", pl.Boolean(), "lo is at or below chance"),
        Column("degenerate", pl.Boolean(), "top_share is at least 0.9"),
    ),
    key=_CELL_KEY,
)

_PAIR = (*SYSTEM, DATASET, PARSER, PIVOT, ALIGN_LANG)

CONSISTENCY = Table(
    "align_consistency",
    "How far the same items are right in two languages: one row per system, set and pair.",
    (
        *_PAIR,
        Column(
            "exposure_class",
            pl.String(),
            "all, or where the facts were seen in training: both, pivot_only, lang_only, neither",
        ),
        Column("n", pl.Int64(), "items answered in both", "items"),
        Column("n_p", pl.Int64(), "of these right in the pivot", "items"),
        Column("n_l", pl.Int64(), "right in the language", "items"),
        Column("both", pl.Int64(), "right in both", "items"),
        _share("co_iou", "both / (n_p + n_l - both) (published form); null if nobody is right"),
        _number("co_iou_lo", "lower end of its 95 % interval"),
        _number("co_iou_hi", "upper end"),
        _share("co_given_p", "both / n_p"),
        _share("co_given_l", "both / n_l"),
        _number("xltr", "(co_given_p - c)/(1 - c)"),
        _share("co_indep", "IoU if languages were independent"),
        _share("co_pos", "IoU if they were independent within every gold letter"),
        _share("co_max", "largest IoU at these accuracies"),
        _share("co_posmax", "largest IoU at these accuracies per gold letter"),
        _number("excess", "co_iou - co_pos"),
        _number("excess_lo", "lower end of its 95 % interval"),
        _number("excess_hi", "upper end"),
        _number("co_norm", "(co_iou - co_pos)/(co_posmax - co_pos): the headline"),
        _number("co_norm_lo", "lower end of its 95 % interval"),
        _number("co_norm_hi", "upper end"),
        _number("phi", "correlation of right in the two; null if one is constant"),
        _share("same_answer", "items with the same option"),
        _share("same_wrong", "the same among items parsed and wrong in both"),
        _share("same_wrong_null", "its value if wrong options were independent given the gold"),
        _number("k_both", "share known in both if guesses are uniform and independent"),
        _number("k_both_lo", "lower end of its 95 % interval"),
        _number("k_both_hi", "upper end"),
        Column("k_impossible", pl.Boolean(), "k_both is beyond what either knows", "", True),
        _share("rankc", "overlap of the rankings of options; null without scores"),
        _share("rankc_null", "its value for random rankings"),
        _share("co_crossrot", "co_iou of answers under different rotations"),
        _number("pos_inflation", "co_iou under equal rotations - co_crossrot"),
        Column("interpretable", pl.Boolean(), "whether consistency says something here"),
        Column("reason", pl.String(), "why not; null if it does", "", True),
    ),
    key=(*SYSTEM_KEY, "dataset", "parser", "pivot", "lang", "exposure_class"),
)

PARSE_AUDIT = Table(
    "align_parse_audit",
    "How answers were read: the published parser beside the default one.",
    (
        *SYSTEM,
        DATASET,
        ALIGN_LANG,
        Column("n", pl.Int64(), "answers", "items"),
        *(
            Column(name, pl.Int64(), f"answers of this status: {meaning}", "items")
            for name, meaning in (
                ("ok", "a letter at the start"),
                ("lookalike", "a letter of another script"),
                ("late", "a letter after a cue"),
                ("text", "an option's text (lenient only)"),
                ("out_of_range", "a letter beyond the options"),
                ("word_start", "a letter that begins a word"),
                ("empty", "nothing"),
                ("unparsed", "anything else"),
                ("scored", "options were scored, nothing was read"),
            )
        ),
        Column("acc_first_char", pl.Float64(), "accuracy by the published parser", "percent"),
        Column("acc_robust", pl.Float64(), "accuracy by the default parser", "percent"),
        Column("acc_lenient", pl.Float64(), "accuracy by the lenient parser", "percent"),
        Column("warning", pl.String(), "parsers differ by a point or more", "", True),
    ),
    key=(*SYSTEM_KEY, "dataset", "lang"),
)

TRUST = Table(
    "align_trust",
    "Whether a cell can be used: one row per system, set and language.",
    (
        *SYSTEM,
        DATASET,
        ALIGN_LANG,
        Column("usable", pl.Boolean(), "whether it is"),
        Column("reason", pl.String(), "why not; null if it is", "", True),
        Column("set_degenerate", pl.Boolean(), "at least half of the set's languages are"),
    ),
    key=(*SYSTEM_KEY, "dataset", "lang"),
)

INCOMPLETE = Table(
    "align_incomplete",
    "Cells that were left out because answers are missing.",
    (
        *SYSTEM,
        DATASET,
        ALIGN_LANG,
        Column("n", pl.Int64(), "items answered", "items"),
        Column("expected", pl.Int64(), "items of the set", "items"),
        Column("first_missing", pl.List(pl.Int32()), "up to five of the missing items"),
    ),
    key=(*SYSTEM_KEY, "dataset", "lang"),
)

EFFECTS = Table(
    "align_effects",
    "What changes from one model to another: relative accuracy, by group of languages.",
    (
        Column("arm", pl.String(), "model that is judged"),
        Column("minus", pl.String(), "model that it is compared with"),
        PARSER,
        Column("level", pl.String(), "a set, or basic or factual: the mean of two sets"),
        Column("metric", pl.String(), "ra (unclipped) or x (chance-corrected accuracy)"),
        Column("group", pl.String(), "pivot, target, others_in, others_out, or lang:<code>"),
        Column("langs", STRINGS, "languages averaged"),
        Column("delta", pl.Float64(), "arm - minus"),
        _number("lo", "lower end of its 95 % interval (paired; clusters drawn)"),
        _number("hi", "upper end"),
        _number("lo_seed", "lower end with training seeds drawn first; null with one seed"),
        _number("hi_seed", "upper end of the same"),
        Column("n_seeds", pl.Int64(), "training seeds", "seeds"),
        Column("flagged", STRINGS, "cells behind it that letter flags speak against"),
    ),
    key=("arm", "minus", "parser", "level", "metric", "group"),
)

CLAIMS = Table(
    "align_claims",
    "Directional claims and what the intervals say.",
    (
        Column("claim", pl.String(), "what is claimed"),
        Column("arm", pl.String(), "model that is judged"),
        Column("minus", pl.String(), "model that it is compared with"),
        Column("level", pl.String(), "a set, or basic or factual"),
        Column("group", pl.String(), "languages that the claim is about"),
        Column("direction", pl.String(), "up or down"),
        Column("m", pl.Float64(), "margin"),
        _number("delta", "arm - minus"),
        _number("lo", "lower end of its 95 % interval"),
        _number("hi", "upper end"),
        Column("verdict", pl.String(), "confirmed, contradicted, equivalent or open"),
        _number("p_holm", "bootstrap p of the claim after Holm over the family"),
        Column("lost", pl.Int64(), "draws in which it has no value, of all", "draws", True),
        Column("reason", pl.String(), "why it is not judged", "", True),
        Column(
            "note", pl.String(), "not after Holm: confirmed, but p_holm is above 0.05", "", True
        ),
        Column("siblings", pl.Boolean(), "whether a manifest proves that one factor changed"),
    ),
    key=("claim", "arm", "minus", "level", "group", "m"),
)

ALIGN_PROMPTS = Table(
    "align_prompts",
    "Every text put before a model; chat templates are put around it by the model's tokenizer.",
    (
        MODE,
        VARIANT,
        DATASET,
        ITEM,
        ALIGN_LANG,
        ROTATION,
        Column("text", pl.String(), "the prompt, without the delimiter"),
        Column("delimiter", pl.String(), "what stands between prompt and answer"),
        Column("null_text", pl.String(), "content-free prompt of the same form", "", True),
        Column("demo_items", pl.List(pl.Int32()), "items shown as demonstrations, in order"),
        Column(
            "demo_letter", pl.String(), "letter of the last one's answer; null if none", "", True
        ),
    ),
    key=("mode", "variant", "dataset", "item", "lang", "rotation"),
    raw=True,
)

ALIGN_TOKENS = Table(
    "align_tokens",
    "How a model's tokenizer reads the questions of a set in a language.",
    (
        MODEL,
        MODEL_STEP,
        DATASET,
        ALIGN_LANG,
        Column("tokens", pl.Int64(), "tokens of all questions", "tokens"),
        Column("broken", pl.Int64(), "unknown ones, and pieces of characters", "tokens"),
    ),
    key=("model", "step", "dataset", "lang"),
    raw=True,
)

FREE_GRADES = Table(
    "align_free",
    "What free answers and rankings of all candidates name.",
    (
        *SYSTEM,
        DATASET,
        ITEM,
        ALIGN_LANG,
        Column("relation", pl.String(), "relation of the fact", "", True),
        Column(
            "answer_class",
            pl.String(),
            "correct, right_entity_wrong_language, other_candidate, ambiguous, other, empty; of "
            "rankings correct or other_candidate",
        ),
        Column("right", pl.Boolean(), "whether it counts as right"),
        Column("said", pl.String(), "first line, normalised; null if ranked", "", True),
        Column("candidates", pl.Int32(), "candidates ranked; 0 if the answer was free"),
    ),
    key=(*SYSTEM_KEY, "dataset", "item", "lang"),
)
