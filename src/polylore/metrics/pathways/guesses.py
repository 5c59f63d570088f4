"""How strongly a right answer could have been a guess (specification of `trace`, section 2.5)."""

import polars as pl

from polylore.metrics.grade import own_id
from polylore.text import normalise

KEYS = ["ckpt_id", "matcher", "fact_id", "lang"]
PARTS = ("g_prior", "g_bias", "g_demo")
SCHEMA = {
    **dict.fromkeys((*KEYS, "relation"), pl.String()),
    **dict.fromkeys((*PARTS, "g"), pl.Float64()),
    "guess_source": pl.String(),
}


def guesses(
    grades: pl.DataFrame,
    facts: pl.DataFrame,
    *,
    scores: pl.DataFrame | None = None,
    copied: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Guess strength g of every graded cell: the largest of what is known of it.

    ``g_prior``: probability of the gold among the candidates after prompts without a subject.
    ``g_bias``: share of the facts of the relation, language and checkpoint with another gold that
    were nevertheless answered with this object. ``g_demo``: share of the cell's wordings that show
    the gold among the demonstrations, times the share of answers that repeat a demonstration where
    the gold is not among them; for generated answers only. Where the answers tell nothing (labels
    without text), g = (n_o - 1)/(N_r - 1) with n_o the facts of the relation that have this object
    (`guess_source` ``data`` instead of ``answers``).

    Args:
        grades: table GRADES. The paper matcher names no wrong answers, so the answers that the
            default matcher names in the same texts stand for them.
        facts: table FACTS.
        scores: table CANDIDATE_SCORES.
        copied: frame of `copied_demos`.

    Returns:
        ckpt_id, matcher, fact_id, lang, relation, g_prior, g_bias, g_demo (null if unknown), g,
        guess_source.
    """
    cells = grades.select(*KEYS, "relation").unique(maintain_order=True)
    golds = _golds(facts)
    parts = cells.join(_bias(grades, facts, golds), on=KEYS, how="left", maintain_order="left")
    on = ["ckpt_id", "fact_id", "lang"]
    parts = parts.join(_prior(scores, facts), on=on, how="left", maintain_order="left")
    parts = parts.join(_demo(copied), on=on, how="left", maintain_order="left")
    written = ~pl.col("matcher").str.starts_with("candidates")
    parts = parts.with_columns(g_demo=pl.when(written).then("g_demo"))
    data = golds.select("fact_id", "lang", _data="commonness")
    parts = parts.join(data, on=["fact_id", "lang"], how="left", maintain_order="left")
    strongest = pl.max_horizontal(*PARTS)
    source = pl.when(strongest.is_null()).then(pl.lit("data")).otherwise(pl.lit("answers"))
    return parts.with_columns(
        g=pl.coalesce(strongest, "_data").fill_null(0.0), guess_source=source
    ).select(pl.col(c).cast(t) for c, t in SCHEMA.items())


def _golds(facts: pl.DataFrame) -> pl.DataFrame:
    """fact_id, relation, lang, gold (normalised object), n_o, and (n_o - 1)/(N_r - 1)."""
    group = ["relation", "lang"]
    texts = facts["object"].unique().to_list()
    cleaned = pl.DataFrame(
        {"object": texts, "gold": [normalise(t) for t in texts]},
        schema={"object": pl.String(), "gold": pl.String()},
    )
    named = facts.select("fact_id", *group, "object").join(cleaned, on="object", how="left")
    same, size = pl.len().over(*group, "gold"), pl.len().over(group)
    others = pl.when(size > 1).then((same - 1) / (size - 1)).otherwise(0.0)
    return named.with_columns(commonness=others)


def _entities(facts: pl.DataFrame) -> pl.DataFrame:
    """What an answer_id means, as normalised text: by fact for candidates, else by relation."""
    rows = []
    for row in facts.iter_rows(named=True):
        rows.append((row["lang"], row["fact_id"], own_id(row), normalise(row["object"])))
        pairs = zip(row["candidate_ids"] or [], row["candidates"] or [], strict=False)
        rows += [(row["lang"], row["fact_id"], i, normalise(text)) for i, text in pairs]
    names = ("lang", "fact_id", "answer_id", "text")
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String()), orient="row")
    return frame.unique(["lang", "fact_id", "answer_id"], keep="first", maintain_order=True)


def _bias(grades: pl.DataFrame, facts: pl.DataFrame, golds: pl.DataFrame) -> pl.DataFrame:
    """g_bias by cell; no rows for matchers that name no answers."""
    paper = grades.filter(matcher="paper").drop("answer_id")
    default = grades.filter(matcher="default")
    same = ["ckpt_id", "fact_id", "lang", "variant"]
    borrowed = paper.join(default.select(*same, "answer_id"), on=same, how="inner")
    named = pl.concat(
        [grades.filter(pl.col("matcher") != "paper"), borrowed.select(grades.columns)]
    ).drop_nulls("y")
    naming = named.group_by("matcher").agg(pl.col("answer_id").is_not_null().any())
    named = named.join(naming.filter("answer_id").select("matcher"), on="matcher", how="semi")
    entities = _entities(facts)
    by_relation = entities.join(
        facts.select("fact_id", "lang", "relation"), on=["fact_id", "lang"]
    ).unique(["lang", "relation", "answer_id"], keep="first", maintain_order=True)
    answered = (
        named.select(*KEYS, "relation", "answer_id")
        .join(entities, on=["lang", "fact_id", "answer_id"], how="left")
        .join(
            by_relation.select("lang", "relation", "answer_id", _other="text"),
            on=["lang", "relation", "answer_id"],
            how="left",
        )
        .with_columns(text=pl.coalesce("text", "_other"))
        .join(golds.select("fact_id", "lang", "gold"), on=["fact_id", "lang"], how="left")
    )
    group = ["ckpt_id", "matcher", "relation", "lang"]
    total = answered.group_by(group).agg(_n=pl.len())
    own = answered.group_by(*group, "gold").agg(
        _n_own=pl.len(), _right=(pl.col("text") == pl.col("gold")).sum()
    )
    said = answered.group_by(*group, gold="text").agg(_said=pl.len())
    rate = (
        own.join(total, on=group)
        .join(said, on=[*group, "gold"], how="left")
        .with_columns(_said=pl.col("_said").fill_null(0))
        .with_columns(_others=pl.col("_n").cast(pl.Int64()) - pl.col("_n_own").cast(pl.Int64()))
    )
    wrongly = pl.col("_said").cast(pl.Int64()) - pl.col("_right").cast(pl.Int64())
    rate = rate.select(
        *group,
        "gold",
        g_bias=pl.when(pl.col("_others") > 0).then(wrongly / pl.col("_others")).otherwise(0.0),
    )
    cells = answered.select(*KEYS, "relation", "gold").unique()
    return cells.join(rate, on=[*group, "gold"], how="left").select(*KEYS, "g_bias")


def _prior(scores: pl.DataFrame | None, facts: pl.DataFrame) -> pl.DataFrame:
    """Probability of the gold among its candidates without a subject, mean over wordings."""
    keys = ["ckpt_id", "fact_id", "lang"]
    schema = dict.fromkeys(keys, pl.String()) | {"g_prior": pl.Float64()}
    if scores is None or scores["content_free_logprob"].null_count() == scores.height:
        return pl.DataFrame(schema=schema)
    gold = facts.select(
        "fact_id",
        "lang",
        candidate_id=pl.col("candidate_ids").list.get(pl.col("gold_pos"), null_on_oob=True),
    ).drop_nulls()
    question = [*keys, "variant"]
    free = pl.col("content_free_logprob")
    weight = (free - free.max().over(question)).exp()
    shares = scores.drop_nulls("content_free_logprob").with_columns(
        g_prior=weight / weight.sum().over(question)
    )
    own = shares.join(gold, on=["fact_id", "lang", "candidate_id"], how="semi")
    return own.group_by(keys).agg(pl.col("g_prior").mean())


def _demo(copied: pl.DataFrame | None) -> pl.DataFrame:
    """g_demo by cell; no rows without demonstrations."""
    keys = ["ckpt_id", "fact_id", "lang"]
    if copied is None or not copied.height:
        return pl.DataFrame(schema=dict.fromkeys(keys, pl.String()) | {"g_demo": pl.Float64()})
    group = ["ckpt_id", "relation", "lang"]
    rate = (
        copied.filter(~pl.col("gold_in_demos"))
        .group_by(group)
        .agg(_rate=pl.col("copied").cast(pl.Float64()).mean())
    )
    shown = copied.group_by(*keys, "relation").agg(
        _shown=pl.col("gold_in_demos").cast(pl.Float64()).mean()
    )
    return shown.join(rate, on=group, how="left").select(
        *keys, g_demo=pl.col("_shown") * pl.col("_rate").fill_null(0.0)
    )
