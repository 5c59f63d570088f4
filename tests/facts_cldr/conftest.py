"""The built-in facts in all languages, derived once."""

import pytest

from polylore.facts.cldr import build
from polylore.facts.factset import FactSet


@pytest.fixture(scope="session")
def everything() -> FactSet:
    return build()
