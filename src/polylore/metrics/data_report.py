"""What a fact set can and cannot show, before any model is asked.

Specification of `trace`, sections 5.1 (baselines) and 5.3; golden values in 9.1 (T3).
"""

import unicodedata

import polars as pl

from polylore.metrics.shared_strings import FLAGS, shared_strings
from polylore.tables import quality
from polylore.text.prefixes import in_prefix_conflict

DEMOS = 3
"""Random demonstrations of the published prompts."""

LONG = 20
"""UTF-8 bytes above which an object is likely to outlast ten generated tokens."""

_GROUP = ["lang", "relation"]


def data_report(facts: pl.DataFrame, pivot: str = "en") -> pl.DataFrame:
    """Statistics per language and relation, and over all relations; contract `DATA_REPORT`.

    Definitions, within one language and relation of n facts, n_o of them with the object o:

    - duplicate_triples: groups of rows with equal subject and object.
    - multi_gold: facts whose subject has several different objects.
    - prefix_conflicts: facts whose lower-cased object is a strict prefix or extension of another.
    - majority_share: max n_o / n.
    - copy_demo: mean of (n_o - 1)/(n - 1), copying the object of one random other fact.
    - demo_leak_probability: mean of 1 - C(n - n_o, d)/C(n - 1, d), d = min(3, n - 1).
    - one_char_baseline: share of the commonest first character of the lower-cased objects, which
      is what the paper matcher credits a constant one-character answer with.
    - chance: mean of 1/number of candidates.
    - missing_languages: languages of the set that lack at least one of these facts.

    Shares over all relations are means over facts; copy_demo and demo_leak_probability leave out
    relations of a single fact, where they are null. The comparisons with the pivot are null if the
    set has no pivot.

    Args:
        facts: contract `tables.raw.FACTS`.
        pivot: language that the others are compared with.
    """
    rows = facts.join(
        shared_strings(facts, pivot),
        on=["fact_id", "lang"],
        how="left",
        maintain_order="left",
    )
    rows = _with_object_counts(rows).with_columns(
        lowered=pl.col("object").str.to_lowercase().str.strip_chars(),
        non_nfc=_not_nfc(facts["subject"]) | _not_nfc(facts["object"]),
        long=pl.col("object").str.len_bytes() > LONG,
        n_candidates=pl.col("candidates").list.len(),
    )
    rows = rows.with_columns(prefix_conflict=_prefix_conflicts(rows))
    parts = rows.group_by(_GROUP, maintain_order=True).agg(
        n=pl.len(),
        duplicate_triples=pl.struct("subject", "object")
        .filter(pl.col("same_triple") > 1)
        .n_unique(),
        multi_gold=(pl.col("golds") > 1).sum(),
        **{name: _count(name) for name in FLAGS},
        prefix_conflicts=pl.col("prefix_conflict").sum(),
        object_bytes_over_20=pl.col("long").sum(),
        distinct_objects=pl.col("object").n_unique(),
        majority=pl.col("n_o").max(),
        copy_sum=_copied().sum(),
        leak_sum=_leaked().sum(),
        paired=(pl.col("n_r") > 1).sum(),
        one_char=pl.col("lowered").str.slice(0, 1).unique_counts().max(),
        chance_sum=(1 / pl.col("n_candidates").cast(pl.Float64))
        .filter(pl.col("n_candidates") > 0)
        .sum(),
        with_candidates=(pl.col("n_candidates") > 0).sum(),
        gold_last=(pl.col("gold_pos") == pl.col("n_candidates").cast(pl.Int32) - 1).sum(),
        non_nfc=pl.col("non_nfc").sum(),
    )
    numbers = [name for name in parts.columns if name not in _GROUP]
    whole = parts.group_by("lang", maintain_order=True).agg(
        pl.lit("all").alias("relation"), *(_total(name) for name in numbers)
    )
    table = pl.concat([parts, whole.select(parts.columns)])
    order = facts["lang"].unique(maintain_order=True).to_list()
    table = table.sort(pl.col("lang").replace_strict(order, range(len(order))), maintain_order=True)
    return quality.DATA_REPORT.validate(
        table.join(_missing(facts), on=_GROUP, how="left", maintain_order="left").select(
            *_GROUP,
            "n",
            "duplicate_triples",
            "multi_gold",
            *FLAGS,
            "prefix_conflicts",
            "object_bytes_over_20",
            "distinct_objects",
            majority_share=pl.col("majority") / pl.col("n"),
            copy_demo=_share("copy_sum", "paired"),
            demo_leak_probability=_share("leak_sum", "paired"),
            one_char_baseline=pl.col("one_char") / pl.col("n"),
            chance=_share("chance_sum", "with_candidates"),
            non_nfc="non_nfc",
            gold_last_share=_share("gold_last", "with_candidates"),
            missing_languages="missing_languages",
        )
    )


