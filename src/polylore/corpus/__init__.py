"""Documents: composing a training corpus from facts, and counting what it tells."""

from polylore.corpus.compose import Composed, compose, open_corpus
from polylore.corpus.config import ComposeConfig
from polylore.corpus.ledger import exposure_table

__all__ = ["ComposeConfig", "Composed", "compose", "exposure_table", "open_corpus"]
