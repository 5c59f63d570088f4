"""What putting a concept into a model shows: classes of answers, curves and when they rose.

Specification of `patch`, sections 2, 5 and 6.
"""

from polylore.metrics.patching.analysis import EMERGING, patch_tables
from polylore.metrics.patching.chance import benjamini_hochberg, mcnemar
from polylore.metrics.patching.classify import (
    CATEGORIES,
    CORRECT,
    Question,
    Rules,
    Verdict,
    classify,
    similarity_of,
)
from polylore.metrics.patching.coding import kappa, merge_codes, read_sheet, sheet, to_code
from polylore.metrics.patching.curves import COMPARED, Analysis, contrasts, curves
from polylore.metrics.patching.emergence import Curve, Times, emergence, order_of
from polylore.metrics.patching.errors import error_classes
from polylore.metrics.patching.forms import Forms
from polylore.metrics.patching.keys import answer_of, loose_key, strict_key
from polylore.metrics.patching.onsets import first_half
from polylore.metrics.patching.samek import same_k
from polylore.metrics.patching.transitions import error_shares, transitions
from polylore.metrics.patching.values import Values

__all__ = [
    "CATEGORIES",
    "COMPARED",
    "CORRECT",
    "EMERGING",
    "Analysis",
    "Curve",
    "Forms",
    "Question",
    "Rules",
    "Times",
    "Values",
    "Verdict",
    "answer_of",
    "benjamini_hochberg",
    "classify",
    "contrasts",
    "curves",
    "emergence",
    "error_classes",
    "error_shares",
    "first_half",
    "kappa",
    "loose_key",
    "mcnemar",
    "merge_codes",
    "order_of",
    "patch_tables",
    "read_sheet",
    "same_k",
    "sheet",
    "similarity_of",
    "strict_key",
    "to_code",
    "transitions",
]
