"""Counting one shard: batches of documents in, sums per fact, language of the document and step.

Batches of whole documents take the fast way: one pass of the matcher over about a megabyte, and
then array arithmetic on its hits. What needs a closer look (windows, documents whose parts were
read at different steps) is in `careful`, documents longer than memory in `long_document`.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from polylore.corpus.documents.batch import SEPARATOR, Batch
from polylore.corpus.exposure.careful import careful, window_pairs
from polylore.corpus.exposure.long_document import LongDocument
from polylore.corpus.exposure.matcher import Hits, Matcher
from polylore.corpus.exposure.occurrences import Occurrences
from polylore.corpus.exposure.patterns import Patterns
from polylore.corpus.exposure.policy import CountingPolicy
from polylore.corpus.exposure.segments import in_sentences, sentence_ends
from polylore.corpus.exposure.sums import Sums

Numbers = NDArray[np.int64]


class Counter:
    """Counts what batches express. Give it the batches of a shard in their order."""

    def __init__(
        self,
        patterns: Patterns,
        policy: CountingPolicy,
        *,
        matcher: Matcher | None = None,
        steps_per_row: int = 1,
    ) -> None:
        """`matcher` may be shared between counters of the same names and boundaries."""
        self.patterns, self.policy = patterns, policy
        self.matcher = matcher or Matcher(patterns.names, policy.boundaries)
        self.sums = Sums(patterns, steps_per_row)
        self.documents = self.text_bytes = self.with_lang = self.unread = 0
        """Documents that were finished, bytes of text, and documents of a known language and
        without a step in a known order."""
        self._open: LongDocument | None = None

    def add(self, batch: Batch) -> None:
        """Count a batch."""
        whole = not (batch.continues or batch.unfinished)
        if whole or (batch.scattered and self.policy.unit == "sequence"):
            self._block(batch)
        else:
            if self._open is None:
                self._open = LongDocument(
                    self.patterns, self.policy, self.matcher, scattered=batch.scattered
                )
            self._open.add(batch)
            if not batch.unfinished:
                self._finish(self._open, batch)
                self._open = None
        self.text_bytes += len(batch.data) - batch.count + 1
        if not batch.unfinished:
            self.documents += batch.count
            self.with_lang += sum(lang is not None for lang in batch.langs or ())
            self.unread += sum(not steps for steps in batch.steps or ())

    def _block(self, batch: Batch) -> None:
        folded = self.policy.fold(batch.data)
        hits = self.matcher.find(folded)
        if not len(hits):
            return
        separators = np.flatnonzero(np.frombuffer(folded, dtype=np.uint8) == SEPARATOR[0])
        if self.policy.unit == "sentence":
            self._sentences(batch, folded, hits, separators)
            return
        document = np.searchsorted(separators, hits.start)
        found = Occurrences.of(hits, document, len(self.patterns.names))
        if self.policy.window is None:
            pairs = found.pairs(self.patterns, overlap=self.policy.overlap)
        else:
            pairs = window_pairs(self.patterns, self.policy, folded, separators, hits, found)
        self._record(batch, found, pairs, np.arange(batch.count))

    def _sentences(self, batch: Batch, folded: bytes, hits: Hits, separators: Numbers) -> None:
        ends = sentence_ends(folded.decode())
        # Behind a separator begins a new document, and so a new sentence.
        borders = np.union1d(ends, separators + 1)
        hits, unit = in_sentences(hits, borders)
        document = np.searchsorted(separators + 1, np.append(0, borders), side="right")
        found = Occurrences.of(hits, unit, len(self.patterns.names))
        pairs = found.pairs(self.patterns, overlap=self.policy.overlap)
        self._record(batch, found, pairs, document)

    def _record(
        self,
        batch: Batch,
        found: Occurrences,
        pairs: tuple[Numbers, Numbers],
        document: Numbers,
    ) -> None:
        """Add what was found; `document` gives the document of every unit."""
        groups = self.sums.groups(batch)
        self.sums.add("count", groups, document[pairs[0]], pairs[1])
        unit, item = found.subjects(self.patterns)
        self.sums.add("n_subj", groups, document[unit], item)
        unit, item = found.object_sets(self.patterns)
        self.sums.add("n_obj", groups, document[unit], item)

    def _finish(self, document: LongDocument, last: Batch) -> None:
        """Count a document that came in parts."""
        if document.extremes is not None:
            found = document.extremes.occurrences()
            if len(found.key):
                pairs = found.pairs(self.patterns, overlap=self.policy.overlap)
                self._record(last, found, pairs, np.zeros(1, dtype=np.int64))
            return
        lang = last.langs[0] if last.langs else None
        for reading, ordered in document.readings():
            for kind, time, item in careful(self.patterns, self.policy, self.matcher, reading):
                self.sums.add_one(kind, lang, time if ordered else None, item)

    def exposure(self, source: str, *, exact: bool = True) -> pl.DataFrame:
        """The sums as exposure (contract `tables.raw.EXPOSURE`), rows of zeros left out."""
        return self.sums.table(source, self.policy, exact=exact)
