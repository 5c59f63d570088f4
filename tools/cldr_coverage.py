"""Measure the built-in facts and put the tables into docs/cldr.md between their markers.

Usage: python tools/cldr_coverage.py [--check]      (--check only says whether the page is current)
"""

import sys
from pathlib import Path

import polars as pl
from babel import localedata

from polylore.facts.cldr import build, wordings
from polylore.facts.cldr.claims import RELATIONS, claims
from polylore.facts.cldr.names import Names
from polylore.facts.factset import FactSet

PAGE = Path(__file__).resolve().parents[1] / "docs" / "cldr.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def main() -> None:
    facts = build()
    source = facts.facts["source"][0]
    parts = [
        f"Measured with {source}, {len(facts.languages)} languages.",
        _relations(facts),
        "Facts per language:",
        _counts(facts),
        "Share of facts whose answer is spelled as in English (%):",
        _shares(facts, "same_as_en", [x for x in facts.languages if x != "en"]),
        "Facts with a fallback name (`fallback_name`) or whose answer reads like the subject "
        "(`same_as_subject`):",
        _flags(facts),
        _beyond(facts),
    ]
    text = "\n\n".join(parts)
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    current = f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"
    if "--check" in sys.argv:
        raise SystemExit(0 if current == page else f"{PAGE} is not current; run this tool.")
    PAGE.write_text(current, encoding="utf-8")


def _relations(facts: FactSet) -> str:
    common = facts.common()
    rows = []
    for relation in RELATIONS:
        answers = facts.filter(languages=["en"], relations=[relation]).facts["object"]
        top = answers.value_counts(sort=True).sort(["count", "object"], descending=[True, False])
        share = 100 * top["count"][0] / len(answers)
        rows.append(
            [
                f"`{relation}`",
                len([one for one in facts.fact_ids if facts.relation_of[one] == relation]),
                len([one for one in common.fact_ids if facts.relation_of[one] == relation]),
                top.height,
                f"{top['object'][0]} {share:.0f} %",
                len(facts.wordings(relation, "en")),
                min(len(facts.wordings(relation, x, "statement")) for x in facts.languages),
            ]
        )
    total = [sum(int(row[n]) for row in rows) for n in (1, 2)]
    rows.append(["all", *total, "", "", "", ""])
    head = ["relation", "facts", "in all languages", "different answers", "majority answer"]
    return _table([*head, "prompts", "statements, at least"], rows)


def _counts(facts: FactSet) -> str:
    counts = {
        (lang, relation): n
        for lang, relation, n in facts.facts.group_by("lang", "relation").len().iter_rows()
    }
    rows = [
        [lang, *(counts.get((lang, relation), 0) for relation in RELATIONS)]
        for lang in facts.languages
    ]
    return _table(["language", *RELATIONS], rows)


def _shares(facts: FactSet, flag: str, languages: list[str]) -> str:
    has = pl.col("flags").list.contains(flag)
    shares = {
        (lang, relation): share
        for lang, relation, share in facts.facts.group_by("lang", "relation")
        .agg(has.mean())
        .iter_rows()
    }
    rows = [
        [lang, *(f"{100 * shares[lang, relation]:.0f}" for relation in RELATIONS)]
        for lang in languages
    ]
    return _table(["language", *RELATIONS], rows)


def _flags(facts: FactSet) -> str:
    names = ["fallback_name", "same_as_subject"]
    sums = facts.facts.group_by("lang").agg(
        pl.col("flags").list.contains(name).sum().alias(name) for name in names
    )
    values = {row["lang"]: row for row in sums.iter_rows(named=True)}
    rows = [[lang, *(values[lang][name] for name in names)] for lang in facts.languages]
    return _table(["language", *names], rows)


def _beyond(facts: FactSet) -> str:
    """How many of CLDR's languages name at least 90 % of the facts, wordings or not."""
    kept = set(facts.fact_ids)
    wanted = {r: [c for c in claims(r) if c.fact_id in kept] for r in RELATIONS}
    known = localedata.load("en")["languages"]
    codes = [code for code in sorted(localedata.locale_identifiers()) if code in known]
    codes = [code for code in codes if "_" not in code]
    enough = dict.fromkeys(RELATIONS, 0)
    for code in codes:
        names = Names(code)
        for relation, listed in wanted.items():
            told = sum(bool(names.get(*c.subject) and names.get(*c.gold)) for c in listed)
            enough[relation] += told >= 0.9 * len(listed)
    listed_counts = ", ".join(f"`{name}` {count}" for name, count in enough.items())
    return (
        f"Of the {len(codes)} languages in CLDR's data ({len(wordings.languages())} have "
        f"wordings), this many name at least 90 % of the facts: {listed_counts}. For these a "
        "wording file is all that is missing."
    )


def _table(head: list[str], rows: list[list[object]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
