"""Shared fixtures."""

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
