"""A question and its answer as one sentence, with where the subject ends (`trace`, section 4.6)."""

import polars as pl

from polylore.facts.factset import FactSet
from polylore.facts.prompts import fill, template_heads
from polylore.text import language


def build_sentences(
    factset: FactSet, *, variant: int, delimiter: str | None = None
) -> pl.DataFrame:
    """The bare question of every fact, its answer, and where its subject ends.

    Without demonstrations: what they say would be part of every vector.

    Args:
        factset: facts and templates.
        variant: number of the prompt template.
        delimiter: string between question and answer; None for each language's own.

    Returns:
        Columns fact_id, relation, lang, prompt, subject_end (characters of the prompt up to the end
        of its last mention of the subject), delimiter, answer; facts in their order.

    Raises:
        ConfigError: some relation lacks this template.
        DataError: a template that names its subject only after <mask>.
    """
    heads = template_heads(factset, [variant])
    rows = []
    columns = ("fact_id", "relation", "lang", "subject", "object")
    for fact_id, relation, lang, subject, gold in factset.facts.select(columns).iter_rows():
        head = heads[relation, lang, variant]
        prompt = fill(head, subject)
        between = language(lang).delimiter if delimiter is None else delimiter
        end = _subject_end(head, subject, len(prompt))
        rows.append((fact_id, relation, lang, prompt, end, between, gold))
    schema = {
        "fact_id": pl.String(),
        "relation": pl.String(),
        "lang": pl.String(),
        "prompt": pl.String(),
        "subject_end": pl.Int64(),
        "delimiter": pl.String(),
        "answer": pl.String(),
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def _subject_end(head: str, subject: str, length: int) -> int:
    """Where the last mention of the subject ends in the stripped prompt of so many characters."""
    before = head.rpartition("<subject>")[0].replace("<subject>", subject) + subject
    lost = len(before) - len(before.lstrip())
    return min(len(before.rstrip()) - lost, length)
