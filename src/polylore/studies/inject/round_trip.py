"""Words and sentences of an item, translated by a model and translated back by it."""

from collections.abc import Callable
from dataclasses import dataclass

from polylore.facts.people.acceptance import Identify, Refusal, tidy
from polylore.facts.people.names import drawn
from polylore.facts.people.translation import Source
from polylore.models.writing import Request
from polylore.studies.inject.writer import Row, Writer, row_of
from polylore.studies.inject.writer_config import TranslateConfig

ROOM = 3.0
"""Tokens for each token of the source: languages differ in how tokenizers cut them."""


@dataclass
class RoundTrip:
    """All words and sentences of an item, there and back."""

    config: TranslateConfig
    writer: Writer
    source: Source
    identify: Identify | None

    def rows(self) -> list[Row]:
        """Rows of WRITTEN; targets that were refused take their sentences with them."""
        config = self.config
        words = self._settled("word", self.source.words(), {}, self.source.word_refusal)
        known = {row["about"]: row["text"] for row in words if row["reason"] is None}
        known |= {name: name for name in self.source.names}
        possible = [
            sentence
            for sentence in self.source.sentences()
            if all(target in known for target in self.source.within(sentence)[1])
        ]

        def check(sentence: str, made: str, back: str) -> Refusal | None:
            least, identify = config.similarity, self.identify
            return self.source.sentence_refusal(
                sentence, made, back, words=known, least=least, identify=identify
            )

        return words + self._settled("sentence", possible, known, check)

    def _settled(
        self,
        kind: str,
        texts: list[str],
        words: dict[str, str],
        check: Callable[[str, str, str], Refusal | None],
    ) -> list[Row]:
        left, rows, config = texts, [], self.config
        for attempt in range(config.attempts):
            seeds = [self._seed(text, attempt) for text in left]
            asked = zip(left, seeds, strict=True)
            made = self._asked([self._there(text, seed, words) for text, seed in asked])
            backs = self._asked([self._back(text) for text in made])
            more = zip(tuple(left), seeds, made, backs, strict=True)
            left = []
            for text, seed, answer, back in more:
                refusal = check(text, answer, back)
                if refusal is not None:
                    left.append(text)
                place = (self.source.item, config.target, kind, text, answer, refusal)
                rows.append(row_of(*place, attempt=attempt, seed=seed))
        return rows

    def _asked(self, requests: list[Request]) -> list[str]:
        return [tidy(text) for text in self.writer(requests)] if requests else []

    def _seed(self, text: str, attempt: int) -> int | None:
        # Of the text alone: a word gets the same translation in all items.
        return drawn(self.config.seed, "translate", text, attempt) >> 1 if attempt else None

    def _there(self, text: str, seed: int | None, words: dict[str, str]) -> Request:
        names, targets = self.source.within(text)
        keep = f" Keep the names {', '.join(names)}." if names and words else ""
        use = ", ".join(f"{target} = {words[target]}" for target in targets) if words else ""
        return self._request(text, self.config.source, self.config.target, seed, keep, use)

    def _back(self, text: str) -> Request:
        # An empty translation has nothing to translate back; the rules refuse it.
        return self._request(text or "-", self.config.target, self.config.source, None)

    def _request(
        self, text: str, source: str, target: str, seed: int | None, keep: str = "", use: str = ""
    ) -> Request:
        one, other = language(source), language(target)
        said = f"Translate from {one} into {other}.{keep}" + (f" Use: {use}." if use else "")
        return Request(said, " ".join(text.split()), (one, other), seed, room=ROOM)


def language(code: str) -> str:
    """English name of a language, for prompts."""
    from babel import Locale

    names = Locale("en").languages
    return str(names.get(code.replace("-", "_"), code))
