"""What a sweep varies, and which of its conditions differ in nothing but one knob."""

from collections.abc import Iterator, Sequence

import polars as pl

KNOBS = {
    "p": "parallel fraction p",
    "lam": "skew λ",
    "preset": "tokens",
    "cue": "language cue",
    "exposure": "exposure",
    "delta": "doubled entities δ",
    "share_names": "shared names σ",
    "share_relations": "shared relations σ",
    "share_values": "shared values σ",
    "name_map": "name map",
    "false_friends": "false friends φ",
    "split": "split",
    "objective": "objective",
    "layers": "layers",
    "hidden": "width",
    "decay": "weight decay",
    "ratio": "home shares",
    "zipf_alpha": "Zipf α",
    "curriculum": "curriculum",
    "modulation": "modulation",
    "steps": "steps",
    "batch": "batch",
    "lr": "learning rate",
    "warmup": "warm-up",
    "languages": "languages",
    "parallel_langs": "languages of a parallel fact",
    "entities": "entities",
    "relations": "relations",
    "values": "values",
    "never_seen": "never-seen entities",
    "value_prior": "value prior",
    "value_len": "value tokens",
    "name_len": "name tokens",
    "name_pool": "letters",
    "templates": "wordings",
}
"""Columns of the table of runs that are set, not measured, in words; the most telling first."""
SYMBOLS = {"p": "p", "lam": "λ", "share_names": "σ", "delta": "δ", "decay": "decay",
           "zipf_alpha": "α", "layers": "layers", "hidden": "width"}  # fmt: skip
"""What stands before a knob's number; a knob without one is named by its value alone."""


def varied(conditions: pl.DataFrame) -> list[str]:
    """Knobs that tell conditions apart; one that follows from those before it is left out."""
    kept: list[str] = []
    apart = 1
    for knob in KNOBS:
        both = conditions.select([*kept, knob]).n_unique()
        if both > apart:
            kept.append(knob)
            apart = both
    return kept


def knob_value(knob: str, value: object) -> str:
    """A knob's value as a reader would name it."""
    if value is None:
        return f"no {KNOBS[knob]}"
    number = isinstance(value, int | float)
    text = f"{value:g}" if isinstance(value, int | float) else str(value).replace("_", " ")
    if knob in SYMBOLS and number:
        return f"{SYMBOLS[knob]} {text}"
    if knob == "exposure":
        return f"exposure {text}"
    if knob == "cue" and value == "none":
        return "no cue"
    return f"{KNOBS[knob]} {text}" if number else text


def named(conditions: pl.DataFrame, knobs: Sequence[str]) -> pl.Series:
    """Each condition's values of these knobs, in words; empty without any."""
    words = [
        " · ".join(knob_value(knob, value) for knob, value in zip(knobs, row, strict=True))
        for row in conditions.select(knobs).iter_rows()
    ]
    return pl.Series(words if knobs else [""] * conditions.height, dtype=pl.String)


def twins(conditions: pl.DataFrame, differ: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Groups of conditions that differ in these knobs alone."""
    same = [knob for knob in KNOBS if knob not in differ]
    for _, group in conditions.group_by(same, maintain_order=True):
        if group.height > 1:
            yield group


def by_reading(conditions: pl.DataFrame) -> list[str]:
    """Cues from the hardest to the easiest to read the language from."""
    # Of one-bit cues the synonymous ones are harder, and the more of them there are.
    frame = conditions.select("cue", "cue_kind", "cue_level", "i_uni").unique("cue")
    level = pl.col("cue_level").fill_null(0)
    return frame.sort(
        pl.col("i_uni").round(6).fill_null(0),
        pl.when(pl.col("cue_kind") == "syn").then(-level).otherwise(level + 1),
        "cue",
    )["cue"].to_list()
