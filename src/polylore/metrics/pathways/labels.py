"""One label per cell: the coarse answer that evidence and rates refine (`trace`, section 2.5)."""

from dataclasses import dataclass

import numpy as np

from polylore.metrics.index import Array

GUESS = "guess"
COPIED = "copied-string"
FREQUENCY = "known-by-frequency"
TRANSFER = "transfer-candidate"
UNKNOWN = "unknown"
MISSING = "null"
LABELS = (FREQUENCY, COPIED, TRANSFER, GUESS, UNKNOWN, MISSING)


@dataclass(frozen=True)
class LabelInputs:
    """What the rules look at; arrays of one shape."""

    y: Array
    """1, 0 or NaN."""
    p: Array
    """Probability without a donor; NaN where unknown."""
    g: Array
    guess_why: Array
    """Which guess it would be: prior, majority or demo_copy."""
    same_pair: Array
    same_object: Array
    answer_in_subject: Array
    alike: Array
    """Similar enough to the pivot's object."""
    foreign: Array
    """Whether the language is not the pivot."""
    donor: Array
    """A donor is right here or was sustained by here."""


def hard_labels(
    cells: LabelInputs, *, string_level: bool, guess: float = 0.5, frequency: float = 0.5
) -> tuple[Array, Array]:
    """Label and reason of every cell: the first rule that applies, in the specified order.

    Args:
        cells: the evidence.
        string_level: counts are of strings, whatever the language of the document, or let subject
            and object overlap.
        guess: guess strength from which a right answer is a guess.
        frequency: probability from which frequency explains it; never where p is unknown.

    Returns:
        Two arrays of strings.
    """
    inside = cells.answer_in_subject
    pair = cells.same_pair & cells.foreign
    spelled = (cells.same_object | cells.alike) & cells.foreign
    known_p = np.nan_to_num(cells.p, nan=-1.0) >= frequency
    rules: list[tuple[Array, str, Array | str]] = [
        (np.isnan(cells.y), MISSING, "missing"),
        (cells.y == 0, UNKNOWN, "wrong"),
        (np.nan_to_num(cells.g) >= guess, GUESS, cells.guess_why),
        (string_level & (pair | inside), COPIED, np.where(pair, "same_pair", "answer_in_subject")),
        (known_p, FREQUENCY, "exposure"),
        (spelled | inside, COPIED, np.where(spelled, "same_object", "answer_in_subject")),
        (cells.donor & cells.foreign, TRANSFER, "donor"),
    ]
    met = [condition for condition, _, _ in rules]
    names = np.select(met, [np.full(cells.y.shape, label) for _, label, _ in rules], UNKNOWN)
    whys = [np.broadcast_to(np.asarray(why, dtype=object), cells.y.shape) for _, _, why in rules]
    return names, np.select(met, whys, np.asarray("unexplained", dtype=object))
