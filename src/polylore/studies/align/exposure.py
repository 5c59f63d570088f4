"""Which facts training told in which language, for the split of consistency by exposure.

Facts that a model read in both languages may be right in both without any transfer (specification
of `align`, section 2.4).
"""

import polars as pl

from polylore.errors import DataError
from polylore.metrics import exposure_at
from polylore.runs import RunFolder
from polylore.studies.trace.study import read_exposure

_SEEN = pl.col("exposure") > 0
_END = pl.DataFrame(
    {"ckpt_id": ["end"], "step": [None], "tokens": [None]},
    schema={"ckpt_id": pl.String(), "step": pl.Int64(), "tokens": pl.Int64()},
)
"""A model that has read everything: for answers that came without checkpoints."""


def seen_facts(
    run: RunFolder, source: str | None, items: pl.DataFrame, questions: pl.DataFrame
) -> pl.DataFrame | None:
    """Whether each fact was seen in each language before each checkpoint; None if unknown.

    The table is kept in the run, so that scoring again does not need its source.

    Args:
        run: a run folder of `align`.
        source: where the exposure is; None takes what the run has kept.
        items: table ALIGN_ITEMS.
        questions: table ALIGN_QUESTIONS.

    Returns:
        fact_id, lang and seen; where the run has checkpoints also model and step.

    Raises:
        DataError: no such table, or none of its facts is asked about.
    """
    exposure = read_exposure(source)
    if exposure is not None:
        run.write_table("exposure", exposure)
    elif run.has_table("exposure"):
        exposure = run.table("exposure")
    if exposure is None or not questions.height:
        return None
    asked = questions.join(items, on=["dataset", "item"], how="left", maintain_order="left")
    cells = asked.select("fact_id", "relation", "lang").unique(maintain_order=True)
    if not exposure.join(cells, on=["fact_id", "lang"], how="semi").height:
        raise DataError(
            "The exposure is about none of the facts that were asked, such as "
            f"{cells['fact_id'][0]} in {cells['lang'][0]}; give the table of the same fact set."
        )
    if not run.has_table("checkpoints"):
        return exposure_at(exposure, _END, cells).select("fact_id", "lang", seen=_SEEN)
    checkpoints = run.table("checkpoints")
    named = checkpoints.select("ckpt_id", "model", "step")
    found = exposure_at(exposure, checkpoints, cells)
    return found.join(named, on="ckpt_id", how="left", maintain_order="left").select(
        "model", "step", "fact_id", "lang", seen=_SEEN
    )
