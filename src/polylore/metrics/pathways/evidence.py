"""Everything known about the cells of one checkpoint before anything is fitted."""

from dataclasses import dataclass, replace

import numpy as np

from polylore.metrics.index import Array, FactIndex


@dataclass(frozen=True)
class Evidence:
    """The cells (fact, language) of one checkpoint under one matcher: matrices (F, L)."""

    index: FactIndex
    langs: tuple[str, ...]
    donors: tuple[tuple[int, ...], ...]
    """Positions of each language's donors; none for the pivot."""
    home: int
    """Position of the pivot."""
    ckpt_id: str
    matcher: str
    y: Array
    """1 right, 0 wrong, NaN without an answer."""
    share: Array
    """Share of the wordings answered right."""
    e: Array
    """Exposure up to the checkpoint; NaN if unknown."""
    kind: str
    """Kind of the exposures; ``none`` without any."""
    g: Array
    """Guess strength."""
    shared: Array
    """A shared string, or the question, gives the answer away."""
    donor_right: Array
    """Some donor is right here."""
    k: Array
    """Some donor is right here or was sustained by here: 1, 0, or NaN if no donor's answer is
    known; 0 in the pivot."""
    donor_first: Array
    """Place in the timeline at which a donor was first right, -1 if none was by here."""

    @property
    def foreign_L(self) -> Array:
        """Languages other than the pivot."""
        return np.asarray(np.arange(len(self.langs)) != self.home)

    @property
    def x(self) -> Array:
        """log10(1 + E); constant where nothing was counted, so that frequency explains nothing."""
        return np.zeros_like(self.e) if self.kind == "none" else np.log10(1 + self.e)

    @property
    def known(self) -> Array:
        """Cells with an answer, and an exposure unless nothing was counted."""
        return ~(np.isnan(self.y) | np.isnan(self.x))

    @property
    def fitting(self) -> Array:
        """Cells that transfer cannot have helped: the pivot's, and those no donor knows."""
        return np.asarray(self.known & ~self.shared & (self.k == 0))

    @property
    def helped(self) -> Array:
        """Cells that a donor may have helped, and no shared string."""
        return np.asarray(self.known & ~self.shared & (self.k == 1))

    @property
    def x_donor(self) -> Array:
        """Largest log10(1 + E) of a cell's donors; NaN in the pivot and where none is known."""
        x = np.full(self.e.shape, np.nan)
        for at, donors in enumerate(self.donors):
            if donors:
                x[:, at] = np.fmax.reduce(self.x[:, list(donors)], axis=1)
        return x

    @property
    def relation_F(self) -> Array:
        """Number of each fact's relation."""
        sizes = np.diff(self.index.bounds)
        return np.repeat(np.arange(len(sizes)), sizes)

    def with_donors(self, k: Array) -> "Evidence":
        """The same cells with other donor knowledge; the pivot still has none."""
        kept = np.where(self.foreign_L, k, 0.0)
        return replace(self, k=kept, donor_right=kept == 1)
