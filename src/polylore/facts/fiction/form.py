"""How a question about an invented fact stands before its answer, in training and asking alike."""

import polars as pl

from polylore.facts.fiction.config import FormConfig
from polylore.facts.fiction.slots import OBJECT, SUBJECT, wordings
from polylore.facts.fiction.world import World
from polylore.tables.fiction import FICTION_TESTS


def question(prompt: str, text: str, form: FormConfig) -> str:
    """A question as it is put, and after it what is to be translated, if anything."""
    return f"{form.before}{prompt} {text}" if text else f"{form.before}{prompt}"


def example(prompt: str, text: str, response: str, form: FormConfig) -> tuple[str, str]:
    """A training example: what is given, and what is to be learned."""
    return question(prompt, text, form) + form.between, response + form.end


def stems(world: World, lang: str) -> dict[str, str]:
    """How an answer begins in one language, up to the name of the answer, by fact.

    The words are those of the first wording that names the answer in training, so that candidates
    stand where the model learned to write them.

    Returns:
        fact_id to text; facts of a relation that is never told in the language are absent.
    """
    first: dict[str, str] = {}
    for wording in wordings(world, lang):
        if OBJECT in wording.skeleton:
            first.setdefault(wording.relation, wording.skeleton.split(OBJECT)[0])
    told = world.told(lang).select("fact_id", "relation", "subject")
    return {
        fact_id: first[relation].replace(SUBJECT, subject)
        for fact_id, relation, subject in told.iter_rows()
        if relation in first
    }


def all_tests(world: World) -> pl.DataFrame:
    """The world's tests, and the way back into the source where they leave it out.

    The published tests only ask for translations into the target, but the first hop of conduction
    is the name's way into the source. It is asked in the words of training; no others are shipped.

    Returns:
        Table FICTION_TESTS.
    """
    if (world.tests["probe"] == "translate_ts").any():
        return world.tests
    taught = world.rows.filter((pl.col("block") == "translate_ts") & (pl.col("template") == 0))
    added = taught.select(
        "source",
        "target",
        "fact_id",
        "prompt",
        "input",
        probe=pl.col("block"),
        lang=pl.col("source"),
        answer=pl.when(pl.col("fact_id").is_null()).then("answer"),
        expected=pl.col("response"),
    )
    return FICTION_TESTS.validate(
        pl.concat([world.tests, added.unique(maintain_order=True)], how="diagonal")
    )