def _with_object_counts(rows: pl.DataFrame) -> pl.DataFrame:
    """Sizes of the groups that each fact belongs to within its language and relation."""
    return rows.with_columns(
        n_r=pl.len().over(_GROUP),
        n_o=pl.len().over([*_GROUP, "object"]),
        same_triple=pl.len().over([*_GROUP, "subject", "object"]),
        golds=pl.col("object").n_unique().over([*_GROUP, "subject"]),
    )


def _count(name: str) -> pl.Expr:
    """How many are true; null where the flag is."""
    return pl.when(pl.col(name).is_not_null().any()).then(pl.col(name).sum())


def _total(name: str) -> pl.Expr:
    return pl.when(pl.col(name).is_not_null().any()).then(pl.col(name).sum()).alias(name)


def _share(total: str, n: str) -> pl.Expr:
    return pl.when(pl.col(n) > 0).then(pl.col(total) / pl.col(n))


def _copied() -> pl.Expr:
    others = pl.col("n_r").cast(pl.Float64) - 1
    return pl.when(others > 0).then((pl.col("n_o").cast(pl.Float64) - 1) / others)


def _leaked() -> pl.Expr:
    """1 - C(n_r - n_o, d)/C(n_r - 1, d), as a product of d ratios of consecutive draws."""
    others = pl.col("n_r").cast(pl.Float64) - 1
    misses = pl.col("n_r").cast(pl.Float64) - pl.col("n_o").cast(pl.Float64)
    kept = pl.lit(1.0)
    for draw in range(DEMOS):
        left = others - draw
        missed = (misses - draw).clip(lower_bound=0) / left
        kept = kept * pl.when(left > 0).then(missed).otherwise(1)
    return pl.when(others > 0).then(1 - kept)


def _not_nfc(texts: pl.Series) -> pl.Series:
    odd = [text for text in texts.unique() if not unicodedata.is_normalized("NFC", text)]
    return texts.is_in(pl.Series(odd, dtype=pl.String).implode())


def _prefix_conflicts(rows: pl.DataFrame) -> pl.Series:
    """Whether each row's lower-cased object begins, or is begun by, another of its relation."""
    groups = rows.group_by(_GROUP).agg(pl.col("lowered").unique())
    pairs = [
        (lang, relation, text)
        for lang, relation, texts in groups.iter_rows()
        for text in in_prefix_conflict(texts)
    ]
    schema = dict.fromkeys((*_GROUP, "lowered"), pl.String)
    found = pl.DataFrame(pairs, schema=schema, orient="row").with_columns(conflict=True)
    joined = rows.join(found, on=[*_GROUP, "lowered"], how="left", maintain_order="left")
    return joined["conflict"].fill_null(value=False)


def _missing(facts: pl.DataFrame) -> pl.DataFrame:
    """For each row of the report, the languages that lack some of its facts."""
    everything = facts["lang"].unique(maintain_order=True).to_list()
    # Facts told in the same languages have the same gaps, so one look per pattern is enough.
    patterns = (
        facts.group_by("fact_id")
        .agg(pl.col("relation").first(), pl.col("lang").sort().str.join("\x1f"))
        .group_by("relation", "lang")
        .len()
    )
    gaps: dict[tuple[str, str], set[str]] = {}
    for relation, joined, _ in patterns.iter_rows():
        have = joined.split("\x1f")
        for lang in have:
            for key in ((lang, relation), (lang, "all")):
                gaps.setdefault(key, set()).update(set(everything) - set(have))
    rows = [
        (lang, relation, [code for code in everything if code in found])
        for (lang, relation), found in gaps.items()
    ]
    frame = pl.DataFrame(rows, schema=["lang", "relation", "missing_languages"], orient="row")
    return frame.cast({"missing_languages": pl.List(pl.String)})
