"""Writes what an acceptance experiment measured, with everything needed to repeat it."""

from datetime import UTC, datetime
from pathlib import Path

from polylore.runs.manifest import git_state, versions


def write_results(path: Path, title: str, command: list[str], lines: list[str]) -> None:
    """Write a Markdown page: command, date, versions, code state, then the measured lines."""
    state = git_state()
    commit = state.get("commit", "unknown") + ("" if state.get("clean") else " (with changes)")
    words = ["python" if word.endswith(("python", "python3")) else word for word in command]
    head = [
        f"# {title}",
        "",
        "Written by the program; do not edit.",
        "",
        f"- command: `{' '.join(words)}`",
        f"- date: {datetime.now(UTC):%Y-%m-%d}",
        f"- code: {commit}",
        f"- versions: {', '.join(f'{k} {v}' for k, v in versions().items())}",
        "",
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*head, *lines, ""]), encoding="utf-8")
