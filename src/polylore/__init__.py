"""polylore: what does a language model know, in which languages, since when, and where from?

The names below are the public surface. They load on first use, so importing polylore is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "AlignConductConfig",
    "AlignEvaluateConfig",
    "AlignRescoreConfig",
    "ArmsConfig",
    "ComposeConfig",
    "CountConfig",
    "FactSet",
    "PolyloreError",
    "Probe",
    "ProbeCallback",
    "RunFolder",
    "TraceConfig",
    "TrainConfig",
    "__version__",
    "compare_arms",
    "compose",
    "conduct",
    "count",
    "evaluate",
    "generate",
    "load_facts",
    "load_model",
    "read_series",
    "rescore",
    "run_arms",
    "score",
    "trace",
    "train",
]

# Which room each public name lives in.
_ROOMS = {
    "corpus": ("ComposeConfig", "compose"),
    "errors": ("PolyloreError",),
    "facts": ("FactSet", "load_facts"),
    "models": ("generate", "load_model", "read_series", "score"),
    "runs": ("RunFolder",),
    "studies.align.arms.config": ("ArmsConfig",),
    "studies.align.arms.study": ("compare_arms", "run_arms"),
    "studies.align.asking.config": ("AlignEvaluateConfig",),
    "studies.align.asking.study": ("evaluate",),
    "studies.align.conducting.config": ("AlignConductConfig",),
    "studies.align.conducting.study": ("conduct",),
    "studies.align.config": ("AlignRescoreConfig",),
    "studies.align.rescore": ("rescore",),
    "studies.count.config": ("CountConfig",),
    "studies.count.study": ("count",),
    "studies.trace.config": ("TraceConfig",),
    "studies.trace.probe": ("Probe",),
    "studies.trace.study": ("trace",),
    "studies.trace.trainer_callback": ("ProbeCallback",),
    "training.config": ("TrainConfig",),
    "training.loop": ("train",),
}
_HOMES = {name: f"polylore.{room}" for room, names in _ROOMS.items() for name in names}

if TYPE_CHECKING:
    from polylore.corpus import ComposeConfig, compose
    from polylore.errors import PolyloreError
    from polylore.facts import FactSet, load_facts
    from polylore.models import generate, load_model, read_series, score
    from polylore.runs import RunFolder
    from polylore.studies.align.arms.config import ArmsConfig
    from polylore.studies.align.arms.study import compare_arms, run_arms
    from polylore.studies.align.asking.config import AlignEvaluateConfig
    from polylore.studies.align.asking.study import evaluate
    from polylore.studies.align.conducting.config import AlignConductConfig
    from polylore.studies.align.conducting.study import conduct
    from polylore.studies.align.config import AlignRescoreConfig
    from polylore.studies.align.rescore import rescore
    from polylore.studies.count.config import CountConfig
    from polylore.studies.count.study import count
    from polylore.studies.trace.config import TraceConfig
    from polylore.studies.trace.probe import Probe
    from polylore.studies.trace.study import trace
    from polylore.studies.trace.trainer_callback import ProbeCallback
    from polylore.training.config import TrainConfig
    from polylore.training.loop import train


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'polylore' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
