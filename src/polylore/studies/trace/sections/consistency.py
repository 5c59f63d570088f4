"""Consistency: do languages know the same facts, more than their accuracies force them to?"""

import altair as alt
import polars as pl

from polylore.report import Block, Chart, Page, TableView, interval, shapes
from polylore.report.axes import share
from polylore.studies.trace.context import Context, with_names

_FORMS = {
    "paper": "published: pivot counts as 1",
    "without_pivot": "with the pivot, itself left out",
    "all_pairs": "all pairs",
}


def consistency_page(context: Context) -> Page | None:
    """None without a table of consistency or with one language."""
    table = context.table("consistency")
    if table is None:
        return None
    rows = named(context.headline(table).filter(pl.col("relation") == "all"))
    rows = rows.filter(pl.col("lang_a") != pl.col("lang_b"))
    if not rows.height:
        return None
    with_pivot = against_pivot(context, rows)
    made = (
        _over_training(context, with_pivot),
        _summary(context),
        _rankc(context, with_pivot),
        _matrix(context, rows, "jaccard", "Same facts right", "consistency-matrix"),
        _matrix(context, rows, "j_norm", "The same, with chance taken out", "consistency-norm"),
        _table(context, rows),
    )
    blocks: list[Block] = [b for b in made if b is not None]
    lead = (
        "Whether the facts known in one language are those known in another. Two languages that "
        "know much overlap by chance, so every overlap stands beside what independence would give."
    )
    return Page("consistency", "Consistency", lead, tuple(blocks))


def named(rows: pl.DataFrame) -> pl.DataFrame:
    """Both languages of a pair by name."""
    return with_names(with_names(rows, "lang_a", "language_a"), "lang_b", "language_b")


def against_pivot(context: Context, rows: pl.DataFrame) -> pl.DataFrame:
    """Pairs with the pivot; the other language is `lang` and `language`."""
    first, second = pl.col("lang_a") == context.pivot, pl.col("lang_b") == context.pivot
    return rows.filter(first | second).with_columns(
        lang=pl.when(first).then("lang_b").otherwise("lang_a"),
        language=pl.when(first).then("language_b").otherwise("language_a"),
    )


def _over_training(context: Context, rows: pl.DataFrame) -> Chart | None:
    frame = context.on_axis(rows)
    if frame["ckpt_id"].n_unique() < 2:
        return None
    frame = frame.select(
        "language", "x", "step", "tokens", "n", "jaccard", "lo", "hi", "j0", "jmax"
    )
    layers = shapes.lines(
        context.axis.encode("x", None),
        share("jaccard", None, axis=alt.Y),
        {"language": ("language", ""), "step": ("step", ","), "tokens": ("tokens", ","),
         "jaccard": ("Jaccard", ".3f"), "lo": ("from", ".3f"), "hi": ("to", ".3f"),
         "j0": ("if independent", ".3f"), "jmax": ("at most", ".3f"), "n": ("facts", ",")},
        band=("lo", "hi"),
        reference_band=("j0", "jmax"),
    )  # fmt: skip
    return Chart(
        "consistency-over-training",
        "Overlap with the pivot over training",
        f"Over {context.axis_title} (log scale). Line: facts right in both over facts right in "
        "either (Jaccard), with its 95 % band. Grey ribbon: from what two independent languages of "
        "the same accuracy would share up to the most they could. On the lower edge nothing is "
        "shared beyond chance. "
        + context.conditions(frame["n"]),
        "Small multiples of the Jaccard overlap with the pivot language over training, each with "
        "the range from independence to the possible maximum.",
        shapes.panels(layers, "language", context.names),
        frame.with_columns(interval("jaccard")),
        {"language": "Language", "step": "Step", "tokens": "Tokens", "n": "n",
         "jaccard_ci": "Jaccard", "j0": "If independent", "jmax": "At most"},
        {"jaccard_ci": "interval.number", "tokens": "tokens"},
        "panels",
    )  # fmt: skip


def _summary(context: Context) -> Chart | None:
    table = context.table("consistency_summary")
    if table is None:
        return None
    frame = context.on_axis(context.headline(table)).filter(pl.col("form").is_in(list(_FORMS)))
    if frame["ckpt_id"].n_unique() < 2:
        return None
    frame = frame.with_columns(
        series=pl.col("form").replace_strict(_FORMS, return_dtype=pl.String)
    ).select("series", "x", "step", "tokens", "value", "lo", "hi")
    layers = shapes.lines(
        context.axis.encode("x", context.axis_title),
        share("value", "mean Jaccard", axis=alt.Y),
        {"series": ("form", ""), "step": ("step", ","), "value": ("mean Jaccard", ".3f"),
         "lo": ("from", ".3f"), "hi": ("to", ".3f")},
        series="series",
        order=list(_FORMS.values()),
        band=("lo", "hi"),
    )  # fmt: skip
    facts = context.table("facts")
    return Chart(
        "consistency-summary",
        "One number per checkpoint, in three forms",
        "The published mean counts the pivot's agreement with itself. "
        + context.conditions(facts["fact_id"].n_unique() if facts is not None else 0),
        "Line chart of mean Jaccard over training in three forms.",
        shapes.single(layers),
        frame.with_columns(interval("value")),
        {"series": "Form", "step": "Step", "tokens": "Tokens", "value_ci": "Mean Jaccard"},
        {"value_ci": "interval.number", "tokens": "tokens"},
        "half",
    )


