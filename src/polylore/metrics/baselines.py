"""What is reached without knowing anything (specification of `trace`, section 5.1).

Each baseline gives every fact a credit: the probability that it answers that fact right. Accuracy
of a baseline in any group of facts is then a mean of credits, and so is it in a bootstrap draw.
"""

from collections import Counter
from collections.abc import Mapping

import polars as pl

from polylore.tables.derived import BASELINES
from polylore.text import normalise

CREDITS = {
    "ckpt_id": pl.String(),
    "matcher": pl.String(),
    "lang": pl.String(),
    "relation": pl.String(),
    "fact_id": pl.String(),
    "baseline": pl.String(),
    "credit": pl.Float64(),
}
CONTROLS = ("content_free", "shuffled_subjects")


def applicable(matcher: str, names: set[str]) -> list[str]:
    """Baselines that a matcher's accuracy must be held against, in a fixed order.

    Candidate ranking is held against chance and the majority object; generated text against the
    majority object and copied demonstrations (those in the prompts if they are known, else random
    ones); the paper matcher also against the best one-character answer; each against controls
    graded by the same matcher.
    """
    if matcher.startswith("candidates"):
        order = ["chance", "majority"]
    else:
        order = ["majority", "copy_demo" if "copy_demo" in names else "copy_random_demo"]
        order += ["one_char"] if matcher == "paper" else []
    return [b for b in (*order, *CONTROLS) if b in names]


def baseline_credits(
    facts: pl.DataFrame,
    *,
    n_shot: int = 0,
    prompts: pl.DataFrame | None = None,
    copied: pl.DataFrame | None = None,
    controls: Mapping[str, pl.DataFrame] | None = None,
) -> pl.DataFrame:
    """Credit of every fact under every baseline.

    ``chance``: 1 / number of candidates. ``majority``: the object that is right for most facts of
    the (relation, language), always. ``copy_random_demo``: expected over demonstrations drawn
    uniformly from the other facts of the (relation, language); it does not depend on how many are
    shown, as long as there is one. ``copy_demo``: one of the demonstrations really shown, chosen at
    random. ``one_char``: the one-character answer that the paper matcher rewards most in the
    (relation, language). ``copy_rate``: share of answers that repeat a demonstration (an
    observation, never used as a baseline). Controls: graded answers to content-free prompts or to
    other facts' subjects.

    Args:
        facts: table FACTS; the answers of majority and one_char are chosen on these.
        n_shot: demonstrations per prompt.
        prompts: table PROMPTS, for the demonstrations really shown.
        copied: frame of `grade.copied_demos`.
        controls: table GRADES by name, ``content_free`` or ``shuffled_subjects``.

    Returns:
        Columns of `CREDITS`; ckpt_id and matcher are null where a credit holds for all.
    """
    rows: list[tuple[str, str, str, str, float]] = []
    for (lang, relation), group in facts.group_by("lang", "relation", maintain_order=True):
        objects = group["object"].to_list()
        accepted = [
            frozenset(normalise(t) for t in (o, *(a or []))) - {""}
            for o, a in zip(objects, group["aliases"].to_list(), strict=True)
        ]
        credits = {
            "chance": [1 / len(c) if c else None for c in group["candidates"].to_list()],
            "majority": _majority(accepted),
            "one_char": _one_char(objects),
        }
        if n_shot > 0:
            credits["copy_random_demo"] = _copy_random(objects, accepted)
        for name, values in credits.items():
            rows += [
                (lang, relation, fact, name, value)
                for fact, value in zip(group["fact_id"].to_list(), values, strict=True)
                if value is not None
            ]
    schema = {c: CREDITS[c] for c in ("lang", "relation", "fact_id", "baseline", "credit")}
    parts = [pl.DataFrame(rows, schema=schema, orient="row")]
    if prompts is not None:
        parts.append(_copy_shown(facts, prompts))
    if copied is not None:
        keys = ["ckpt_id", "lang", "relation", "fact_id"]
        rate = copied.group_by(keys, maintain_order=True).agg(
            pl.col("copied").cast(pl.Float64()).mean().alias("credit")
        )
        parts.append(rate.with_columns(baseline=pl.lit("copy_rate")))
    for name, grades in (controls or {}).items():
        keys = ["ckpt_id", "matcher", "lang", "relation", "fact_id"]
        answered = grades.drop_nulls("y")
        control = answered.group_by(keys, maintain_order=True).agg(
            pl.col("y").cast(pl.Float64()).mean().alias("credit")
        )
        parts.append(control.with_columns(baseline=pl.lit(name)))
    whole = [
        p.with_columns(pl.lit(None, dtype=CREDITS[c]).alias(c) for c in CREDITS if c not in p)
        for p in parts
    ]
    return pl.concat([p.select(pl.col(c).cast(t) for c, t in CREDITS.items()) for p in whole])


