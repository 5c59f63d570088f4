"""A small synthetic world that follows the protocol of streams."""

from dataclasses import dataclass

import numpy as np

from polylore.training.tiny.stream import Ints

NAMES, RELATIONS, VALUES = 12, 2, 4
VOCABULARY = 1 + NAMES + RELATIONS + RELATIONS * VALUES


@dataclass(frozen=True)
class Batch:
    tokens: Ints
    pad: Ints | None = None


@dataclass(frozen=True)
class Facts:
    """Rows of cue, name, relation and value; every fact is presented equally often."""

    seed: int = 0
    batch_size: int = 16
    value_len: int = 1
    padded: bool = False

    @property
    def rows(self) -> Ints:
        """All rows (facts, 3 + value_len)."""
        draw = np.random.default_rng(self.seed)
        rows = []
        for name in range(NAMES):
            for relation in range(RELATIONS):
                first = 1 + NAMES + RELATIONS + relation * VALUES
                value = first + draw.integers(VALUES, size=self.value_len)
                rows.append([0, 1 + name, 1 + NAMES + relation, *value])
        return np.array(rows, dtype=np.int64)

    def batch(self, step: int) -> Batch:
        """Drawn anew for every step."""
        draw = np.random.default_rng([self.seed, step])
        cell = draw.integers(NAMES * RELATIONS, size=self.batch_size)
        rows = self.rows[cell]
        if not self.padded:
            return Batch(rows)
        # Half of the rows lose their cue and are padded by one token instead.
        pad = (np.arange(self.batch_size) % 2).astype(np.int64)
        shifted = np.concatenate((rows[:, 1:], np.zeros((len(rows), 1), np.int64)), axis=1)
        return Batch(np.where(pad[:, None] == 1, shifted, rows), pad)
