"""The lexicon: concepts and the words that name them in each language."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import polars as pl

from polylore.errors import ConfigError, DataError
from polylore.files import write_json, write_parquet
from polylore.tables.lexicon import LEXICON, LEXICON_DROPS, SIMILARITY
from polylore.text import fold

MANIFEST = "lexicon.json"
"""File that marks an exported folder; written last."""
GLOSS = "gloss_in_form"
"""Flag of a form that its source writes with a gloss in brackets, kept as its first alias."""


class Form(NamedTuple):
    """One word for a concept in a language."""

    text: str
    """As shown in prompts."""
    aliases: tuple[str, ...] = ()
    """Other spellings that are accepted as this form."""
    senses: tuple[str, ...] = ()
    """Sense rows it stands in, the main one first."""
    n_slots: int = 1
    """How often the source pairs it with the concept."""
    erratum: bool = False
    """The source marks it as corrected or doubtful."""
    flags: tuple[str, ...] = ()
    """Reader flags."""

    @property
    def given(self) -> str:
        """As the source writes it, gloss included."""
        return self.aliases[0] if GLOSS in self.flags else self.text

    @property
    def keys(self) -> frozenset[str]:
        """All accepted spellings, folded for comparison."""
        return frozenset(map(key, (self.text, *self.aliases)))


def key(form: str) -> str:
    """NFC, case folded, trimmed: the equality behind "same word" (`patch`, section 9)."""
    return fold(form.strip())


@dataclass(frozen=True, eq=False)
class Lexicon:
    """An immutable set of concepts with their forms; rank 0 is the form shown in prompts.

    Raises:
        DataError: the table breaks its contract (a duplicate concept, language and rank among
            others), ranks of a concept do not count from 0, or a form is empty.
    """

    name: str
    """Name for titles and manifests."""
    frame: pl.DataFrame
    """One row per form; contract `tables.lexicon.LEXICON`."""
    drops: pl.DataFrame = field(default_factory=LEXICON_DROPS.empty)
    """What each step of the reader kept; contract `tables.lexicon.LEXICON_DROPS`."""
    similarity: pl.DataFrame = field(default_factory=SIMILARITY.empty)
    """Human ratings of pairs of concepts, if the source has them."""
    notes: tuple[str, ...] = ()
    """What a reader of the results should know, one sentence each."""

    def __post_init__(self) -> None:
        frame = LEXICON.validate(self.frame)
        if frame.is_empty():
            raise DataError(f"Lexicon {self.name} has no forms.")
        empty = frame.filter(pl.col("form").str.strip_chars() == "")
        if empty.height:
            row = empty.row(0, named=True)
            raise DataError(
                f"Lexicon {self.name}: concept {row['concept_id']!r} has an empty form in "
                f"{row['lang']}; remove the row or give the word."
            )
        ranks = frame.group_by("concept_id", "lang", maintain_order=True).agg(
            pl.col("rank").min().alias("low"), pl.col("rank").max().alias("high"), pl.len()
        )
        broken = ranks.filter((pl.col("low") != 0) | (pl.col("high") != pl.col("len") - 1))
        if broken.height:
            row = broken.row(0, named=True)
            raise DataError(
                f"Lexicon {self.name}: the forms of {row['concept_id']!r} in {row['lang']} must "
                "have the ranks 0, 1, 2, ... without gaps."
            )
        object.__setattr__(self, "frame", frame)

    @cached_property
    def languages(self) -> list[str]:
        """Language codes in order of first appearance."""
        return self.frame["lang"].unique(maintain_order=True).to_list()

    @cached_property
    def concepts(self) -> list[str]:
        """Concept ids in order of first appearance."""
        return self.frame["concept_id"].unique(maintain_order=True).to_list()

    @cached_property
    def _forms(self) -> dict[tuple[str, str], tuple[Form, ...]]:
        rows: dict[tuple[str, str], list[Form]] = {}
        columns = ("concept_id", "lang", "form", "aliases", "senses", "n_slots", "erratum", "flags")
        for concept, lang, text, aliases, senses, n, erratum, flags in (
            self.frame.sort("rank", maintain_order=True).select(columns).iter_rows()
        ):
            form = Form(text, tuple(aliases), tuple(senses), n, erratum, tuple(flags))
            rows.setdefault((concept, lang), []).append(form)
        return {where: tuple(forms) for where, forms in rows.items()}

    def forms(self, concept: str, lang: str) -> tuple[Form, ...]:
        """Forms of a concept in a language, the first form first; empty if there is none."""
        return self._forms.get((concept, lang), ())

    def senses(self, concept: str) -> frozenset[str]:
        """All sense rows behind a concept."""
        return frozenset(
            sense
            for lang in self.languages
            for form in self.forms(concept, lang)
            for sense in form.senses
        )

    def accepted(self, concept: str, lang: str, asked_in: str | None = None) -> tuple[Form, ...]:
        """Forms in `lang` that name a concept which a prompt shows in `asked_in`.

        Those of the same sense row as the prompt form, where senses are known; all of them if
        `asked_in` is None, the published form (specification of `patch`, section 2, presets), or if
        no form is of that sense row.
        """
        forms = self.forms(concept, lang)
        shown = self.forms(concept, asked_in) if asked_in is not None else ()
        if not shown or not shown[0].senses:
            return forms
        sense = shown[0].senses[0]
        same = tuple(form for form in forms if not form.senses or sense in form.senses)
        return same or forms

    def filter(
        self, *, languages: Sequence[str] | None = None, concepts: Iterable[str] | None = None
    ) -> "Lexicon":
        """Keep only the named languages (in the order named) and concepts.

        Raises:
            ConfigError: a name that the lexicon does not have, or nothing is left.
        """
        frame, similarity = self.frame, self.similarity
        if languages is not None:
            wanted = list(dict.fromkeys(languages))
            self._refuse_unknown("language", wanted, self.languages)
            order = {code: place for place, code in enumerate(wanted)}
            frame = frame.filter(pl.col("lang").is_in(wanted)).sort(
                pl.col("lang").replace_strict(order, return_dtype=pl.Int32), maintain_order=True
            )
        if concepts is not None:
            kept = list(dict.fromkeys(concepts))
            self._refuse_unknown("concept", kept, self.concepts)
            frame = frame.filter(pl.col("concept_id").is_in(kept))
            similarity = similarity.filter(
                pl.col("concept_a").is_in(kept) & pl.col("concept_b").is_in(kept)
            )
        if frame.is_empty():
            raise ConfigError(f"Nothing of lexicon {self.name} is left after the selection.")
        return Lexicon(self.name, frame, self.drops, similarity, self.notes)

    def _refuse_unknown(self, what: str, asked: list[str], there: list[str]) -> None:
        present = set(there)
        unknown = [name for name in asked if name not in present]
        if unknown:
            shown = ", ".join(there[:40]) + (", ..." if len(there) > 40 else "")
            raise ConfigError(
                f"Lexicon {self.name} has no {what} {', '.join(map(repr, unknown[:10]))}; "
                f"it has {shown}."
            )

    def complete(self, languages: Sequence[str]) -> tuple["Lexicon", list[str]]:
        """The lexicon of the concepts that have a form in each language, and the others' ids.

        Raises:
            ConfigError: an unknown language, or no concept has a form in each of them.
        """
        chosen = self.filter(languages=languages)
        lacking = {c for c in self.concepts if not all(self.forms(c, lang) for lang in languages)}
        if len(lacking) == len(self.concepts):
            raise ConfigError(
                f"No concept of lexicon {self.name} has a form in each of {', '.join(languages)}; "
                "`polylore lexicon stats` shows how many each language has."
            )
        if not lacking:
            return chosen, []
        kept = [concept for concept in self.concepts if concept not in lacking]
        return chosen.filter(concepts=kept), [c for c in self.concepts if c in lacking]

    def digest(self) -> str:
        """SHA-256 (hex) of the forms, in order; `source` and `licence` do not count."""
        content = self.frame.drop("source", "licence").write_ndjson()
        return hashlib.sha256(content.encode()).hexdigest()

    def export(self, folder: str | Path) -> None:
        """Write the lexicon so that `load_lexicon` reads it back unchanged."""
        folder = Path(folder)
        write_parquet(self.frame, folder / "lexicon.parquet")
        write_parquet(self.drops, folder / "lexicon_drops.parquet")
        write_parquet(self.similarity, folder / "lexicon_similarity.parquet")
        manifest = {"name": self.name, "notes": list(self.notes), "sha256": self.digest()}
        write_json(manifest, folder / MANIFEST)