def _rankc(context: Context, rows: pl.DataFrame) -> Chart | None:
    frame = context.at_end(rows).drop_nulls("rankc")
    if not frame.height:
        return None
    frame = frame.select("language", "n", "rankc", "rankc_chance", "rankc_norm")
    spec = shapes.dots(
        alt.X("rankc:Q", title="RankC with the pivot", scale=alt.Scale(domain=[0, 1]),
              axis=alt.Axis(tickCount=5)),
        "language",
        [n for n in context.names if n in set(frame["language"])],
        {"language": ("language", ""), "rankc": ("RankC", ".3f"),
         "rankc_chance": ("random rankings", ".3f"), "rankc_norm": ("chance taken out", ".3f"),
         "n": ("facts", ",")},
        interval=None,
        reference="rankc_chance",
    )  # fmt: skip
    return Chart(
        "rankc",
        "Same ranking of the candidates?",
        "RankC compares the order of all candidates, right or wrong; grey tick: two random "
        "rankings. " + context.conditions(frame["n"]),
        "Dot plot of RankC with the pivot by language beside its chance level.",
        spec,
        frame,
        {"language": "Language", "n": "n", "rankc": "RankC", "rankc_chance": "Random rankings",
         "rankc_norm": "Chance taken out"},
        {},
        "half",
    )  # fmt: skip


def _matrix(context: Context, rows: pl.DataFrame, value: str, title: str, id_: str) -> Chart | None:
    half = context.at_end(rows).drop_nulls(value)
    if half.select("lang_a", "lang_b").n_unique() < 2:
        return None
    columns = ["language_a", "language_b", "n", "jaccard", "j0", "jmax", "j_norm"]
    mirrored = half.rename({"language_a": "language_b", "language_b": "language_a"})
    frame = pl.concat([half.select(columns), mirrored.select(columns)]).unique(
        ["language_a", "language_b"], maintain_order=True
    )
    words = "Jaccard" if value == "jaccard" else "normalised Jaccard"
    spec = shapes.heat_map(
        alt.X("language_b:N", sort=context.names, title=None,
              axis=alt.Axis(labelAngle=-90, labelLimit=110)),
        alt.Y("language_a:N", sort=context.names, title=None, axis=alt.Axis(labelLimit=110)),
        value,
        words,
        {"language_a": ("language", ""), "language_b": ("with", ""), "jaccard": ("Jaccard", ".3f"),
         "j0": ("if independent", ".3f"), "jmax": ("at most", ".3f"),
         "j_norm": ("normalised", ".3f"), "n": ("facts", ",")},
        form=".1f",
        rows_count=frame["language_a"].n_unique(),
        row=22,
    )  # fmt: skip
    how = (
        "Jaccard overlap of the facts answered right."
        if value == "jaccard"
        else "(Jaccard − independence)/(maximum − independence): 0 is chance, 1 the most possible; "
        "values below 0 are shown as 0."
    )
    return Chart(
        id_,
        title,
        f"{how} Last checkpoint; both triangles show the same pairs. "
        + context.conditions(frame["n"]),
        f"Matrix of languages by languages, coloured by {words} at the last checkpoint.",
        spec,
        frame,
        {"language_a": "Language", "language_b": "With", "n": "n", "jaccard": "Jaccard",
         "j0": "If independent", "jmax": "At most", "j_norm": "Normalised"},
        {},
        "half",
    )  # fmt: skip


def _table(context: Context, rows: pl.DataFrame) -> TableView:
    frame = context.at_end(rows).with_columns(
        interval("jaccard"), interval("j_norm", "j_norm_lo", "j_norm_hi")
    )
    return TableView(
        "consistency-table",
        "All pairs at the last checkpoint",
        "P(B|A): share of A's right facts that B has right too. Same answer: share of facts with "
        "the same entity answered, right or wrong. " + context.conditions(frame["n"]),
        frame,
        {"lang_a": "A", "lang_b": "B", "n": "n", "jaccard_ci": "Jaccard", "j0": "If independent",
         "jmax": "At most", "j_norm_ci": "Normalised", "p_b_given_a": "P(B|A)",
         "p_a_given_b": "P(A|B)", "agree_all": "Same answer", "rankc": "RankC",
         "rankc_chance": "RankC, random", "coverlap": "COverlap"},
        {"lang_a": "lang", "lang_b": "lang", "jaccard_ci": "interval.number",
         "j_norm_ci": "interval.number", "p_b_given_a": "share", "p_a_given_b": "share",
         "agree_all": "share"},
        ("j_norm", True),
    )  # fmt: skip
