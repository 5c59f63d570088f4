"""The run folder: manifest, units of work, resume, executors."""

from polylore.runs.executor import run_batches
from polylore.runs.folder import RunFolder

__all__ = ["RunFolder", "run_batches"]
