"""What the summary says about representations."""

import polars as pl

from polylore.report import Case, Finding, judge, tally
from polylore.report.languages import ALL
from polylore.report.languages import name as language_name
from polylore.studies.trace.context import Context, with_names
from polylore.studies.trace.sections.similarity_rows import (
    POSITIONS,
    headline_layer,
    headline_position,
    whole,
)


def similarity_finding(context: Context) -> Finding | None:
    """Is a fact represented more like itself in the pivot than like others of its relation?

    In the middle layer: a rule that looks at no result, where the best layer would flatter.
    """
    if context.table("similarity_summary") is None:
        return None
    layer, position = headline_layer(context), headline_position(context)
    rows = context.at_end(whole(context)).filter(
        pl.col("lang") != ALL, pl.col("layer") == layer, pl.col("position") == position
    )
    rows = with_names(rows.drop_nulls("excess"))
    if not rows.height:
        return None
    cases = [
        Case(r["language"], r["excess_lo"], r["excess_hi"], 0.0) for r in rows.iter_rows(named=True)
    ]
    supported = sum(case.side == "for" for case in cases)
    low, high = rows["excess"].min(), rows["excess"].max()
    spread = f"{high:.3f}" if rows.height == 1 else f"{low:.3f} to {high:.3f}"
    plural = "" if rows.height == 1 else "s"
    pivot = language_name(context.pivot)
    text = (
        f"Halfway through the model (layer {layer}) a fact is represented more like itself in "
        f"{pivot} than like other facts of its relation in {supported} of {rows.height} "
        f"language{plural} (excess cosine {spread})."
    )
    detail = (
        "Claim: at the last checkpoint the excess cosine is above 0 in every language, taken at "
        f"the {POSITIONS[position]}. {tally(cases)} Alike is not yet used: this does not show that "
        f"anything came from {pivot}."
    )
    return Finding(text, judge(cases), detail)
