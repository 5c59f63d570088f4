"""The questions whose states are compared: built once, tokenised once per tokenizer."""

from functools import cached_property

import numpy as np
import polars as pl

from polylore.errors import DataError
from polylore.facts import FactSet, build_sentences
from polylore.metrics.unification import LinkFacts
from polylore.models import LanguageModel, Placed, Sentence, place
from polylore.studies.unify.linking.config import StatesConfig
from polylore.tables.unify import LINK_PROMPTS
from polylore.text import normalise


class LinkPrompts:
    """All questions of a fact set in one wording."""

    def __init__(self, factset: FactSet, states: StatesConfig, *, variant: int, bos: bool) -> None:
        """Build them.

        Raises:
            DataError: facts in fewer than two languages.
            ConfigError: some relation lacks this template.
        """
        if len(factset.languages) < 2:
            raise DataError(
                f"Fact set {factset.name} is in {', '.join(factset.languages)} alone; states are "
                "compared between languages, so give facts in two or more."
            )
        self.states, self.bos = states, bos
        self.languages, self.fact_ids = factset.languages, factset.fact_ids
        self._facts = factset
        columns = factset.facts.select("fact_id", "lang", "subject", "object")
        self.frame = build_sentences(factset, variant=variant).join(
            columns, on=["fact_id", "lang"], how="left", maintain_order="left"
        )
        self._placed: dict[str, Placed] = {}
        self._tokenizer = ""

    @property
    def vectors(self) -> int:
        """Vectors of a layer that are in memory together."""
        return len(self.fact_ids) * len(self.languages) * len(self.states.positions)

    @cached_property
    def rows(self) -> dict[str, list[int]]:
        """Number of the fact of each question of a language."""
        number = {fact: n for n, fact in enumerate(self.fact_ids)}
        return {
            lang: [number[f] for f in self.frame.filter(lang=lang)["fact_id"]]
            for lang in self.languages
        }

    def placed(self, lm: LanguageModel, lang: str) -> Placed:
        """The questions of a language in the tokens of a model."""
        if self._tokenizer != lm.tokenizer_hash:
            self._placed, self._tokenizer = {}, lm.tokenizer_hash
        if lang not in self._placed:
            columns = ("prompt", "subject_end", "delimiter", "answer")
            asked = self.frame.filter(lang=lang).select(columns).iter_rows()
            sentences = [Sentence(*row) for row in asked]
            self._placed[lang] = place(lm, sentences, self.states.positions, bos=self.bos)
        return self._placed[lang]

    def tokens(self, lm: LanguageModel, lang: str) -> list[tuple[int, ...]]:
        """Token ids of every question of a language."""
        placed = self.placed(lm, lang)
        return [tuple(placed.rows[row]) for row in placed.row_PN[0]]

    def table(self, lm: LanguageModel, ckpt_id: str) -> pl.DataFrame:
        """Table LINK_PROMPTS of a checkpoint."""
        lengths = [len(ids) for lang in self.languages for ids in self.tokens(lm, lang)]
        ordered = pl.concat([self.frame.filter(lang=lang) for lang in self.languages])
        return LINK_PROMPTS.validate(
            ordered.select("fact_id", "relation", "lang", "subject", "prompt").with_columns(
                ckpt_id=pl.lit(ckpt_id), n_tokens=pl.Series(lengths, dtype=pl.Int32)
            )
        )

    def facts(self, lm: LanguageModel) -> LinkFacts:
        """Who the facts are, and which are the same tokens in two languages."""
        n, languages = len(self.fact_ids), len(self.languages)
        written: list[list[object]] = [[None] * n for _ in self.languages]
        for number, lang in enumerate(self.languages):
            subjects = self.frame.filter(lang=lang)["subject"]
            for row, subject, ids in zip(
                self.rows[lang], subjects, self.tokens(lm, lang), strict=True
            ):
                written[number][row] = (subject, ids)
        identical = np.zeros((n, languages, languages), dtype=bool)
        for a in range(languages):
            for b in range(a + 1, languages):
                same = [
                    x is not None and x == y for x, y in zip(*(written[a], written[b]), strict=True)
                ]
                identical[:, a, b] = identical[:, b, a] = same
        relations = [self._facts.relation_of[fact] for fact in self.fact_ids]
        return LinkFacts(self.fact_ids, relations, self._objects(), identical)

    def _objects(self) -> np.typing.NDArray[np.int64]:
        """Code of each fact's object: its string in the first language that tells the fact."""
        first = self.frame.unique("fact_id", keep="first", maintain_order=True)
        text = dict(first.select("fact_id", "object").iter_rows())
        names = [normalise(text[fact]) for fact in self.fact_ids]
        return np.asarray(np.unique(names, return_inverse=True)[1], dtype=np.int64)
