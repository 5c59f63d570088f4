"""Show me documents that express this fact."""

from collections.abc import Iterator, Sequence

import polars as pl

from polylore.corpus.documents import find_shards, read_order, read_shard
from polylore.corpus.documents.languages import canonical, with_languages
from polylore.corpus.exposure.patterns import Patterns
from polylore.corpus.exposure.sample import Sampler, Sighting
from polylore.errors import ConfigError
from polylore.studies.count.config import CountConfig


def sample_documents(
    config: CountConfig,
    fact_id: str,
    *,
    langs: Sequence[str] | None = None,
    any_language: bool = False,
) -> Iterator[Sighting]:
    """Documents that express a fact, in the order of the corpus, as they are found.

    Args:
        config: corpus, facts and policy; the unit is the document.
        fact_id: the fact.
        langs: languages of the fact to look for; all if None.
        any_language: also documents of another language than that of the fact's names.

    Raises:
        ConfigError: the fact set has no such fact, or not in such a language.
        DataError: a shard cannot be read.
    """
    facts = config.facts.load().facts
    wanted = facts.filter(pl.col("fact_id") == fact_id)
    if wanted.is_empty():
        some = ", ".join(facts["fact_id"].unique(maintain_order=True).head(5))
        raise ConfigError(f"There is no fact '{fact_id}'; there are, for example, {some}.")
    if langs is not None:
        unknown = [lang for lang in langs if lang not in set(wanted["lang"])]
        if unknown:
            raise ConfigError(
                f"Fact '{fact_id}' is not told in {', '.join(unknown)}; it is in "
                f"{', '.join(wanted['lang'])}."
            )
        wanted = wanted.filter(pl.col("lang").is_in(list(langs)))
    policy = config.effective_policy()
    sampler = Sampler(Patterns.of(wanted, policy), policy)
    documents = config.documents
    order = None if documents.order is None else read_order(documents.order)
    for shard in find_shards(documents):
        for batch in read_shard(shard, documents, order=order, ids=True):
            known = with_languages(batch, identify=documents.langid)
            for hit in sampler.find(known, shard.name):
                if any_language or hit.doc_lang is None or hit.doc_lang == canonical(hit.lang):
                    yield hit
