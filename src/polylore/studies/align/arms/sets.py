"""The sets that arms are asked: those of a primer, or any that `align evaluate` can ask."""

from dataclasses import replace

import polars as pl

from polylore.errors import ConfigError
from polylore.facts.choices.from_facts import FREE, sets_of_facts
from polylore.facts.factset import FactSet
from polylore.facts.fiction.primer import Primer
from polylore.studies.align.arms.config import ArmsEvalConfig
from polylore.studies.align.asking.sets import Sets, load_sets, prompts_of
from polylore.tables import raw
from polylore.tables.align import ALIGN_PROMPTS, QUESTIONS

FACTS, INSTRUCTED = "facts", "questions"
"""Names of the primer's sets: beginnings of sentences, and questions not asked in training."""
OPTIONS = 4


def primer_sets(primer: Primer) -> tuple[Sets, pl.DataFrame]:
    """Sets and prompts of a primer.

    `facts` asks every fact in the wording that no model reads it in; `questions` asks the facts
    that instruction tuning leaves out, in its words. Each exists with options and freely.

    Returns:
        The sets, and table ALIGN_PROMPTS.
    """
    parts, prompts = [], []
    for name in (FACTS, INSTRUCTED):
        asked = {
            (fact.id, tongue.lang): primer.cloze(tongue, fact, fact.held_out)
            if name == FACTS
            else primer.question(tongue, fact)
            for tongue in primer.tongues
            for fact in primer.facts
        }
        factset = _factset(primer, name)
        made = sets_of_facts(factset, k=OPTIONS, seed=primer.config.seed, name=name)
        texts = [
            asked[fact_id, lang]
            for fact_id, lang in made.questions.select("source_id", "lang").iter_rows()
        ]
        questions = made.questions.with_columns(question=pl.Series(texts, dtype=pl.String))
        parts.append(Sets(QUESTIONS.validate(questions), made.items, factset.facts))
        prompts.append(_prompts(questions))
    facts = pl.concat([part.facts for part in parts]).unique(["fact_id", "lang"], keep="first",
                                                            maintain_order=True)  # fmt: skip
    sets = Sets(
        pl.concat([part.questions for part in parts]),
        pl.concat([part.items for part in parts]),
        facts,
    )
    return sets, pl.concat(prompts)


def _factset(primer: Primer, name: str) -> FactSet:
    config = primer.config
    numbers = range(config.objects)
    rows = [
        {
            "fact_id": fact.id,
            "relation": f"p{fact.relation}",
            "lang": tongue.lang,
            "subject": primer.name(tongue, fact.subject),
            "object": primer.object(tongue, fact.relation, fact.object),
            "aliases": [],
            "candidate_ids": [f"p{fact.relation}.{n}" for n in numbers],
            "candidates": [primer.object(tongue, fact.relation, n) for n in numbers],
            "gold_pos": fact.object,
            "source": "invented",
            "flags": [],
        }
        for tongue in primer.tongues
        for fact in primer.facts
        if name == FACTS or not fact.instructed
    ]
    templates = [
        {
            "relation": f"p{relation}",
            "lang": tongue.lang,
            "kind": "prompt",
            "variant": 0,
            "template": "<subject> <mask>",
        }
        for relation in range(config.relations)
        for tongue in primer.tongues
    ]
    return FactSet(name, raw.FACTS.build(rows), raw.TEMPLATES.build(templates))


def _prompts(questions: pl.DataFrame) -> pl.DataFrame:
    """Questions as they stand: the answer follows behind a space."""
    free = pl.col("dataset").str.ends_with(FREE)
    mode = pl.when(free).then(pl.lit("generate")).otherwise(pl.lit("text_ll"))
    made = questions.select(
        "dataset",
        "item",
        "lang",
        mode=mode,
        variant=pl.lit("plain"),
        text=pl.col("question"),
        delimiter=pl.lit(" "),
        demo_items=pl.lit([], dtype=pl.List(pl.Int32())),
    )
    return ALIGN_PROMPTS.validate(made)


def asked_sets(
    config: ArmsEvalConfig, pivot: str, primer: Primer | None
) -> tuple[Sets, pl.DataFrame] | None:
    """Everything that arms are asked beside invented facts; None if nothing is.

    Raises:
        PolyloreError: sets that are not there, or lack the pivot or a language.
    """
    if config.sets is not None:
        sets = load_sets(config.sets, pivot)
        prompts = prompts_of(sets, config.ask, pivot)
    elif primer is not None:
        sets, prompts = primer_sets(primer)
    else:
        return None
    _refuse_absent(sets.questions["lang"].unique(maintain_order=True).to_list(), config, pivot)
    if config.langs is not None:
        spoken = pl.col("lang").is_in(config.langs)
        sets = replace(sets, questions=sets.questions.filter(spoken))
        prompts = prompts.filter(spoken)
    return sets, prompts


def _refuse_absent(there: list[str], config: ArmsEvalConfig, pivot: str) -> None:
    """Refuse languages that the sets lack, and a pivot that is not asked in."""
    asked = there if config.langs is None else config.langs
    absent = [lang for lang in asked if lang not in there]
    if absent:
        raise ConfigError(
            f"eval.langs has {', '.join(absent)}, in which there is nothing to ask; the sets have "
            f"{', '.join(there)}."
        )
    if pivot not in asked:
        raise ConfigError(
            f"The pivot '{pivot}' is none of the languages that sets are asked in; choose one of "
            f"{', '.join(asked) or ', '.join(there)} with pivot, or add it to eval.langs."
        )
