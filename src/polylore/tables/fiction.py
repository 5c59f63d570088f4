"""Contracts of invented worlds and conductivity (specification of `align`, 2.6, 2.7 and 3.4).

Raw: fiction_facts, fiction_rows (what is taught), fiction_tests (what is asked), fiction_answers.
"""

import polars as pl

from polylore.tables.align import ALIGN_LANG, ITEM
from polylore.tables.contract import Column, Table

FICTION_FACTS = Table(
    "fiction_facts",
    "Invented facts: one row per fact and language.",
    (
        Column("fact_id", pl.String(), "identity of the fact: <relation>:<item>"),
        Column("relation", pl.String(), "relation of the fact"),
        ITEM,
        ALIGN_LANG,
        Column("subject", pl.String(), "name of the subject in this language"),
        Column("object", pl.String(), "the answer in this language"),
        Column("answer", pl.Int32(), "number of the answer, equal in all languages"),
        Column("type", pl.Int32(), "0: taught in source and target; 1: taught in the source alone"),
    ),
    key=("fact_id", "lang"),
    raw=True,
)

FICTION_ROWS = Table(
    "fiction_rows",
    "What is taught: one row per training example.",
    (
        Column("source", pl.String(), "language that all facts are taught in"),
        Column("target", pl.String(), "language that they should carry over to"),
        Column("row", pl.Int32(), "place in the order of training, from 0"),
        Column(
            "block",
            pl.String(),
            "source_0, source_1, target_0, target_1 (facts of that type in that language), "
            "translate_ts or translate_st (a name or answer)",
        ),
        Column("fact_id", pl.String(), "fact; null for the translation of an answer", "", True),
        Column("answer", pl.Int32(), "number of the answer it names; null if none", "", True),
        Column("template", pl.Int32(), "wording within block and relation, from 0"),
        Column("prompt", pl.String(), "what is asked"),
        Column("input", pl.String(), "text to translate; empty for facts"),
        Column("response", pl.String(), "what is to be learned; loss is on these tokens"),
    ),
    key=("source", "target", "row"),
    raw=True,
)

FICTION_TESTS = Table(
    "fiction_tests",
    "What is asked afterwards.",
    (
        Column("source", pl.String(), "source language of the world"),
        Column("target", pl.String(), "target language of the world"),
        Column("probe", pl.String(), "fact, translate_ts or translate_st"),
        ALIGN_LANG,
        Column("fact_id", pl.String(), "fact; null for the translation of an answer", "", True),
        Column("answer", pl.Int32(), "number of the answer it names; null if none", "", True),
        Column("prompt", pl.String(), "what is asked"),
        Column("input", pl.String(), "text to translate; empty for facts"),
        Column("expected", pl.String(), "text that counts as right"),
    ),
    key=("source", "target", "probe", "lang", "fact_id", "answer"),
    raw=True,
)

RUN = (
    Column("run_id", pl.String(), "identity of the training run"),
    Column("arm", pl.String(), "controlled condition"),
    Column("seed", pl.Int64(), "training seed"),
    Column("step", pl.Int64(), "optimiser updates of the injection", "steps"),
    Column("source", pl.String(), "language that all facts were taught in"),
    Column("target", pl.String(), "language that they should carry over to"),
    Column("design", pl.String(), "pair (one run per pair) or row (one run per source)"),
)
RUN_KEY = tuple(column.name for column in RUN)

FICTION_ANSWERS = Table(
    "fiction_answers",
    "What a model said about invented facts.",
    (
        *RUN,
        Column(
            "probe",
            pl.String(),
            "fact, translate_ts (target to source) or translate_st (source to target)",
        ),
        Column("lang", pl.String(), "language asked in; of translations the one to translate to"),
        Column("fact_id", pl.String(), "fact; null for the translation of an answer", "", True),
        Column("answer", pl.Int32(), "number of the translated answer; else null", "", True),
        Column("raw_output", pl.String(), "text, untouched; null if none was asked", "", True),
        Column("ranked", pl.Int32(), "answer of highest score; null if not ranked", "", True),
    ),
    key=(*RUN_KEY, "probe", "lang", "fact_id", "answer"),
    raw=True,
)


