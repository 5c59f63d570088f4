"""The linter: what a fact set cannot show, before a model is asked.

Errors make results wrong, warnings make them misleading, notes are properties to know about.
What no analysis could survive (an empty object, an index with two meanings, a template without
slot) is refused at load, see `facts.checks`.
"""

import unicodedata
from collections.abc import Iterable

import polars as pl

from polylore.facts.bmlama import GOLD_TEXT_DIFFERS, SUBJECT_TEXT_DIFFERS
from polylore.facts.factset import FactSet
from polylore.facts.findings import Finding, finding
from polylore.facts.lint_wordings import wording_findings
from polylore.tables import quality
from polylore.text import fold
from polylore.text.prefixes import in_prefix_conflict

CONSTANT_GOLD_SHARE = 0.9
"""Share of golds at one end of the candidate list from which position gives the answer away."""

_HERE = ["lang", "relation"]
_SEVERITIES = ("error", "warning", "note")


def lint(factset: FactSet, pivot: str = "en") -> pl.DataFrame:
    """Findings, errors first; contract `tables.quality.LINT`.

    Args:
        factset: the set to examine.
        pivot: language whose strings the others are compared with.
    """
    facts = factset.facts
    rows = [
        *wording_findings(factset),
        *_alignment(factset),
        *_repeated(facts),
        *_surface(facts, pivot),
        *_prefixes(facts),
        *_unicode(facts),
        *_candidates(facts),
        *_flagged(facts),
    ]
    rows.sort(key=lambda row: _SEVERITIES.index(str(row["severity"])))
    return quality.LINT.build(rows)


Findings = Iterable[Finding]


def _per_group(
    rows: pl.DataFrame, rule: str, severity: str, message: str, by: list[str] | None = None
) -> Findings:
    """One finding per language and relation (or `by`), with examples "subject -> object"."""
    keys = _HERE if by is None else by
    shown = pl.format("{}: {} -> {}", "fact_id", "subject", "object")
    groups = rows.group_by(keys, maintain_order=True).agg(pl.len(), shown.head(5).alias("shown"))
    for row in groups.iter_rows(named=True):
        yield finding(
            rule, severity, row.get("lang"), row.get("relation"), row["len"], row["shown"], message
        )


def _alignment(factset: FactSet) -> Findings:
    """Facts that some language lacks."""
    languages = factset.languages
    told = factset.facts.group_by("fact_id", "relation", maintain_order=True).agg("lang")
    gaps = told.filter(pl.col("lang").list.len() < len(languages))
    for lang in languages:
        absent = gaps.filter(~pl.col("lang").list.contains(lang))
        for (relation,), group in absent.group_by(["relation"], maintain_order=True):
            yield finding(
                "missing_facts",
                "warning",
                lang,
                str(relation),
                group.height,
                group["fact_id"].head(5).to_list(),
                "facts that other languages have; comparisons use the common facts only",
            )


def _repeated(facts: pl.DataFrame) -> Findings:
    triple = [*_HERE, "subject", "object"]
    again = facts.filter(pl.struct(triple).is_duplicated())
    yield from _per_group(
        again,
        "duplicate_triple",
        "warning",
        "facts with equal subject and object count twice; delete all but one",
    )
    several = facts.filter(pl.col("object").n_unique().over([*_HERE, "subject"]) > 1)
    yield from _per_group(
        several,
        "several_golds",
        "warning",
        "subjects with several right answers; list the others as aliases or expect an accuracy "
        "below 1 even from a perfect model",
    )


def _surface(facts: pl.DataFrame, pivot: str) -> Findings:
    folded = facts.with_columns(_s=_folded(facts["subject"]), _o=_folded(facts["object"]))
    inside = folded.filter(pl.col("_s").str.contains(pl.col("_o"), literal=True))
    yield from _per_group(
        inside,
        "answer_in_subject",
        "note",
        "the answer stands in the question, so copying is enough; read their stratum apart",
    )
    of_pivot = folded.filter(pl.col("lang") == pivot).select("fact_id", _p="_o")
    others = folded.filter(pl.col("lang") != pivot).join(
        of_pivot, on="fact_id", how="left", maintain_order="left"
    )
    yield from _per_group(
        others.filter(pl.col("_o") == pl.col("_p")),
        "same_object_as_pivot",
        "note",
        f"object written as in '{pivot}', so transfer cannot be told from copying a string",
        by=["lang"],
    )


