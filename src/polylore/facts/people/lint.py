"""The linter of fictional items: what would make a probe easier or harder than it looks."""

import json
import re
from collections.abc import Callable, Iterator

import polars as pl

from polylore.facts.findings import Finding, finding
from polylore.facts.people.tables import Fiction
from polylore.tables.inject import TARGET_SUFFIX
from polylore.tables.quality import LINT

TOLERANCE = 0.10
Encode = Callable[[list[str]], list[list[int]]]
_FICTIONAL = re.compile(r"\b(fictional|fictitious|imaginary)\b", re.IGNORECASE)
SENTENCE = re.compile(r"(?<=[.!?。।！？])\s*")


def lint_items(
    fiction: Fiction, encode: Encode | None = None, arms: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Findings, errors first; contract `tables.quality.LINT`.

    Args:
        fiction: items, passages and probes.
        encode: token ids of texts, nothing added; without it nothing is said about tokens.
        arms: contract `tables.inject.ARMS`; without it nothing is said about arms.
    """
    rows = [*_targets(fiction), *_wordings(fiction), *_hops(fiction), *_texts(fiction)]
    if encode is not None:
        rows += [*_merges(fiction, encode), *_lengths(fiction, encode, arms)]
    order = ("error", "warning", "note")
    rows.sort(key=lambda row: order.index(str(row["severity"])))
    return LINT.build(rows)


def _group(
    rule: str, severity: str, found: list[tuple[str, str]], message: str
) -> Iterator[Finding]:
    """One finding per language of (language, example)."""
    for lang in sorted({lang for lang, _ in found}):
        own = [example for code, example in found if code == lang]
        yield finding(rule, severity, lang, None, len(own), own[:5], message)


def _targets(fiction: Fiction) -> Iterator[Finding]:
    probes = fiction.probes.filter(pl.col("depth") == "memorization")
    asked: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for item, lang, probe, target in probes.select("item_id", "lang", "probe_id", "target").rows():
        asked.setdefault((item, lang), []).append((probe, target))
    missing: list[tuple[str, str]] = []
    for item, lang, passage, text in fiction.passages.select(
        "item_id", "lang", "passage_id", "text"
    ).iter_rows():
        lost = [probe for probe, target in asked.get((item, lang), []) if target not in text]
        missing += [(lang, f"{passage} lacks the target of {probe}") for probe in lost]
    yield from _group(
        "target_missing",
        "warning",
        missing,
        "Variants without a target mix diversity with dose; state every fact in every variant.",
    )
    keys = ["item_id", "lang", "depth"]
    twice = fiction.probes.filter(pl.struct(*keys, "target", "variant").is_duplicated())
    yield from _group(
        "target_repeated",
        "warning",
        [(r["lang"], f"{r['item_id']}: {r['target']}") for r in twice.iter_rows(named=True)],
        "Two probes of an item have one target, so one exposure counts for both.",
    )
    digits = fiction.probes.filter(pl.col("target").str.contains(r"\d"))
    yield from _group(
        "target_digits",
        "note",
        [(r["lang"], f"{r['probe_id']}: {r['target']}") for r in digits.iter_rows(named=True)],
        "Numbers are guessed by their form; look at them apart from words.",
    )


def _wordings(fiction: Fiction) -> Iterator[Finding]:
    probes = fiction.probes
    inside = probes.filter("target_in_prefix")
    yield from _group(
        "target_in_prefix",
        "error",
        [(r["lang"], f"{r['probe_id']}: {r['target']}") for r in inside.iter_rows(named=True)],
        "The prefix names the target, so it can be copied; ask in other words.",
    )
    alone = probes.filter(pl.col("distractors").list.len() == 0, score_span=TARGET_SUFFIX)
    yield from _group(
        "suffix_without_distractors",
        "warning",
        alone.select("lang", "probe_id").rows(),
        "The suffix is scored with the target, so only a margin over other answers with the same "
        "suffix tells what the target gains; give distractors.",
    )
    texts = _texts_of(fiction)
    found = [
        (r["lang"], r["probe_id"])
        for r in probes.filter(pl.col("depth") != "memorization").iter_rows(named=True)
        if any(
            r["prefix"] + r["joiner"] + r["target"] in text
            for text in texts.get((r["item_id"], r["lang"]), [])
        )
    ]
    yield from _group(
        "wording_in_passage",
        "error",
        found,
        "The probe stands in a passage word for word, so it measures memorization.",
    )


def _hops(fiction: Fiction) -> Iterator[Finding]:
    """Compositional targets in a sentence that names the subject are no second hop."""
    names = {
        item: json.loads(meta).get("names", {}) if meta else {}
        for item, meta in fiction.items.select("item_id", "meta").iter_rows()
    }
    texts = _texts_of(fiction)
    found = []
    for row in fiction.probes.filter(depth="compositional").iter_rows(named=True):
        name = names.get(row["item_id"], {}).get(row["lang"])
        if name and any(
            name in sentence and row["target"] in sentence
            for text in texts.get((row["item_id"], row["lang"]), [])
            for sentence in SENTENCE.split(text)
        ):
            found.append((row["lang"], f"{row['probe_id']}: {row['target']}"))
    yield from _group(
        "one_hop",
        "error",
        found,
        "A sentence names both the subject and the target, so one fact is enough to answer.",
    )
    told = [
        (row["lang"], f"{row['probe_id']}: {row['target']}")
        for row in fiction.probes.filter(depth="two_hop_background").iter_rows(named=True)
        if any(row["target"] in text for text in texts.get((row["item_id"], row["lang"]), []))
    ]
    yield from _group(
        "told_in_passage",
        "error",
        told,
        "The second fact should come from the background, but a passage holds the target.",
    )


def _texts(fiction: Fiction) -> Iterator[Finding]:
    own = [
        (lang, passage)
        for passage, lang, text in fiction.passages.select("passage_id", "lang", "text").iter_rows()
        if _FICTIONAL.search(text)
    ]
    yield from _group(
        "calls_itself_fictional",
        "warning",
        own,
        "The passage says that it is fiction, which a model may treat unlike a fact.",
    )


def _merges(fiction: Fiction, encode: Encode) -> Iterator[Finding]:
    probes = fiction.probes
    prefixes = encode(probes["prefix"].to_list())
    wholes = encode((probes["prefix"] + probes["joiner"] + probes["target"]).to_list())
    found = [
        (lang, probe)
        for lang, probe, prefix, whole in zip(
            probes["lang"], probes["probe_id"], prefixes, wholes, strict=True
        )
        if whole[: len(prefix)] != prefix
    ]
    yield from _group(
        "boundary_merge",
        "note",
        found,
        "A token crosses from the prefix into the target and counts as target.",
    )


def _lengths(fiction: Fiction, encode: Encode, arms: pl.DataFrame | None) -> Iterator[Finding]:
    sizes = fiction.passages.select("item_id", "lang", "variant").with_columns(
        tokens=pl.Series([len(ids) for ids in encode(fiction.passages["text"].to_list())])
    )
    first = sizes.filter(variant=0).select("item_id", "lang", original="tokens")
    apart = sizes.join(first, on=["item_id", "lang"]).filter(
        (pl.col("tokens") - pl.col("original")).abs() > TOLERANCE * pl.col("original")
    )
    yield from _group(
        "variant_length",
        "warning",
        [
            (r["lang"], f"{r['item_id']} variant {r['variant']}: {r['tokens']} of {r['original']}")
            for r in apart.iter_rows(named=True)
        ],
        "Variants are more than 10 % longer or shorter than the original in tokens: another dose.",
    )
    if arms is None:
        return
    own = first.join(arms.filter(pl.col("arm") != "never"), on="item_id")
    means = own.group_by("lang", "arm").agg(pl.col("original").mean()).sort("lang", "arm")
    for lang, rows in means.group_by("lang", maintain_order=True):
        low, high = rows["original"].min(), rows["original"].max()
        if isinstance(low, float) and isinstance(high, float) and high > low * (1 + TOLERANCE):
            shown = [f"{arm}: {mean:.0f} tokens" for arm, mean in rows[["arm", "original"]].rows()]
            yield finding(
                "arm_length",
                "warning",
                str(lang[0]),
                None,
                rows.height,
                shown[:5],
                "Originals of some arms are longer by more than 10 %; draw the arms anew.",
            )


def _texts_of(fiction: Fiction) -> dict[tuple[str, str], list[str]]:
    texts: dict[tuple[str, str], list[str]] = {}
    for item, lang, text in fiction.passages.select("item_id", "lang", "text").iter_rows():
        texts.setdefault((item, lang), []).append(text)
    return texts
