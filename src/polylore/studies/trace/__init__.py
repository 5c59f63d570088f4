"""The study `trace`: when does a model come to know a fact in each language?"""

from polylore.studies.trace.config import (
    AnalyseConfig,
    AskConfig,
    ExecutionConfig,
    FactsConfig,
    TraceConfig,
)
from polylore.studies.trace.study import trace

__all__ = ["AnalyseConfig", "AskConfig", "ExecutionConfig", "FactsConfig", "TraceConfig", "trace"]
