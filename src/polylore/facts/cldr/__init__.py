"""The built-in real facts, derived at run time from Unicode CLDR data through Babel."""

from polylore.facts.cldr.build import build
from polylore.facts.cldr.claims import RELATIONS
from polylore.facts.cldr.wordings import languages

__all__ = ["RELATIONS", "build", "languages"]
