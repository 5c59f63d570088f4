"""The same corpus without the pivot's documents about one group of facts.

Every removed document gives its place to a filler of equal length in tokens that states no fact of
the set in any language, so sequences, steps and all other documents stay exactly where they were
(specification of `trace`, section 4.8, counterfactual run).
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from polylore.config import digest
from polylore.corpus.compose import FORMAT, Composed, open_corpus
from polylore.corpus.conditions import BOTH, LANG_ONLY, NONE
from polylore.corpus.draw import number, ordered
from polylore.corpus.recount import count_facts
from polylore.corpus.wordings import mention_wordings
from polylore.errors import DataError, RunError
from polylore.files import clear_temporary, write_json, write_parquet

if TYPE_CHECKING:
    from polylore.facts.factset import FactSet

FILLER = "filler"
"""Wording of the documents that stand in for removed ones; their kind is mention."""
Lengths = Callable[[list[str]], list[int]]
"""Tokens of each text under the tokenizer of the run."""
_VARIETY = 200  # fillers per length
_NAMES = 400  # names that fillers are made with


def without(
    corpus: Composed,
    factset: "FactSet",
    group: str,
    lengths: Lengths,
    tokenizer: str,
    folder: str | Path,
) -> Composed:
    """Write the corpus anew with fillers for the pivot's documents about a group's facts.

    Args:
        corpus: the whole corpus.
        factset: its facts.
        group: A or B.
        lengths: counts tokens.
        tokenizer: hash of the tokenizer, kept in the manifest.
        folder: where to write; a finished corpus of the same making is opened.

    Raises:
        DataError: no filler of some length can be made.
        RunError: the folder holds something else.
    """
    folder, pivot = Path(folder), corpus.manifest["config"]["pivot"]
    made = {"parent": corpus.manifest["digest"], "without": group, "tokenizer": tokenizer}
    if (folder / "manifest.json").exists():
        there = open_corpus(folder)
        if {key: there.manifest.get(key) for key in made} != made:
            raise RunError(f"{folder} holds another corpus; choose another folder.")
        return there
    gone = corpus.design.filter(group=group, lang=pivot).filter(pl.col("dose") > 0)
    own = pl.col("kind") == "fact"
    own &= (pl.col("lang") == pivot) & pl.col("fact_id").is_in(gone["fact_id"].to_list())
    texts = corpus.documents().filter(own).select("text").unique().collect()["text"].sort()
    needed = sorted(set(lengths(texts.to_list())))
    fillers = _Fillers(factset, pivot, lengths, needed, corpus.manifest["config"]["seed"])
    shutil.rmtree(folder / "documents", ignore_errors=True)
    (folder / "documents").mkdir(parents=True)
    clear_temporary(folder)
    removed = 0
    for path in corpus.parts:
        frame = _replace(pl.read_parquet(path), own, fillers, lengths)
        removed += frame.filter(wording=FILLER).height
        write_parquet(frame, folder / "documents" / path.name)
    write_parquet(_design(corpus.design, pivot, gone), folder / "design.parquet")
    write_parquet(corpus.expressed, folder / "expressed.parquet")
    factset.export(folder / "facts")
    counts: dict[str, Any] = {**corpus.manifest["counts"], "fillers": removed}
    manifest = {
        **{key: corpus.manifest[key] for key in ("config", "factset", "name", "languages")},
        **made,
        "format": FORMAT,
        "parts": corpus.manifest["parts"],
        "counts": counts,
        "digest": digest(made),
    }
    write_json(manifest, folder / "manifest.json")
    return Composed(folder, manifest)


def _replace(
    frame: pl.DataFrame, own: pl.Expr, fillers: "_Fillers", lengths: Lengths
) -> pl.DataFrame:
    """A part with its removed documents replaced, everything else untouched."""
    places = frame.with_row_index("_row").filter(own).select("_row", "doc_id", "text")
    sizes = lengths(places["text"].to_list())
    rows = zip(places["doc_id"], sizes, strict=True)
    stand_in = places.select("doc_id").with_columns(
        filler=pl.Series([fillers(doc, size) for doc, size in rows], dtype=pl.String)
    )
    joined = frame.join(stand_in, on="doc_id", how="left", maintain_order="left")
    there = pl.col("filler").is_not_null()
    empty = pl.lit(None, dtype=pl.String())
    return joined.with_columns(
        kind=pl.when(there).then(pl.lit("mention")).otherwise("kind"),
        fact_id=pl.when(there).then(empty).otherwise("fact_id"),
        relation=pl.when(there).then(empty).otherwise("relation"),
        wording=pl.when(there).then(pl.lit(FILLER)).otherwise("wording"),
        text=pl.coalesce("filler", "text"),
    ).drop("filler")


def _design(design: pl.DataFrame, pivot: str, gone: pl.DataFrame) -> pl.DataFrame:
    """The design of what is left: told in the language only, or nowhere."""
    removed = pl.col("fact_id").is_in(gone["fact_id"].to_list())
    pivotal = pl.col("lang") == pivot
    told_elsewhere = ((pl.col("dose") > 0) & ~pivotal).any().over("fact_id")
    remains = (
        pl.when(~pivotal)
        .then(pl.when(pl.col("condition") == BOTH).then(pl.lit(LANG_ONLY)).otherwise(pl.lit(NONE)))
        .otherwise(pl.when(told_elsewhere).then(pl.lit(LANG_ONLY)).otherwise(pl.lit(NONE)))
    )
    return design.with_columns(
        condition=pl.when(removed).then(remains).otherwise("condition"),
        dose=pl.when(removed & pivotal).then(0).otherwise("dose"),
    )


class _Fillers:
    """Texts of every length needed, made of sentences that merely name something."""

    def __init__(
        self,
        factset: "FactSet",
        pivot: str,
        lengths: Lengths,
        needed: Sequence[int],
        seed: int,
    ) -> None:
        sentences = _sentences(factset, pivot, seed)
        self._seed = seed
        self._by_length: dict[int, list[str]] = {}
        # Whole sentences first; then two; a sentence is cut only where nothing whole fits.
        pairs = [f"{a} {b}" for a, b in zip(sentences, sentences[1:] + sentences[:1], strict=True)]
        cuts = [
            " ".join(text.split(" ")[:words])
            for text in pairs[:_NAMES]
            for words in range(1, len(text.split(" ")))
        ]
        for texts in (sentences, pairs, cuts):
            missing = set(needed) - set(self._by_length)
            if missing:
                self._add(texts, missing, lengths, factset)
        missing = set(needed) - set(self._by_length)
        if missing:
            raise DataError(
                f"No filler of {min(missing)} tokens can be made from the mention sentences in "
                f"{pivot}; give the fact set more of them."
            )

    def _add(
        self, texts: list[str], missing: set[int], lengths: Lengths, factset: "FactSet"
    ) -> None:
        found: dict[int, list[str]] = {}
        for text, size in zip(texts, lengths(texts), strict=True):
            if size in missing and len(found.setdefault(size, [])) < _VARIETY:
                found[size].append(text)
        flat = [text for texts_ in found.values() for text in texts_]
        telling = _telling(flat, factset)
        for size, group in found.items():
            silent = [text for text in dict.fromkeys(group) if text not in telling]
            if silent:
                self._by_length[size] = silent

    def __call__(self, doc_id: int, size: int) -> str:
        choice = self._by_length[size]
        return choice[number(self._seed, FILLER, doc_id) % len(choice)]


def _sentences(factset: "FactSet", pivot: str, seed: int) -> list[str]:
    facts = factset.facts.filter(pl.col("lang") == pivot)
    names = ordered(dict.fromkeys([*facts["subject"], *facts["object"]]), seed, FILLER)[:_NAMES]
    frames = mention_wordings(factset, pivot)
    made = {frame.fill(name=name): None for name in names for frame in frames}
    return ordered(made, seed, "filler order")


def _telling(texts: list[str], factset: "FactSet") -> set[str]:
    """Texts that state a fact in the words of any language."""
    telling: set[str] = set()
    for lang in factset.languages:
        facts = factset.facts.filter(pl.col("lang") == lang)
        found = count_facts(texts, facts, lang)
        telling |= {text for text, told in zip(texts, found, strict=True) if told}
    return telling
