"""Writing the report of a run of `align`, with its figures and tables."""

from collections.abc import Callable
from pathlib import Path

from polylore.report import Report
from polylore.runs import RunFolder
from polylore.studies.align.pages import build_report
from polylore.studies.outputs import write_outputs

Progress = Callable[[int, int, str], None]
_INNER = (
    "align_parsed", "align_questions", "align_items", "align_prompts", "facts",
    "fiction_facts", "fiction_rows", "fiction_tests", "align_exposure",
)  # fmt: skip
"""Tables that the report does not need."""


def publish(run: RunFolder, progress: Progress | None = None) -> Path:
    """Write `report.html`, `figures/`, `latex/`, and every derived table as Parquet and CSV.

    Raises:
        DataError: the run was not scored.
    """
    frames = {name: run.table(name) for name in run.table_names() if name not in _INNER}
    tokens = run.read("align_tokens")
    if tokens.height:
        frames["align_tokens"] = tokens
    pivot = run.manifest.get("analysis", {}).get("score", {}).get("pivot", "en")

    def build() -> Report:
        return build_report(frames, pivot=pivot, provenance=_provenance(run))

    return write_outputs(run, build, frames, progress, latex=True)


def _provenance(run: RunFolder) -> dict[str, str]:
    manifest = run.manifest
    said = manifest.get("git", {}).get("commit")
    series = manifest.get("series", {})
    found = {
        "models": ", ".join(series.get("models", [])),
        "inputs": ", ".join(f"{k} {v[:12]}" for k, v in sorted(manifest["inputs"].items())),
        "command": " ".join(manifest.get("command", [])),
        "versions": ", ".join(f"{k} {v}" for k, v in manifest.get("versions", {}).items()),
        "code": said or "",
    }
    return {name: value for name, value in found.items() if value}
