"""All derived tables of the study `patch` from its raw ones."""

from collections.abc import Callable, Sequence

import polars as pl

from polylore.metrics.patching.classify import Rules
from polylore.metrics.patching.curves import COMPARED, Analysis, contrasts, curves
from polylore.metrics.patching.emergence import FLOOR_MARGIN, PHI, EmergenceRows
from polylore.metrics.patching.errors import error_classes
from polylore.metrics.patching.forms import Forms
from polylore.metrics.patching.resample import DRAWS
from polylore.metrics.patching.samek import same_k
from polylore.metrics.patching.transitions import error_shares, transitions
from polylore.metrics.patching.values import Values

EMERGING = (
    "seen-random_concept",
    "tgt-random_concept",
    "en_en-random_concept",
    "self-random_concept",
    "src_unpatched-tgt_unpatched",
)
"""Contrasts whose emergence is dated: the shared space, the specific ones, natural translation."""


def patch_tables(
    scores: pl.DataFrame,
    answers: pl.DataFrame,
    pairs: pl.DataFrame,
    checkpoints: pl.DataFrame,
    lexicon: pl.DataFrame,
    flags: pl.DataFrame,
    *,
    prompts: pl.DataFrame | None = None,
    items: pl.DataFrame | None = None,
    rules: Rules | None = None,
    manual: pl.DataFrame | None = None,
    compared: Sequence[tuple[str, str]] = COMPARED,
    emerging: Sequence[str] = EMERGING,
    phi: float = PHI,
    floor_margin: float = FLOOR_MARGIN,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> dict[str, pl.DataFrame]:
    """Derive everything that needs no model.

    Args:
        scores: table SCORES.
        answers: table ANSWERS; may be empty.
        pairs: table PAIRS of the plan.
        checkpoints: table CHECKPOINTS, in the order of training.
        lexicon: table LEXICON of the plan.
        flags: table LEXICON_FLAGS of the plan's language pairs.
        prompts: table PROMPTS of the plan: which pairs are incompatible, which words are split.
        items: table ITEMS of the plan: where the language of an answer can be told.
        rules: senses and similarities for the classes of answers.
        manual: codes given by people (`coding.Merged.codes`).
        compared: contrasts, see `curves.contrasts`.
        emerging: contrasts whose emergence is dated.
        phi: fraction of the final difference for E2.
        floor_margin: floor for E1.
        draws: bootstrap draws.
        seed: seed of the draws and of the halves of concepts.
        progress: called with (done, total, what).

    Returns:
        Tables ERRORS, CURVES, CONTRASTS, SAMEK, EMERGENCE, TRANSITIONS, CHANGES and SHARES
        by name.
    """
    show = progress or (lambda done, total, what: None)
    show(0, 5, "classes of answers")
    forms = Forms(lexicon)
    classes = error_classes(
        answers, pairs, forms, flags, prompts=prompts, rules=rules, manual=manual
    )
    values = Values(scores, pairs, checkpoints, flags, errors=classes, prompts=prompts, items=items)
    analysis = Analysis.of(values, checkpoints, draws=draws, seed=seed)
    show(1, 5, "curves")
    curve_table = curves(analysis)
    show(2, 5, "contrasts and emergence")
    dated = EmergenceRows(analysis.places, chosen=emerging, phi=phi, margin=floor_margin)
    contrast_table = contrasts(analysis, compared, keep=dated)
    show(3, 5, "fewer source languages")
    samek = same_k(analysis)
    show(4, 5, "transitions")
    changed = transitions(classes, analysis)
    show(5, 5, "transitions")
    return {
        "patch_errors": classes,
        "patch_curves": curve_table,
        "patch_contrasts": contrast_table,
        "patch_samek": samek,
        "patch_emergence": dated.table(),
        "patch_transitions": changed.transitions,
        "patch_changes": changed.changes,
        "patch_shares": error_shares(classes, analysis),
    }
