"""Reader of BMLAMA (specification of `trace`, section 3.1), alone or as candidates for KLAR.

The files are read by position, never by their header: the published `zh.tsv` has five header
fields over rows of four. No quoting exists in this format, so no CSV reader is used.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from polylore.errors import DataError
from polylore.facts.factset import FactSet
from polylore.facts.rows import Rows, list_column, select_languages, templates_frame

GOLD_TEXT_DIFFERS = "gold_text_differs"
"""Flag of a fact whose object is spelled differently in the joined candidates."""

SUBJECT_TEXT_DIFFERS = "subject_text_differs"
"""Flag of a fact whose subject is spelled differently in the joined candidates."""

HEADER = ("Prompt", "Ans", "Candidate Ans", "Subject")
FIELDS = 4
SEPARATOR = ", "


@dataclass(frozen=True)
class Entry:
    """One data row."""

    prompt: str
    gold: str
    candidates: tuple[str, ...]
    subject: str


@dataclass(frozen=True)
class File:
    """One language."""

    path: Path
    entries: list[Entry]
    notes: tuple[str, ...]

    def where(self, row: int) -> str:
        """Place of a data row, for messages; the header is line 1."""
        return f"{self.path}, line {row + 2}"


def read_file(path: str | Path) -> File:
    """Read one `<lang>.tsv`; entry number = 0-based data row.

    Raises:
        DataError: missing or empty file, a row without exactly four fields, an empty field, an
            empty or repeated candidate, or a gold that is not the last candidate.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"There is no file {path}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 ({error}).") from error
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    if len(lines) < 2:
        raise DataError(f"{path} is empty; it must hold a header and at least one row.")
    header = tuple(lines[0].split("\t"))
    notes: tuple[str, ...] = ()
    if header != HEADER:
        notes = (
            f"{path.name}: the header has the {len(header)} fields {', '.join(header)} instead of "
            f"{', '.join(HEADER)}; columns were read by position.",
        )
    entries = [_entry(line, f"{path}, line {row + 2}") for row, line in enumerate(lines[1:])]
    return File(path, entries, notes)


def _entry(line: str, where: str) -> Entry:
    fields = line.split("\t")
    if len(fields) != FIELDS:
        raise DataError(
            f"{where}: {len(fields)} fields instead of {FIELDS} (prompt, answer, candidates, "
            "subject); separate them by single tabs."
        )
    prompt, gold, joined, subject = fields
    for name, value in (("prompt", prompt), ("answer", gold), ("subject", subject)):
        if not value.strip():
            raise DataError(f"{where}: the {name} is empty; fill it in.")
    candidates = tuple(joined.split(SEPARATOR)) if joined.strip() else ()
    if not candidates or not all(candidates):
        raise DataError(f"{where}: the candidate list is empty or has an empty candidate.")
    if candidates[-1] != gold:
        raise DataError(f"{where}: the answer {gold!r} must be the last candidate.")
    return Entry(prompt, gold, candidates, subject)


def read_folder(folder: Path, languages: Sequence[str] | None = None) -> FactSet:
    """Read a BMLAMA folder as a fact set of its own.

    BMLAMA names no relations: a relation here is a block of neighbouring rows with one English
    template (of the first language if there is no English file), named after that template's
    words; a second block with the same template gets the suffix `_2`. Text after <mask> is kept in
    the templates and cut by `build_prompts`.

    Raises:
        DataError: a broken row, files of different length, or a prompt without subject or <mask>.
    """
    there = sorted(folder.glob("*.tsv"), key=lambda p: (p.stem != "en", p.stem))
    order = select_languages([p.stem for p in there], languages, folder)
    files = {lang: read_file(folder / f"{lang}.tsv") for lang in order}
    naming = folder / "en.tsv"
    blocks = _blocks(read_file(naming) if naming.is_file() else files[order[0]])
    facts = Rows("BMLAMA")
    templates: list[tuple[str, str, str, int, str]] = []
    notes: list[str] = []
    for lang, file in files.items():
        notes += file.notes
        if len(file.entries) != len(blocks):
            raise DataError(
                f"{file.path} has {len(file.entries)} rows, but {len(blocks)} are needed to be "
                "parallel with the others."
            )
        wordings: dict[str, Counter[str | None]] = {}
        for row, (entry, relation) in enumerate(zip(file.entries, blocks, strict=True)):
            wordings.setdefault(relation, Counter())[_template(entry)] += 1
            facts.add(
                str(row),
                relation,
                lang,
                entry.subject,
                entry.gold,
                file.where(row),
                candidate_ids=candidate_ids(row, len(entry.candidates)),
                candidates=entry.candidates,
                gold_pos=len(entry.candidates) - 1,
            )
        for relation, counts in wordings.items():
            template, note = _commonest(counts, relation, file.path)
            templates.append((relation, lang, "prompt", 0, template))
            notes += note
    return FactSet("BMLAMA", facts.frame(), templates_frame(templates), tuple(notes))


