"""The fact set: parallel facts and the wordings that ask for them.

Two tables say everything (contracts `tables.raw.FACTS` and `tables.raw.TEMPLATES`); this class only
guards their consistency and offers the selections that studies need.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from polylore.errors import ConfigError, DataError
from polylore.facts.checks import check_facts, check_templates
from polylore.files import atomic_path, write_json, write_parquet
from polylore.tables import raw

MANIFEST = "factset.json"
"""File that marks an exported folder; written last."""


@dataclass(frozen=True, eq=False)
class FactSet:
    """An immutable set of facts, each told in one or more languages.

    The order of rows is kept: languages in order of first appearance, facts within a relation in
    the order of their source.

    Raises:
        DataError: the tables break their contract or contradict each other (see `facts.checks`).
    """

    name: str
    """Name for titles and manifests."""
    facts: pl.DataFrame
    """One row per (fact, language); contract `tables.raw.FACTS`."""
    templates: pl.DataFrame
    """One row per wording; contract `tables.raw.TEMPLATES`."""
    notes: tuple[str, ...] = ()
    """What the reader noticed and a reader of the results should know, one sentence each."""

    def __post_init__(self) -> None:
        facts = raw.FACTS.validate(self.facts)
        templates = raw.TEMPLATES.validate(self.templates)
        check_facts(facts, self.name)
        check_templates(templates, self.name)
        object.__setattr__(self, "facts", facts)
        object.__setattr__(self, "templates", templates)

    @cached_property
    def languages(self) -> list[str]:
        """Language codes in order of first appearance."""
        return self.facts["lang"].unique(maintain_order=True).to_list()

    @cached_property
    def relations(self) -> list[str]:
        """Relations in order of first appearance."""
        return self.facts["relation"].unique(maintain_order=True).to_list()

    @cached_property
    def fact_ids(self) -> list[str]:
        """Fact ids in order of first appearance, whatever the language."""
        return self.facts["fact_id"].unique(maintain_order=True).to_list()

    @cached_property
    def relation_of(self) -> dict[str, str]:
        """Relation of every fact id."""
        return dict(zip(self.facts["fact_id"], self.facts["relation"], strict=True))

    @cached_property
    def position(self) -> dict[tuple[str, str], int]:
        """Row number in `facts` of every (fact_id, lang)."""
        keys = zip(self.facts["fact_id"], self.facts["lang"], strict=True)
        return {key: row for row, key in enumerate(keys)}

    @cached_property
    def _wordings(self) -> dict[tuple[str, str, str], list[str]]:
        result: dict[tuple[str, str, str], list[str]] = {}
        ordered = self.templates.sort("relation", "lang", "kind", "variant")
        columns = ("relation", "lang", "kind", "template")
        for relation, lang, kind, template in ordered.select(columns).iter_rows():
            result.setdefault((relation, lang, kind), []).append(template)
        return result

    def fact(self, fact_id: str, lang: str) -> dict[str, Any]:
        """The row of one fact in one language.

        Raises:
            DataError: there is no such row.
        """
        row = self.position.get((fact_id, lang))
        if row is None:
            raise DataError(f"Fact set {self.name} has no fact '{fact_id}' in language '{lang}'.")
        return self.facts.row(row, named=True)

    def wordings(self, relation: str, lang: str, kind: str = "prompt") -> list[str]:
        """Templates of a relation in a language, in order of their variant; empty if none."""
        return list(self._wordings.get((relation, lang, kind), ()))

    def filter(
        self,
        *,
        languages: Sequence[str] | None = None,
        relations: Iterable[str] | None = None,
        fact_ids: Iterable[str] | None = None,
    ) -> "FactSet":
        """Keep only the named languages (in the order named), relations and facts.

        Raises:
            ConfigError: a name that the set does not have, or nothing is left.
        """
        facts, templates = self.facts, self.templates
        if languages is not None:
            wanted = self._known("language", languages, self.languages)
            order = {code: rank for rank, code in enumerate(wanted)}
            facts, templates = (
                frame.filter(pl.col("lang").is_in(wanted)).sort(
                    pl.col("lang").replace_strict(order, return_dtype=pl.Int32),
                    maintain_order=True,
                )
                for frame in (facts, templates)
            )
        if relations is not None:
            kept = self._known("relation", relations, self.relations)
            facts = facts.filter(pl.col("relation").is_in(kept))
            templates = templates.filter(pl.col("relation").is_in([*kept, "mention"]))
        if fact_ids is not None:
            chosen = self._known("fact", fact_ids, self.fact_ids)
            facts = facts.filter(pl.col("fact_id").is_in(chosen))
        if facts.is_empty():
            raise ConfigError(f"Nothing of fact set {self.name} is left after the selection.")
        return FactSet(self.name, facts, templates, self.notes)

    def _known(self, what: str, asked: Iterable[str], there: list[str]) -> list[str]:
        wanted = list(dict.fromkeys([asked] if isinstance(asked, str) else asked))
        present = set(there)
        unknown = [name for name in wanted if name not in present]
        if unknown:
            shown = ", ".join(there[:40]) + (", ..." if len(there) > 40 else "")
            raise ConfigError(
                f"Fact set {self.name} has no {what} {', '.join(map(repr, unknown[:10]))}; "
                f"it has {shown}."
            )
        return wanted

    def sample(self, n: int, seed: int) -> "FactSet":
        """Choose n facts, the same ones in all languages.

        Relations keep their proportions (largest remainder); within a relation the facts with the
        smallest SHA-256 of (seed, fact_id) are taken, so the choice does not depend on order.
        All facts are kept if there are no more than n.

        Raises:
            ConfigError: n is below 1.
        """
        if n < 1:
            raise ConfigError(f"Cannot sample {n} facts; ask for at least 1.")
        if n >= len(self.fact_ids):
            return self
        sizes = {name: len(ids) for name, ids in self._members().items()}
        return self._drawn(_proportional(sizes, n), seed)

    def sample_each(self, n: int, seed: int) -> "FactSet":
        """Choose at most n facts of each relation, the same ones in all languages.

        As in `sample`, those with the smallest SHA-256 of (seed, fact_id).

        Raises:
            ConfigError: n is below 1.
        """
        if n < 1:
            raise ConfigError(f"Cannot sample {n} facts of each relation; ask for at least 1.")
        return self._drawn(dict.fromkeys(self.relations, n), seed)

    def _drawn(self, quotas: Mapping[str, int], seed: int) -> "FactSet":
        chosen = [
            fact_id
            for name, ids in self._members().items()
            for fact_id in sorted(ids, key=lambda one: _key(seed, one))[: quotas[name]]
        ]
        return self.filter(fact_ids=chosen)

    def _members(self) -> dict[str, list[str]]:
        members: dict[str, list[str]] = {}
        for fact_id in self.fact_ids:
            members.setdefault(self.relation_of[fact_id], []).append(fact_id)
        return members

    def common(self) -> "FactSet":
        """Keep only the facts that every language has.

        Raises:
            ConfigError: no fact is told in every language.
        """
        counts = self.facts.group_by("fact_id").len()
        everywhere = counts.filter(pl.col("len") == len(self.languages))["fact_id"].to_list()
        if len(everywhere) == len(self.fact_ids):
            return self
        return self.filter(fact_ids=everywhere)

    def export(self, folder: str | Path, *, jsonl: bool = False) -> None:
        """Write the set so that `facts.load` reads it back unchanged.

        Files: `facts` and `templates` as .parquet (or .jsonl), and `factset.json` with name, notes
        and digest, written last. Other files in the folder are left alone.
        """
        folder = Path(folder)
        for name, frame in (("facts", self.facts), ("templates", self.templates)):
            if jsonl:
                with atomic_path(folder / f"{name}.jsonl") as temporary:
                    frame.write_ndjson(temporary)
            else:
                write_parquet(frame, folder / f"{name}.parquet")
        manifest = {
            "name": self.name,
            "format": "jsonl" if jsonl else "parquet",
            "notes": list(self.notes),
            "sha256": self.digest(),
        }
        write_json(manifest, folder / MANIFEST)

    def digest(self) -> str:
        """SHA-256 (hex) of both tables, in order; name, notes and `source` do not count."""
        content = hashlib.sha256()
        for frame in (self.facts.drop("source"), self.templates):
            content.update(frame.write_ndjson().encode())
        return content.hexdigest()


def _key(seed: int, fact_id: str) -> bytes:
    return hashlib.sha256(f"{seed}\x1f{fact_id}".encode()).digest()


def _proportional(sizes: dict[str, int], n: int) -> dict[str, int]:
    """Split n over the sizes by largest remainder; ties go to the first in the alphabet."""
    total = sum(sizes.values())
    quotas = {name: n * size // total for name, size in sizes.items()}
    by_remainder = sorted(sizes, key=lambda name: (-(n * sizes[name] % total), name))
    for name in by_remainder[: n - sum(quotas.values())]:
        quotas[name] += 1
    return quotas
