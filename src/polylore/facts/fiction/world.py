"""A world: invented facts, what is taught of them, and what is asked."""

import hashlib
import json
from dataclasses import dataclass, replace

import polars as pl

from polylore.tables import fiction


@dataclass(frozen=True, eq=False)
class World:
    """One pair of languages; contracts FICTION_FACTS, FICTION_ROWS and FICTION_TESTS."""

    facts: pl.DataFrame
    rows: pl.DataFrame
    tests: pl.DataFrame

    def __post_init__(self) -> None:
        for name, table in (
            ("facts", fiction.FICTION_FACTS),
            ("rows", fiction.FICTION_ROWS),
            ("tests", fiction.FICTION_TESTS),
        ):
            object.__setattr__(self, name, table.validate(getattr(self, name)))

    @property
    def source(self) -> str:
        """Language that all facts are taught in."""
        return str(self.rows["source"][0])

    @property
    def target(self) -> str:
        """Language that they should carry over to."""
        return str(self.rows["target"][0])

    def told(self, lang: str) -> pl.DataFrame:
        """Facts in one language, in order."""
        return self.facts.filter(pl.col("lang") == lang).sort("fact_id", maintain_order=True)

    def digest(self) -> str:
        """SHA-256 (hex) of all rows of all tables, in order."""
        content = hashlib.sha256()
        for frame in (self.facts, self.rows, self.tests):
            for row in frame.iter_rows():
                content.update(json.dumps(row, ensure_ascii=False).encode())
        return content.hexdigest()

    def with_rows(self, rows: pl.DataFrame) -> "World":
        """The same facts and tests, taught otherwise."""
        return replace(self, rows=rows)
