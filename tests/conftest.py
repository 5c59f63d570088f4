"""Shared fixtures."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says something about the machine, not about the code.
settings.register_profile("polylore", deadline=None)
settings.load_profile("polylore")

PUBLISHED = Path(__file__).resolve().parents[2] / "shared" / "published"


@pytest.fixture(scope="session")
def published() -> Path:
    """Folder of published data and golden values; tests that need it skip where it is absent."""
    if not PUBLISHED.is_dir():
        pytest.skip("published golden data (../shared/published) is not on this machine")
    return PUBLISHED


@pytest.fixture(scope="session")
def run_two() -> Callable[..., None]:
    """Run a script in two processes, whose words may depend on the rank, until both have ended."""

    def run(script: Path, words: Callable[[int], list[str]], **environment: str) -> None:
        both = [
            subprocess.Popen(
                [sys.executable, "-W", "ignore", str(script), *words(rank)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                env=os.environ | environment,
            )
            for rank in range(2)
        ]
        try:
            for process in both:
                _, errors = process.communicate(timeout=300)
                assert process.returncode == 0, errors[-3000:]
        finally:
            for process in both:
                process.kill()
                process.communicate()

    return run