def _prefixes(facts: pl.DataFrame) -> Findings:
    lowered = facts.with_columns(_l=pl.col("object").str.to_lowercase().str.strip_chars())
    for keys, group in lowered.group_by(_HERE, maintain_order=True):
        conflicts = in_prefix_conflict(group["_l"].unique())
        if conflicts:
            rows = group.filter(pl.col("_l").is_in(sorted(conflicts)))
            yield finding(
                "prefix_conflict",
                "note",
                str(keys[0]),
                str(keys[1]),
                rows.height,
                rows["object"].unique(maintain_order=True).head(5).to_list(),
                "one object begins another; the paper matcher confuses them, the default matcher "
                "does not",
            )


def _unicode(facts: pl.DataFrame) -> Findings:
    odd = [
        text
        for column in ("subject", "object")
        for text in facts[column].unique()
        if not unicodedata.is_normalized("NFC", text)
    ]
    named = pl.col("subject").is_in(odd) | pl.col("object").is_in(odd)
    yield from _per_group(
        facts.filter(named),
        "not_nfc",
        "warning",
        "strings that are not NFC differ from equal-looking text in a corpus; normalise them",
    )
    spaced = pl.any_horizontal(
        pl.col(name) != pl.col(name).str.strip_chars() for name in ("subject", "object")
    )
    yield from _per_group(
        facts.filter(spaced),
        "outer_space",
        "warning",
        "white space at an end of subject or object; remove it",
    )


def _candidates(facts: pl.DataFrame) -> Findings:
    with_list = facts.filter(pl.col("gold_pos").is_not_null())
    if with_list.is_empty():
        return
    ids = pl.col("candidate_ids").list.join("\x1f")
    gold = pl.col("candidate_ids").list.get(pl.col("gold_pos"))
    parallel = facts.with_columns(_ids=ids, _gold=gold).filter(
        (pl.col("_ids").n_unique().over("fact_id") > 1)
        | (pl.col("_gold").n_unique().over("fact_id") > 1)
    )
    yield from _per_group(
        parallel,
        "candidates_not_parallel",
        "error",
        "candidate_ids or the gold's id differ between languages, so rankings cannot be compared",
        by=["relation"],
    )
    repeated = with_list.filter(
        pl.col("candidates").list.n_unique() < pl.col("candidates").list.len()
    )
    yield from _per_group(
        repeated,
        "duplicate_candidates",
        "warning",
        "one string is several candidates, whose scores will tie; remove the repetition",
    )
    yield from _per_group(
        _gold_among_distractors(with_list),
        "gold_among_distractors",
        "warning",
        "another right answer of the same subject is among the distractors and may rank first",
    )
    last = pl.col("candidates").list.len().cast(pl.Int32) - 1
    for place, column in (("first", pl.lit(0)), ("last", last)):
        counts = with_list.group_by("lang", maintain_order=True).agg(
            n=pl.len(), here=(pl.col("gold_pos") == column).sum()
        )
        for lang, n, here in counts.iter_rows():
            if here >= CONSTANT_GOLD_SHARE * n:
                yield finding(
                    "gold_position",
                    "warning",
                    lang,
                    None,
                    here,
                    [],
                    f"the gold is the {place} candidate of {here} in {n} facts; ties must never "
                    "be broken by position",
                )


def _gold_among_distractors(facts: pl.DataFrame) -> pl.DataFrame:
    """Facts whose candidates hold another gold of the same (relation, language, subject)."""
    key = [*_HERE, "subject"]
    several = facts.with_columns(
        _golds=pl.col("object").unique().over(key, mapping_strategy="join")
    )
    shared = pl.col("candidates").list.set_intersection(pl.col("_golds"))
    return several.filter((pl.col("_golds").list.len() > 1) & (shared.list.n_unique() > 1)).drop(
        "_golds"
    )


def _flagged(facts: pl.DataFrame) -> Findings:
    messages = {
        GOLD_TEXT_DIFFERS: "the object is spelled differently in the candidates; that spelling is "
        "accepted as an alias",
        SUBJECT_TEXT_DIFFERS: "the subject is spelled differently in the candidate file",
    }
    for flag, message in messages.items():
        rows = facts.filter(pl.col("flags").list.contains(flag))
        yield from _per_group(rows, flag, "note", message, by=["lang"])


def _folded(texts: pl.Series) -> pl.Series:
    """`text.fold` of every string, called once per distinct one."""
    distinct = texts.unique()
    folded = pl.Series([fold(text) for text in distinct], dtype=pl.String)
    return texts.replace_strict(distinct, folded, return_dtype=pl.String)
