"""Work that other processes can import by name."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def workers() -> Iterator[ModuleType]:
    folder = str(Path(__file__).parent)
    old = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [folder, old]))
    sys.path.insert(0, folder)
    import workers as module  # type: ignore[import-not-found]

    yield module
    sys.path.remove(folder)
    if old is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = old
