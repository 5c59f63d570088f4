"""The linter's rules about templates."""

from collections.abc import Iterable, Iterator

import polars as pl

from polylore.facts.factset import FactSet
from polylore.facts.findings import Finding, finding


def wording_findings(factset: FactSet) -> Iterator[Finding]:
    """Findings about the wordings of the set, by rule."""
    templates = factset.templates
    prompts = templates.filter(pl.col("kind") == "prompt")
    yield from _without_prompt(factset, prompts)
    head = pl.col("template").str.split("<mask>").list.first()
    yield from _by_place(
        prompts.filter(~head.str.contains("<subject>", literal=True)),
        "subject_after_mask",
        "error",
        "the subject comes after <mask>, where prompts are cut, so it would never be asked; "
        "reword the template",
    )
    tail = pl.col("template").str.split("<mask>").list.slice(1).list.join("").str.strip_chars()
    # One finding for the whole set: it concerns wording style, not single facts.
    cut = prompts.filter(tail != "")
    if cut.height:
        yield finding(
            "text_after_mask",
            "note",
            None,
            None,
            cut.height,
            _examples(cut),
            "text after <mask> is cut off in prompts, so the answer may not be the natural next "
            "words",
        )
    slots = {"<subject>": pl.col("kind") != "mention", "<mask>": pl.col("kind") != "mention"}
    slots["<name>"] = pl.col("kind") == "mention"
    repeated = pl.any_horizontal(
        here & (pl.col("template").str.count_matches(slot, literal=True) > 1)
        for slot, here in slots.items()
    )
    yield from _by_place(
        templates.filter(repeated),
        "repeated_slot",
        "warning",
        "a slot occurs more than once; prompts are cut at the first <mask>",
    )
    yield from _by_place(
        templates.filter(pl.struct("relation", "lang", "kind", "template").is_duplicated()),
        "duplicate_wording",
        "warning",
        "wordings that are equal give no further variant; delete all but one",
    )


def _without_prompt(factset: FactSet, prompts: pl.DataFrame) -> Iterable[Finding]:
    there = set(prompts.select("relation", "lang").unique().iter_rows())
    needed = factset.facts.select("relation", "lang").unique(maintain_order=True)
    for relation, lang in needed.iter_rows():
        if (relation, lang) not in there:
            yield finding(
                "no_prompt",
                "error",
                lang,
                relation,
                1,
                [],
                "no prompt template, so these facts cannot be asked; add one",
            )


def _by_place(rows: pl.DataFrame, rule: str, severity: str, message: str) -> Iterable[Finding]:
    for keys, group in rows.group_by(["lang", "relation"], maintain_order=True):
        lang, relation = map(str, keys)
        yield finding(rule, severity, lang, relation, group.height, _examples(group), message)


def _examples(rows: pl.DataFrame) -> list[str]:
    return rows["template"].head(5).to_list()
