"""Tables and page of a sweep."""

from collections.abc import Callable
from pathlib import Path

from polylore.runs import RunFolder
from polylore.studies.unify.scoring import score

Progress = Callable[[int, int, str], None]


def report(run: RunFolder, *, progress: Progress | None = None) -> Path:
    """Make all numbers of a sweep from its units, and write the page."""
    score(run)
    return run.path / "report.html"
