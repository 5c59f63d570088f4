"""What a run is: its configuration, inputs, seeds, versions and code state, in one JSON file."""

import importlib.metadata
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from polylore.config import digest

FORMAT = 1
_PACKAGES = (
    "polylore", "torch", "transformers", "tokenizers", "safetensors", "polars", "numpy", "babel",
    "vllm", "peft",
)  # fmt: skip


def describe(kind: str, config: dict[str, Any], inputs: dict[str, str]) -> dict[str, Any]:
    """A fresh manifest.

    Args:
        kind: the study or command that owns the folder.
        config: plain values that decide the results; nothing that only decides speed.
        inputs: name of each input and the digest of its content.
    """
    return {
        "format": FORMAT,
        "kind": kind,
        "config": config,
        "config_digest": digest(config),
        "inputs": inputs,
        "versions": versions(),
        "git": git_state(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change a number."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def git_state() -> dict[str, Any]:
    """Commit and cleanliness of the source checkout polylore runs from; empty for an install."""
    here = Path(__file__).resolve().parent

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(here), *words], capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        # A wheel installed inside somebody else's repository must not claim that commit.
        if not git("ls-files", str(Path(__file__).resolve())):
            return {}
        return {"commit": git("rev-parse", "HEAD"), "clean": not git("status", "--porcelain")}
    except OSError:
        return {}
