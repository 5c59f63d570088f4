"""Counting anew what documents tell, from their texts alone and not from anybody's plan.

The composer knows what it wrote; whoever judges an experiment should not have to believe it. The
texts of composed corpora repeat, so each is searched once.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import polars as pl

from polylore.corpus.expressed import POLICY, Finder, folded, stands_alone
from polylore.tables import raw
from polylore.text import language

if TYPE_CHECKING:
    from polylore.facts.factset import FactSet

MATCHES = {
    "doc_id": pl.Int64(),
    "step": pl.Int64(),
    "fact_id": pl.String(),
    "lang": pl.String(),
}
"""Schema of matches: a document, read at a step, that expresses a fact in the words of a language.
"""


def count_facts(texts: Sequence[str], facts: pl.DataFrame, lang: str) -> list[list[str]]:
    """The facts that each text expresses, by the counting policy; the seam to the engine.

    Args:
        texts: any texts.
        facts: table FACTS, rows of one language.
        lang: that language.

    Returns:
        One list of fact_ids per text.
    """
    return list(Finder(facts, lang)(texts)) if facts.height and texts else [[] for _ in texts]


def matches(
    documents: pl.DataFrame, factset: "FactSet", *, lang_conditioned: bool = True
) -> pl.DataFrame:
    """Which documents express which facts in which language; columns of `MATCHES`.

    Args:
        documents: doc_id, step, lang (null if unknown: searched in every language) and text.
        factset: facts to look for.
        lang_conditioned: look for a language's facts only in its own documents; otherwise in all,
            as counts of strings without language identification do.
    """
    parts = [pl.DataFrame(schema=MATCHES)]
    for lang in factset.languages:
        own = documents
        if lang_conditioned:
            own = documents.filter(pl.col("lang").is_null() | (pl.col("lang") == lang))
        texts = own["text"].unique(maintain_order=True)
        found = count_facts(texts.to_list(), factset.facts.filter(pl.col("lang") == lang), lang)
        hits = pl.DataFrame({"text": texts, "fact_id": pl.Series(found, dtype=pl.List(pl.String))})
        hits = hits.filter(pl.col("fact_id").list.len() > 0).explode("fact_id")
        joined = own.select("doc_id", "step", "text").join(
            hits, on="text", how="inner", maintain_order="left"
        )
        parts.append(joined.with_columns(lang=pl.lit(lang)).select(*MATCHES))
    return pl.concat(parts)


def total_exposure(
    found: pl.DataFrame, factset: "FactSet", *, lang_conditioned: bool, source: str
) -> pl.DataFrame:
    """Matches as exposure of kind `total`: one row per cell of the fact set, zeros included.

    Returns:
        Contract `tables.raw.EXPOSURE`.
    """
    counts = found.group_by("fact_id", "lang").agg(pl.len().cast(pl.Int64()).alias("count"))
    cells = factset.facts.select("fact_id", "lang")
    return raw.EXPOSURE.validate(
        cells.join(counts, on=["fact_id", "lang"], how="left", maintain_order="left").with_columns(
            pl.col("count").fill_null(0),
            source=pl.lit(source),
            unit=pl.lit("document"),
            exact=pl.lit(value=True),
            exposure_kind=pl.lit("total"),
            lang_conditioned=pl.lit(value=lang_conditioned),
            policy_id=pl.lit(POLICY),
        )
    )


def count_names(texts: Iterable[tuple[str, int]], names: Sequence[str], lang: str) -> pl.DataFrame:
    """In how many documents of a language each name occurs; columns lang, name, count.

    Args:
        texts: distinct texts, each with the number of documents that have it.
        names: names to look for.
        lang: language of names and texts.
    """
    wanted = dict.fromkeys(folded(name) for name in names)
    counts = dict.fromkeys(wanted, 0)
    bounded = language(lang).bounded
    rows = [(folded(text), n) for text, n in texts]
    frame = pl.DataFrame(rows, schema={"text": pl.String(), "n": pl.Int64()}, orient="row")
    frame = frame.with_columns(
        name=pl.col("text").str.extract_many(list(wanted), overlapping=True),
        at=pl.col("text").str.find_many(list(wanted), overlapping=True),
    )
    for text, n, found, starts in frame.iter_rows():
        raw_text = text.encode()
        whole = {
            name
            for name, at in zip(found or (), starts or (), strict=True)
            if not bounded or stands_alone(raw_text, at, at + len(name.encode()))
        }
        for name in whole:
            counts[name] += n
    return pl.DataFrame(
        [(lang, name, counts[folded(name)]) for name in dict.fromkeys(names)],
        schema={"lang": pl.String(), "name": pl.String(), "count": pl.Int64()},
        orient="row",
    )