def _majority(accepted: list[frozenset[str]]) -> list[float | None]:
    counts = Counter(z for a in accepted for z in a)
    best = min(counts, key=lambda z: (-counts[z], z), default=None)
    return [float(best in a) for a in accepted]


def _one_char(objects: list[str]) -> list[float | None]:
    first = [o.lower().strip()[:1] for o in objects]
    counts = Counter(c for c in first if c)
    best = min(counts, key=lambda c: (-counts[c], c), default=None)
    return [float(c == best) for c in first]


def _copy_random(objects: list[str], accepted: list[frozenset[str]]) -> list[float | None]:
    """Share of the other facts whose object is right for this one; null in a relation of one."""
    texts = [normalise(o) for o in objects]
    counts = Counter(texts)
    others = len(objects) - 1
    return [
        (sum(counts[z] for z in a) - (text in a)) / others if others else None
        for text, a in zip(texts, accepted, strict=True)
    ]


def _copy_shown(facts: pl.DataFrame, prompts: pl.DataFrame) -> pl.DataFrame:
    texts: dict[tuple[str, str], str] = {}
    accepted: dict[tuple[str, str], frozenset[str]] = {}
    relations: dict[str, str] = {}
    columns = ("fact_id", "lang", "relation", "object", "aliases")
    for fact, lang, relation, gold, aliases in facts.select(columns).iter_rows():
        texts[fact, lang] = normalise(gold)
        accepted[fact, lang] = frozenset(normalise(t) for t in (gold, *(aliases or [])))
        relations[fact] = relation
    rows = []
    for fact, lang, demos in prompts.select("fact_id", "lang", "demo_fact_ids").iter_rows():
        known = [texts[d, lang] in accepted[fact, lang] for d in demos if (d, lang) in texts]
        if known and (fact, lang) in accepted:
            rows.append((lang, relations[fact], fact, sum(known) / len(known)))
    schema = {c: CREDITS[c] for c in ("lang", "relation", "fact_id", "credit")}
    shown = pl.DataFrame(rows, schema=schema, orient="row")
    keys = ["lang", "relation", "fact_id"]
    return (
        shown.group_by(keys, maintain_order=True)
        .agg(pl.col("credit").mean())
        .with_columns(baseline=pl.lit("copy_demo"))
    )


def baselines(credits: pl.DataFrame, strata: pl.DataFrame | None = None) -> pl.DataFrame:
    """Mean credit per (language, relation or all, stratum).

    Args:
        credits: frame of `baseline_credits`.
        strata: strata frame; those that change with the checkpoint are left out here, and have
            their baseline in the table RECALL.

    Returns:
        Table BASELINES.
    """
    parts = [credits.with_columns(stratum=pl.lit("all"))]
    if strata is not None:
        fixed = strata.filter(pl.col("ckpt_id").is_null()).select("fact_id", "lang", "stratum")
        parts.append(credits.join(fixed, on=["fact_id", "lang"]))
    grouped = pl.concat(parts)
    grouped = pl.concat([grouped, grouped.with_columns(relation=pl.lit("all"))])
    keys = ["ckpt_id", "matcher", "lang", "relation", "stratum", "baseline"]
    return BASELINES.validate(
        grouped.group_by(keys, maintain_order=True).agg(
            pl.len().cast(pl.Int64()).alias("n"), pl.col("credit").mean().alias("acc")
        )
    )
