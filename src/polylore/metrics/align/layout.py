"""Graded answers as matrices: items x (system, language), one layout per set.

Shapes: I items, C cells (one system in one language), P pairs of cells, G gold letters, D draws,
U clusters.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from polylore.errors import DataError
from polylore.metrics.index import Array
from polylore.tables.align import SYSTEM_KEY

ABSENT = -2
NOTHING = -1
"""Codes in `choice_IC`: the question was not answered, and no option was read."""


@dataclass(frozen=True)
class Layout:
    """All answers to one set, read by one parser."""

    dataset: str
    parser: str
    cells: pl.DataFrame
    """SYSTEM columns and lang: one row per column of the matrices."""
    items: Array
    """Item numbers, increasing: (I,)."""
    choice_IC: Array
    """int8: option chosen, or NOTHING, or ABSENT."""
    gold_I: Array
    cluster_I: Array
    """Numbers 0..U-1."""
    k: int
    """Options of every item."""
    guess: float | None = None
    """Accuracy of guessing where it is not 1/k: of answers that are only right (0) or wrong (1)."""

    @property
    def free(self) -> bool:
        """Whether answers are only right or wrong; then no letter means anything."""
        return self.guess is not None

    @property
    def chance(self) -> float:
        """Accuracy of guessing."""
        return 1 / self.k if self.guess is None else self.guess

    @cached_property
    def present_IC(self) -> Array:
        """Whether there is an answer."""
        return np.not_equal(self.choice_IC, ABSENT)

    @cached_property
    def right_IC(self) -> Array:
        """Whether it is right."""
        return np.equal(self.choice_IC, self.gold_I[:, None])

    @cached_property
    def column_of(self) -> dict[tuple[object, ...], int]:
        """Column of every (SYSTEM..., lang)."""
        return {row: at for at, row in enumerate(self.cells.iter_rows())}


def layouts(
    parsed: pl.DataFrame,
    items: pl.DataFrame,
    parser: str,
    languages: Sequence[str] | None = None,
) -> list[Layout]:
    """One layout per set with answers, in the order of the items.

    Only answers without rotation (or averaged over all) take part. Cells are in the order of first
    appearance of the systems, and languages in the given order.

    Args:
        parsed: table ALIGN_PARSED.
        items: table ALIGN_ITEMS.
        parser: column of PARSED to grade; `scores` takes answers whose options were scored, all
            others take those that were read from text.
        languages: order of the languages; by default that of first appearance.

    Raises:
        DataError: items of one set differ in their number of options, or lack a gold.
    """
    scored = pl.col("status") == "scored"
    rows = parsed.filter(pl.col("rotation").is_null() & (scored if parser == "scores" else ~scored))
    column = "robust" if parser == "scores" else parser
    made = []
    for (dataset,), own in items.filter(pl.col("n_options") > 0).group_by(
        ["dataset"], maintain_order=True
    ):
        asked = rows.filter(pl.col("dataset") == dataset)
        if asked.height:
            made.append(_layout(str(dataset), parser, asked, own.sort("item"), column, languages))
    return made


def _layout(
    dataset: str,
    parser: str,
    rows: pl.DataFrame,
    items: pl.DataFrame,
    column: str,
    languages: Sequence[str] | None,
) -> Layout:
    sizes = items["n_options"].unique().to_list()
    if len(sizes) != 1 or items["gold_index"].null_count():
        raise DataError(
            f"The items of {dataset} must all have a gold and the same number of options, not "
            f"{sizes}; split the set by number of options."
        )
    keys = [*SYSTEM_KEY, "lang"]
    order = list(languages or rows["lang"].unique(maintain_order=True))
    systems = rows.select(SYSTEM_KEY).unique(maintain_order=True).with_row_index("_s")
    rank = pl.col("lang").replace_strict(
        order, range(len(order)), default=len(order), return_dtype=pl.Int64()
    )
    cells = (
        rows.select(keys)
        .unique(maintain_order=True)
        .join(systems, on=SYSTEM_KEY, nulls_equal=True, maintain_order="left")
        .sort("_s", rank, maintain_order=True)
        .drop("_s")
        .with_row_index("_c")
    )
    placed = rows.join(cells, on=keys, nulls_equal=True, maintain_order="left")
    numbers = items["item"].to_numpy()
    choice_IC = np.full((len(numbers), cells.height), ABSENT, dtype=np.int8)
    at_I = np.searchsorted(numbers, placed["item"].to_numpy())
    choice_IC[at_I, placed["_c"].to_numpy()] = placed[column].fill_null(NOTHING).to_numpy()
    clusters = items["cluster"].unique(maintain_order=True)
    codes = items["cluster"].replace_strict(clusters, range(len(clusters)), return_dtype=pl.Int64())
    return Layout(
        dataset=dataset,
        parser=parser,
        cells=cells.drop("_c"),
        items=numbers,
        choice_IC=choice_IC,
        gold_I=items["gold_index"].to_numpy().astype(np.int8),
        cluster_I=codes.to_numpy(),
        k=int(sizes[0]),
    )


def cluster_weights(layout: Layout, n: int, seed: int) -> Array:
    """How often each bootstrap draw holds each item: float32 (D, I).

    Clusters are drawn with replacement. The same draws serve every system, language and parser, and
    do not depend on which other sets there are.

    Args:
        layout: one set.
        n: number of draws.
        seed: seed; with the set's name and its clusters it determines the draws.
    """
    name = hashlib.sha256(layout.dataset.encode()).digest()
    generator = np.random.default_rng([seed, int.from_bytes(name[:8], "big")])
    size = int(layout.cluster_I.max()) + 1
    drawn_DU = generator.multinomial(size, np.full(size, 1 / size), size=n)
    return np.ascontiguousarray(drawn_DU[:, layout.cluster_I], dtype=np.float32)


def once(layout: Layout) -> Array:
    """Every item once: the weights (1, I) of the estimate itself."""
    return np.ones((1, len(layout.items)), dtype=np.float32)
