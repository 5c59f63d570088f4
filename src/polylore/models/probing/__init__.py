"""Probes of a model in training: one forward gives every variant of the score."""

from polylore.models.probing.reading import READING, read
from polylore.models.probing.sheet import Sheet, make_sheet
from polylore.models.probing.text import ProbeText, probe_texts

__all__ = ["READING", "ProbeText", "Sheet", "make_sheet", "probe_texts", "read"]
