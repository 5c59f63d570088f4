"""One door to every lexicon."""

from collections.abc import Sequence
from pathlib import Path

from polylore.errors import ConfigError, DataError
from polylore.facts.lexicon.annotations import (
    Subset,
    annotations_folder,
    built_in,
    read_annotations,
    read_extract,
)
from polylore.facts.lexicon.lexicon import MANIFEST, Lexicon
from polylore.facts.lexicon.multisimlex import is_multisimlex, read_multisimlex
from polylore.facts.lexicon.raw_simlex import is_raw_simlex, read_raw_simlex
from polylore.facts.lexicon.recovery import Recovery
from polylore.facts.lexicon.slots import FirstForm
from polylore.facts.lexicon.word_tables import read_words
from polylore.facts.table_files import SUFFIXES, records
from polylore.files import read_json, read_parquet


def load_lexicon(
    source: str | Path = "cldr",
    languages: Sequence[str] | None = None,
    *,
    recovery: Recovery = "segment",
    first_form: FirstForm = "majority",
    pos: str | None = "nouns",
    subset: Subset = "objects",
) -> Lexicon:
    """Load a lexicon.

    Args:
        source: `cldr` (built in), a Multi-SimLex file (Concepticon's TSV or the authors' CSV), a
            folder of CLDR's annotations, an exported lexicon, or a long or wide table of words.
        languages: languages to keep, in this order; for Multi-SimLex also those that every word
            must have.
        recovery: Multi-SimLex only: how multi-word forms are found.
        first_form: Multi-SimLex only: majority, or stacking (published).
        pos: Multi-SimLex only: part of speech to keep; all if None.
        subset: CLDR only: objects, or all.

    Raises:
        ConfigError: a source or language that does not exist.
        DataError: the source breaks its layout.
    """
    if str(source) == "cldr":
        return built_in(languages, subset=subset)
    path = Path(source)
    if path.is_dir():
        return _folder(path, languages, first_form, pos, subset)
    if not path.exists():
        raise ConfigError(
            f"There is no lexicon {source}; give cldr, a folder or a file ({', '.join(SUFFIXES)})."
        )
    header = list(next(records(path))[1])
    if is_multisimlex(header):
        return read_multisimlex(path, languages, recovery=recovery, first_form=first_form, pos=pos)
    if is_raw_simlex(header):
        return read_raw_simlex([path], languages, first_form=first_form, pos=pos)
    if {"id", "en", "labels"} <= set(header):
        return read_extract(path, languages, subset=subset)
    return read_words(path, languages)


def _folder(
    folder: Path,
    languages: Sequence[str] | None,
    first_form: FirstForm,
    pos: str | None,
    subset: Subset,
) -> Lexicon:
    if (folder / MANIFEST).is_file():
        return _exported(folder, languages)
    root = annotations_folder(folder)
    if root is not None:
        return read_annotations(root, languages, subset=subset)
    tables = sorted(folder.glob("*.csv"))
    if tables and all(is_raw_simlex(list(next(records(path))[1])) for path in tables):
        return read_raw_simlex(tables, languages, first_form=first_form, pos=pos)
    raise ConfigError(
        f"{folder} is no lexicon: it must hold {MANIFEST}, CLDR's annotations or the CSV files of "
        "Multi-SimLex."
    )


def _exported(folder: Path, languages: Sequence[str] | None) -> Lexicon:
    manifest = read_json(folder / MANIFEST)
    frame, drops, similarity = (
        read_parquet(folder / f"{name}.parquet")
        for name in ("lexicon", "lexicon_drops", "lexicon_similarity")
    )
    try:
        notes = tuple(manifest["notes"])
        lexicon = Lexicon(manifest["name"], frame, drops, similarity, notes)
        digest = manifest["sha256"]
    except (KeyError, TypeError) as error:
        raise DataError(f"{folder / MANIFEST} is no manifest of a lexicon.") from error
    if lexicon.digest() != digest:
        raise DataError(f"{folder} was changed after it was exported; export it again.")
    return lexicon if languages is None else lexicon.filter(languages=languages)
