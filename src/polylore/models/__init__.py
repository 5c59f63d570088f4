"""Checkpoints and what they answer: loading, series, scoring and generation."""

from polylore.models.alignment import Alignment, align
from polylore.models.answers import Generation, PreparedPrompts, prepare_prompts
from polylore.models.fingerprint import fingerprint, weight_hash
from polylore.models.generation import generate, generate_prepared
from polylore.models.hidden import Layers, layers_of, read_vectors
from polylore.models.loading import LanguageModel, load_model, swap_weights, wrap
from polylore.models.names import CheckpointName, parse_name
from polylore.models.questions import EngineReport, Prepared, Question, prepare
from polylore.models.resolve import Resolved, resolve
from polylore.models.scoring import Score, score, score_prepared
from polylore.models.sentences import Placed, Position, Sentence, place
from polylore.models.series import Series, read_series, scan_series
from polylore.models.spans import Encoded, encode
from polylore.models.store import Source, Store

__all__ = [
    "Alignment",
    "CheckpointName",
    "Encoded",
    "EngineReport",
    "Generation",
    "LanguageModel",
    "Layers",
    "Placed",
    "Position",
    "Prepared",
    "PreparedPrompts",
    "Question",
    "Resolved",
    "Score",
    "Sentence",
    "Series",
    "Source",
    "Store",
    "align",
    "encode",
    "fingerprint",
    "generate",
    "generate_prepared",
    "layers_of",
    "load_model",
    "parse_name",
    "place",
    "prepare",
    "prepare_prompts",
    "read_series",
    "read_vectors",
    "resolve",
    "scan_series",
    "score",
    "score_prepared",
    "swap_weights",
    "weight_hash",
    "wrap",
]