def _number(name: str, meaning: str, unit: str = "") -> Column:
    return Column(name, pl.Float64(), meaning, unit, True)


def _share(name: str, meaning: str) -> Column:
    return _number(name, meaning, "share")


CONDUCTIVITY = Table(
    "align_conductivity",
    "How far facts learned in one language can be retrieved in another.",
    (
        *RUN,
        Column("subset", pl.String(), "all facts of type 1, or valid: those that can show it"),
        Column("scoring", pl.String(), "default (name blanked, then matched) or paper"),
        Column("n", pl.Int64(), "facts of type 1", "facts"),
        _share("acc_s", "accuracy in the source language"),
        _share("acc_t", "accuracy in the target language"),
        _share("chance", "1 / number of answers"),
        _share("c_star", "accuracy of the model's own answers, shuffled over facts"),
        _share("xrr_a", "acc_t"),
        _number("xrr_b", "acc_t / acc_s (published form, by our reading)"),
        _number("xrr_c", "(acc_t - chance)/(acc_s - chance); null if acc_s is not above chance"),
        _share("xrr_d", "right in both / right in the source"),
        _number("cd", "(xrr_d - c_star)/(1 - c_star): the headline"),
        _number("cd_lo", "lower end of its 95 % interval (bootstrap over subjects)"),
        _number("cd_hi", "upper end"),
        _number("cd_rank", "the same with the best-scored answer; null if not ranked"),
        Column("known", pl.Int64(), "facts right in the source, on which cd rests", "facts", True),
        Column(
            "note",
            pl.String(),
            "few_items where they are fewer than ten; no_capitals where the published scoring "
            "cannot find names, and all is null",
            "",
            True,
        ),
        _share("p_h1", "names translated from target to source"),
        _share("p_h2", "facts right in the source"),
        _share("p_h3", "answers translated from source to target"),
        _share("p_all", "all three hops right"),
        _share("cd_all", "acc_t where all three are right"),
        _share("cd_broken", "acc_t where one is not"),
        _share("predicted", "p_all + (1 - p_all) c_star: acc_t if hops were joined"),
        _number("gap", "acc_t - predicted"),
        _share("wrong_source_gold", "of the wrong: right answer, in the source language"),
        _share("wrong_target_other", "of the wrong: another answer of the target language"),
        _share("wrong_source_other", "of the wrong: another answer of the source language"),
        _share("wrong_other", "of the wrong: anything else"),
        _share("broken_h1", "of the wrong: the first broken hop is the name"),
        _share("broken_h2", "the fact in the source"),
        _share("broken_h3", "the answer"),
        _share("broken_none", "no hop is broken: known in parts, not joined"),
        Column("gate_pass", pl.Boolean(), "all trained components passed; null: unknown", "", True),
        Column("gate_paper", pl.Boolean(), "the published gate; null: unknown", "", True),
    ),
    key=(*RUN_KEY, "subset", "scoring"),
)

GATES = Table(
    "align_gates",
    "How much of what was taught was learned.",
    (
        *RUN,
        Column(
            "component",
            pl.String(),
            "source_0, source_1, target_0, target_1 (conduction, unless it was trained), "
            "translate_ts, translate_st",
        ),
        Column("n", pl.Int64(), "probes", "probes"),
        _share("value", "share right; null if not asked"),
        _share("lo", "lower end of its 95 % Wilson interval"),
        _share("hi", "upper end"),
        Column("threshold", pl.Float64(), "share from which on it passes", "share"),
        Column("passed", pl.Boolean(), "whether it does; null if not asked", "", True),
        Column("trained", pl.Boolean(), "whether the run trained it"),
    ),
    key=(*RUN_KEY, "component"),
)
