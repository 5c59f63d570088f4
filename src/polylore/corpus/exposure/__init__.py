"""Counting how often a corpus expresses each fact (specification of `trace`, sections 2.3, 4.3)."""

from polylore.corpus.exposure.counter import Counter
from polylore.corpus.exposure.patterns import Patterns
from polylore.corpus.exposure.policy import CountingPolicy

__all__ = ["Counter", "CountingPolicy", "Patterns"]
