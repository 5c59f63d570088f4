"""How a recalled fact got there: exposure, a shared string, a guess, or another language.

Specification of `trace`, sections 2.4, 2.5, 4.5 and 5.4.
"""

from polylore.metrics.pathways.analysis import Pathways, pathways, with_raw
from polylore.metrics.pathways.checks import transfer_controls
from polylore.metrics.pathways.course import Course
from polylore.metrics.pathways.evidence import Evidence
from polylore.metrics.pathways.guesses import guesses
from polylore.metrics.pathways.hazard import hazard
from polylore.metrics.pathways.labels import LABELS, LabelInputs, hard_labels
from polylore.metrics.pathways.ladder import classifier_ladder
from polylore.metrics.pathways.lags import lag_expected
from polylore.metrics.pathways.matched import matched_controls
from polylore.metrics.pathways.rules import PathwayRules

__all__ = [
    "LABELS",
    "Course",
    "Evidence",
    "LabelInputs",
    "PathwayRules",
    "Pathways",
    "classifier_ladder",
    "guesses",
    "hard_labels",
    "hazard",
    "lag_expected",
    "matched_controls",
    "pathways",
    "transfer_controls",
    "with_raw",
]
