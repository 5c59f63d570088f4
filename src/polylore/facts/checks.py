"""What every fact set must satisfy, whatever file it came from.

Readers check first and name file and line; these checks are the last gate, also for sets made in
code. Everything here is vectorised, so a million rows cost about a second.
"""

import polars as pl

from polylore.errors import DataError

SLOTS: dict[str, tuple[str, ...]] = {
    "prompt": ("<subject>", "<mask>"),
    "statement": ("<subject>", "<mask>"),
    "mention": ("<name>",),
}
"""Slots that a wording of each kind must have."""


def check_facts(facts: pl.DataFrame, name: str) -> None:
    """Refuse facts that cannot be asked or graded.

    Raises:
        DataError: no rows, empty subject or object, a fact id with two relations, or candidates
            that do not fit together.
    """
    if facts.is_empty():
        raise DataError(f"Fact set {name} has no facts.")
    for column in ("fact_id", "relation", "lang", "subject", "object"):
        empty = facts.filter(pl.col(column).str.strip_chars() == "")
        if empty.height:
            raise DataError(
                f"Fact set {name}: {empty.height} rows have an empty {column}, the first is "
                f"{_where(empty)}; fill it in or leave the row out."
            )
    relations = facts.group_by("fact_id").agg(pl.col("relation").unique().sort())
    twice = relations.filter(pl.col("relation").list.len() > 1).sort("fact_id")
    if twice.height:
        fact_id, found = twice.row(0)
        raise DataError(
            f"Fact set {name}: fact '{fact_id}' means the relations {' and '.join(found)}; one "
            "fact_id must mean the same relation in every language."
        )
    _check_candidates(facts, name)


def _check_candidates(facts: pl.DataFrame, name: str) -> None:
    candidates, position = pl.col("candidates"), pl.col("gold_pos")
    size = candidates.list.len()
    gold = candidates.list.get(position, null_on_oob=True)
    problems = {
        "as many candidates as candidate_ids": size != pl.col("candidate_ids").list.len(),
        "only different candidate_ids": pl.col("candidate_ids").list.n_unique() != size,
        "no empty candidate": candidates.list.contains("")
        | candidates.list.eval(pl.element().is_null()).list.any(),
        "gold_pos exactly where it has candidates": (size > 0) != position.is_not_null(),
        "gold_pos inside the candidates": position.is_not_null()
        & ((position < 0) | (position >= size)),
        "the object itself at gold_pos": position.is_not_null()
        & ~gold.eq_missing(pl.col("object")),
        "no null among aliases": pl.col("aliases").list.eval(pl.element().is_null()).list.any(),
    }
    for rule, broken in problems.items():
        rows = facts.filter(broken)
        if rows.height:
            raise DataError(
                f"Fact set {name}: {rows.height} rows break the rule that a fact has {rule}, the "
                f"first is {_where(rows)}."
            )


def check_templates(templates: pl.DataFrame, name: str) -> None:
    """Refuse wordings without their slots.

    Raises:
        DataError: unknown kind, or a missing slot.
    """
    for relation, lang, kind, variant, template in templates.iter_rows():
        if kind not in SLOTS:
            raise DataError(
                f"Fact set {name}: the wording {variant} of {relation} in {lang} has the kind "
                f"'{kind}'; it must be one of {', '.join(SLOTS)}."
            )
        check_template(template, f"Fact set {name}: {kind} {variant} of {relation} in {lang}", kind)


def check_template(template: str, where: str, kind: str = "prompt") -> None:
    """Refuse a template that lacks a slot of its kind.

    Raises:
        DataError: the message begins with `where`.
    """
    missing = [slot for slot in SLOTS[kind] if slot not in template]
    if missing:
        raise DataError(
            f"{where}: the template {template!r} lacks {' and '.join(missing)}; add it."
        )


def _where(rows: pl.DataFrame) -> str:
    relation, lang, fact_id = rows.select("relation", "lang", "fact_id").row(0)
    return f"relation {relation!r}, language {lang!r}, fact {fact_id!r}"