def candidate_ids(row: int, n: int) -> list[str]:
    """Identities of the candidates of a row: the j-th is the same entity in every language."""
    return [f"{row}:{number}" for number in range(n)]


def _template(entry: Entry) -> str | None:
    """The prompt with its subject taken out; None if it does not hold it as it is written."""
    before, slot, after = entry.prompt.partition("<mask>")
    if not slot:
        return None
    if entry.subject in before:
        return before.replace(entry.subject, "<subject>", 1) + slot + after
    if entry.subject in after:
        return before + slot + after.replace(entry.subject, "<subject>", 1)
    return None


def _commonest(
    counts: Counter[str | None], relation: str, path: Path
) -> tuple[str, tuple[str, ...]]:
    usable = [(text, n) for text, n in counts.most_common() if text is not None]
    if not usable:
        raise DataError(f"{path}: no prompt of {relation} holds both its subject and <mask>.")
    template, most = usable[0]
    if most == counts.total():
        return template, ()
    return template, (
        f"{path.name}: {counts.total() - most} of {counts.total()} prompts of {relation} differ "
        "from the commonest template, which is used for all.",
    )


def _blocks(file: File) -> list[str]:
    names: list[str] = []
    used: Counter[str] = Counter()
    last = None
    name = ""
    for row, entry in enumerate(file.entries):
        template = _template(entry)
        if template is None:
            raise DataError(f"{file.where(row)}: the prompt lacks its subject or <mask>.")
        if template != last:
            text = template.replace("<subject>", " ").replace("<mask>", " ")
            words = "".join(c if c.isalnum() else " " for c in text).split()
            stem = "_".join(words).lower() or "relation"
            used[stem] += 1
            name = stem if used[stem] == 1 else f"{stem}_{used[stem]}"
            last = template
        names.append(name)
    return names


def join_candidates(factset: FactSet, folder: str | Path) -> FactSet:
    """Give the facts of a KLAR set the candidates of BMLAMA by index.

    The gold is the last candidate; in its place stands the set's own object. Where the texts
    differ, BMLAMA's spelling becomes an alias and the fact is flagged `gold_text_differs`
    (`subject_text_differs` likewise, without an alias). Ties must never be broken by position.

    Raises:
        ConfigError: no file for a language.
        DataError: no folder, a broken file, or an index outside its rows.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder} with BMLAMA candidates.")
    select_languages(sorted(p.stem for p in folder.glob("*.tsv")), factset.languages, folder)
    files = {lang: read_file(folder / f"{lang}.tsv") for lang in factset.languages}
    rows = [_joined(row, files[row["lang"]]) for row in factset.facts.iter_rows(named=True)]
    lists = [list_column(name, [row[name] for row in rows]) for name in LISTS]
    last = pl.Series("gold_pos", [len(row["candidates"]) - 1 for row in rows], dtype=pl.Int32)
    added = (note for file in files.values() for note in file.notes)
    return FactSet(
        f"{factset.name} with BMLAMA candidates",
        factset.facts.with_columns(*lists, last),
        factset.templates,
        (*factset.notes, *added),
    )


LISTS = ("aliases", "flags", "candidate_ids", "candidates")


def _joined(row: dict[str, Any], file: File) -> dict[str, list[str]]:
    """The list columns of a fact with its candidates."""
    fact_id, gold = row["fact_id"], row["object"]
    if not fact_id.isdecimal() or int(fact_id) >= len(file.entries):
        raise DataError(
            f"Fact '{fact_id}' is not one of the rows 0 to {len(file.entries) - 1} of {file.path}."
        )
    entry = file.entries[int(fact_id)]
    distractors = entry.candidates[:-1]
    aliases, flags = list(row["aliases"]), list(row["flags"])
    if entry.gold != gold:
        flags.append(GOLD_TEXT_DIFFERS)
        if entry.gold not in aliases:
            aliases.append(entry.gold)
    if entry.subject != row["subject"]:
        flags.append(SUBJECT_TEXT_DIFFERS)
    return {
        "aliases": aliases,
        "flags": flags,
        "candidate_ids": candidate_ids(int(fact_id), len(entry.candidates)),
        "candidates": [*distractors, gold],
    }
