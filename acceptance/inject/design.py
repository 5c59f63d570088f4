"""Numbers of the design: arms, intervals and lengths."""

from polylore.corpus.injection import STANDARD

N, INTERVAL = 6, 40
SWEEP, SWEEP_N = (4, 16, 64), 5
BATCH = 32
"""Rows of a step."""
SMALL = 8
"""Rows of a step of the small batch."""
FIRST = 8
"""Updates on the background alone, before the first exposure."""
TAIL = 160
"""Updates after the last exposure: an acquisition window, and 120 of forgetting."""
ITEMS, CONTROLS = 96, 72
"""People of stage 2."""
FEW_ITEMS, FEW_CONTROLS = 48, 24
"""Those of them that sweep and contrasts tell of."""
SEEN, WORLD = (0, 1, 2), 3
"""Seeds of worlds: those on which this design was chosen, and the one that is to decide."""
DOCUMENTS = 36_000
"""Background documents of stage 2, enough for its longest run."""
FRESH_DOCUMENTS = 1
"""Seed of the documents of stage 2; those of stage 1 have seed 0."""

ARMS = tuple(
    arm.model_copy(update={"n": min(arm.n, N), "interval": INTERVAL}) if arm.n else arm
    for arm in STANDARD
)
