"""Checkpoints and what they answer: loading, series, scoring and generation."""

from polylore.models.answers import Generation, PreparedPrompts, prepare_prompts
from polylore.models.fingerprint import fingerprint, weight_hash
from polylore.models.generation import generate, generate_prepared
from polylore.models.loading import LanguageModel, load_model, swap_weights, wrap
from polylore.models.names import CheckpointName, parse_name
from polylore.models.questions import EngineReport, Prepared, Question, prepare
from polylore.models.resolve import Resolved, resolve
from polylore.models.scoring import Score, score, score_prepared
from polylore.models.series import Series, read_series, scan_series
from polylore.models.spans import Encoded, encode
from polylore.models.store import Source, Store

__all__ = [
    "CheckpointName",
    "Encoded",
    "EngineReport",
    "Generation",
    "LanguageModel",
    "Prepared",
    "PreparedPrompts",
    "Question",
    "Resolved",
    "Score",
    "Series",
    "Source",
    "Store",
    "encode",
    "fingerprint",
    "generate",
    "generate_prepared",
    "load_model",
    "parse_name",
    "prepare",
    "prepare_prompts",
    "read_series",
    "resolve",
    "scan_series",
    "score",
    "score_prepared",
    "swap_weights",
    "weight_hash",
    "wrap",
]
