"""What the strings of every fact share with the pivot's, as matrices."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from polylore.errors import ConfigError
from polylore.metrics.index import Array, FactIndex
from polylore.metrics.surface import surface
from polylore.text import normalise, similarity
from polylore.text.languages import language


@dataclass(frozen=True)
class Surfaces:
    """Flags by (fact, language); False, and similarity NaN, in the pivot itself."""

    same_object: Array
    same_pair: Array
    answer_in_subject: Array
    sim: Array
    """1 - Levenshtein distance / longer length of the two objects after normalisation."""
    script_same_L: tuple[bool | None, ...]
    """Whether a language is written like the pivot; null where its script is unknown."""
    present: Array
    """Facts that the language has."""

    @classmethod
    def of(
        cls, facts: pl.DataFrame, index: FactIndex, langs: tuple[str, ...], pivot: str
    ) -> "Surfaces":
        """Compare every fact with the pivot's."""
        cells = pl.DataFrame({"lang": langs})
        flags = surface(facts, pivot)
        same_object, same_pair, inside = (
            index.dense(flags, name, cells) == 1
            for name in ("same_object", "same_pair", "answer_in_subject")
        )
        sim = index.dense(_similarities(facts, pivot), "sim", cells)
        present = ~np.isnan(index.dense(flags.with_columns(_one=pl.lit(1)), "_one", cells))
        scripts = tuple(_same_script(lang, pivot) for lang in langs)
        return cls(same_object, same_pair, inside, sim, scripts, present)

    def shared(self, similar: float) -> Array:
        """Cells whose answer another language's string, or the question, gives away."""
        alike = np.nan_to_num(self.sim, nan=-1.0) >= similar
        return self.same_object | alike | self.answer_in_subject


def _similarities(facts: pl.DataFrame, pivot: str) -> pl.DataFrame:
    known: dict[tuple[str, str], float] = {}
    texts = {text: normalise(text) for text in facts["object"].unique().to_list()}
    home = {
        fact: texts[gold]
        for fact, gold in facts.filter(lang=pivot).select("fact_id", "object").iter_rows()
    }
    rows = []
    others = facts.filter(pl.col("lang") != pivot).select("fact_id", "lang", "object")
    for fact, lang, gold in others.iter_rows():
        if fact in home:
            pair = (texts[gold], home[fact])
            if pair not in known:
                known[pair] = similarity(*pair)
            rows.append((fact, lang, known[pair]))
    schema = {"fact_id": pl.String(), "lang": pl.String(), "sim": pl.Float64()}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _same_script(lang: str, pivot: str) -> bool | None:
    if lang == pivot:
        return None
    try:
        scripts = {language(code).script for code in (lang, pivot)}
    except ConfigError:  # a made-up code is no reason not to analyse its answers
        return None
    return None if "Zzzz" in scripts else len(scripts) == 1
