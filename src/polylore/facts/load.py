"""One door for fact sets: the built-in one, the published layouts, exports and plain tables."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from polylore.errors import ConfigError, DataError
from polylore.facts import bmlama, exported, klar, klar_text, tabular
from polylore.facts.factset import MANIFEST, FactSet

BUILT_IN = "cldr"
"""Name of the built-in fact set."""


def load(
    source: str | Path,
    *,
    languages: Sequence[str] | None = None,
    relations: Sequence[str] | None = None,
    candidates: str | Path | None = None,
    n_candidates: int | None = None,
    templates: str | Path | None = None,
    strict: bool = False,
) -> FactSet:
    """Read a fact set.

    Args:
        source: `cldr` (built in), a KLAR folder, a BMLAMA folder, a folder written by
            `FactSet.export`, or a .jsonl, .csv, .tsv or .parquet file (see `facts.tabular`).
        languages: codes to keep, in this order; all if None.
        relations: relations to keep; all that every language has if None.
        candidates: BMLAMA folder whose candidates are joined by index.
        n_candidates: candidates per built-in fact, fewer where a relation has fewer right answers;
            all other sets bring their own.
        templates: file of templates (see `facts.tabular`) that replace those of the source; a plain
            table without its own is searched for siblings if None.
        strict: refuse sets in which a fact is missing in some language.

    Raises:
        ConfigError: unknown language or relation, or a number of candidates for a set that brings
            its own.
        DataError: missing, empty or contradictory data; the message names file and place.
    """
    factset = _read(source, languages, relations, templates, n_candidates)
    if templates is not None:
        wordings = tabular.read_templates(templates)
        factset = FactSet(factset.name, factset.facts, wordings, factset.notes)
    if languages is not None and list(languages) != factset.languages:
        factset = factset.filter(languages=languages)
    factset = _shared_relations(factset, relations)
    if candidates is not None:
        factset = bmlama.join_candidates(factset, candidates)
    if strict:
        _refuse_gaps(factset)
    return _note_cut_templates(factset)


def _read(
    source: str | Path,
    languages: Sequence[str] | None,
    relations: Sequence[str] | None,
    templates: str | Path | None,
    n_candidates: int | None,
) -> FactSet:
    path = Path(source)
    if str(source) == BUILT_IN and not path.exists():
        from polylore.facts.cldr.build import build
        from polylore.facts.cldr.candidates import N_CANDIDATES

        return build(languages, relations, n_candidates or N_CANDIDATES)
    if n_candidates is not None:
        raise ConfigError(
            f"{source} brings its own candidates; only the built-in facts ('{BUILT_IN}') come with "
            "another number of them."
        )
    if path.is_file():
        return tabular.read_file(path, templates=templates)
    if not path.is_dir():
        raise DataError(
            f"There is no file or folder {path}; give '{BUILT_IN}' for the built-in facts, or the "
            "path of a fact set."
        )
    if (path / MANIFEST).is_file():
        return exported.read_export(path)
    root = klar.json_folder(path)
    if root is not None:
        return klar.read_json_folder(root, languages)
    if klar_text.text_files(path):
        return klar_text.read_text_files(path, languages)
    if next(path.glob("*.tsv"), None):
        return bmlama.read_folder(path, languages)
    raise DataError(
        f"{path} holds no fact set: expected <language>/<relation>.json (KLAR), <language>.tsv "
        f"(BMLAMA), filled sentences with templates.json, or {MANIFEST} of an export."
    )


def _shared_relations(factset: FactSet, relations: Sequence[str] | None) -> FactSet:
    """Keep the relations that every language has; the dropped ones are listed in the notes."""
    counts = factset.facts.group_by("relation", maintain_order=True).agg(pl.col("lang").unique())
    everywhere, dropped = [], []
    for relation, langs in counts.iter_rows():
        missing = [code for code in factset.languages if code not in langs]
        if not missing:
            everywhere.append(relation)
        elif relations is None or relation in relations:
            dropped.append(f"{relation} (missing in {', '.join(missing)})")
    if relations is not None:
        if dropped:
            raise ConfigError(
                f"Fact set {factset.name} does not have every asked relation in every language: "
                f"{'; '.join(dropped)}."
            )
        return factset.filter(relations=relations)
    if not dropped:
        return factset
    if not everywhere:
        raise DataError(
            f"Fact set {factset.name} has no relation that all of {', '.join(factset.languages)} "
            "have; ask for fewer languages."
        )
    kept = factset.filter(relations=everywhere)
    return _noted(
        kept, f"Relations not told in every language were left out: {'; '.join(dropped)}."
    )


def _noted(factset: FactSet, note: str) -> FactSet:
    return FactSet(factset.name, factset.facts, factset.templates, (*factset.notes, note))


def _note_cut_templates(factset: FactSet) -> FactSet:
    """Say once that text after <mask> will be cut; an export already carries the sentence."""
    tail = pl.col("template").str.splitn("<mask>", 2).struct.field("field_1").str.strip_chars()
    cut = factset.templates.filter((pl.col("kind") == "prompt") & (tail != ""))
    note = "Some prompt templates go on after <mask>; prompts are cut there."
    return factset if cut.is_empty() or note in factset.notes else _noted(factset, note)


def _refuse_gaps(factset: FactSet) -> None:
    counts = factset.facts.group_by("fact_id", maintain_order=True).agg(pl.col("lang"))
    gaps = counts.filter(pl.col("lang").list.len() < len(factset.languages))
    if gaps.height:
        fact_id, langs = gaps.row(0)
        missing = [code for code in factset.languages if code not in langs]
        raise DataError(
            f"Fact set {factset.name} is not parallel: {gaps.height} facts are missing in some "
            f"language, the first is '{fact_id}' (no {', '.join(missing)}); complete it, use "
            "FactSet.common(), or load it with strict=False."
        )
