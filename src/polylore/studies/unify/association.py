"""What a world's data say about the language of a fact, as rows of the table ASSOCIATION."""

import polars as pl

from polylore.facts.worlds import World, association, joint, unigram
from polylore.tables.unify_results import ASSOCIATION


def data_association(world: World, run_hash: str) -> pl.DataFrame:
    """All levels and estimators: facts, attributes, single cue tokens and the whole cue."""
    cues = pl.DataFrame(
        {
            "quantity": ["unigram", "joint"],
            "relation": ["all", "all"],
            "estimator": ["design", "design"],
            "value": [unigram(world), joint(world)],
        }
    )
    rows = pl.concat([association(world), cues], how="vertical_relaxed")
    return ASSOCIATION.validate(
        rows.with_columns(
            run_hash=pl.lit(run_hash),
            step=pl.lit(None, dtype=pl.Int64()),
            population=pl.lit("training"),
            reason=pl.when(pl.col("value").is_null()).then(pl.lit("there is no closed form")),
        )
    )
