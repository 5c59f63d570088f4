"""The run folder: manifest, units of work, resume, executors."""

from polylore.runs.executor import run_batches
from polylore.runs.folder import RunFolder
from polylore.runs.latest import Latest

__all__ = ["Latest", "RunFolder", "run_batches"]
