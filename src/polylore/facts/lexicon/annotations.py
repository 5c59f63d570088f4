"""The built-in lexicon: short names of characters in many languages, from Unicode CLDR.

Concepts are the characters whose English short name is one lower-case word (specification of
`patch`, section 3); the concept id is the character itself, kept byte for byte. Short names are
unique within a language by construction, so this lexicon has no colexification, and keywords are
associations, not synonyms: they are never accepted as answers.
"""

import unicodedata
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Literal

from polylore.errors import ConfigError, DataError
from polylore.facts.lexicon.lexicon import GLOSS, Lexicon, key
from polylore.facts.lexicon.slots import drop_row, without_gloss
from polylore.facts.table_files import records
from polylore.files import read_json
from polylore.tables.lexicon import LEXICON, LEXICON_DROPS

Subset = Literal["objects", "all"]
Names = dict[str, dict[str, str]]
"""language -> character -> short name"""

LICENCE = "Unicode-3.0"
ENOUGH = 500
"""Names below which a language's list is a stub."""
SIGNS = frozenset({"Sm", "Po", "Sc", "Pd", "Sk", "Ll"})
"""Unicode categories of punctuation, operators and currency signs: no objects."""
_INHERIT = "↑↑↑"


def built_in(languages: Sequence[str] | None = None, *, subset: Subset = "objects") -> Lexicon:
    """The lexicon that polylore ships: 27 languages.

    Raises:
        ConfigError: a language that it does not have.
    """
    text = (files(__package__) / "data" / "names.tsv").read_text(encoding="utf-8")
    comments = [line for line in text.splitlines() if line.startswith("#")]
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    head, body = rows[0], rows[1:]
    names: Names = {
        lang: {row[0]: row[at] for row in body if row[at]} for at, lang in enumerate(head) if at
    }
    version = comments[0].partition("CLDR ")[2].split()[0]
    return lexicon_of_names(names, languages, f"CLDR {version}", subset=subset)


def read_extract(
    path: str | Path, languages: Sequence[str] | None = None, *, subset: Subset = "objects"
) -> Lexicon:
    """Read lines of JSON with `id`, `en` and `labels` ({language: short name}).

    Raises:
        ConfigError: a language that it does not have, or only as a stub.
        DataError: a line breaks the layout.
    """
    names: Names = {}
    for where, record in records(Path(path)):
        labels, character = record.get("labels"), record.get("id")
        if not isinstance(labels, dict) or not isinstance(character, str) or not character:
            raise DataError(f"{where}: a record must have an id and labels by language.")
        for lang, label in {"en": record.get("en"), **labels}.items():
            if not isinstance(label, str) or not label.strip():
                raise DataError(f"{where}: the label in {lang} must be a string with text.")
            names.setdefault(lang, {})[character] = label
    return lexicon_of_names(names, languages, "CLDR", subset=subset)


def annotations_folder(folder: Path) -> Path | None:
    """The folder that holds CLDR's annotations, or None: `<locale>/annotations.json` or XML."""
    for root in (folder, folder / "annotations", folder / "common" / "annotations"):
        if (root / "en" / "annotations.json").is_file() or (root / "en.xml").is_file():
            return root
    return None


def read_annotations(
    root: str | Path, languages: Sequence[str] | None = None, *, subset: Subset = "objects"
) -> Lexicon:
    """Read CLDR's full annotations: npm package cldr-annotations-full, or XML of the core data.

    Raises:
        ConfigError: a language that it does not have, or only as a stub.
        DataError: a file breaks its layout.
    """
    root = Path(root)
    package = root.parent / "package.json"
    version = read_json(package).get("version", "") if package.is_file() else ""
    found = {path.parent.name: path for path in sorted(root.glob("*/annotations.json"))}
    found = found or {path.stem.replace("_", "-"): path for path in sorted(root.glob("*.xml"))}
    wanted = [lang for lang in found if languages is None or lang in {"en", *languages}]
    cache: Names = {}
    names = {lang: _resolved(lang, found, cache) for lang in wanted}
    return lexicon_of_names(names, languages, f"CLDR {version}".strip(), subset=subset)


def _resolved(lang: str, found: Mapping[str, Path], cache: Names) -> dict[str, str]:
    """Short names of a language, those that it inherits taken from its parent."""
    if lang not in cache:
        path = found.get(lang)
        own = {} if path is None else _json(path) if path.suffix == ".json" else _xml(path)
        parent = lang.rpartition("-")[0]
        above = _resolved(parent, found, cache) if parent and _INHERIT in own.values() else {}
        resolved = {
            character: above.get(character, "") if name == _INHERIT else name
            for character, name in own.items()
        }
        cache[lang] = {character: name for character, name in resolved.items() if name}
    return cache[lang]


def _json(path: Path) -> dict[str, str]:
    content = read_json(path)
    try:
        listed = content["annotations"].get("annotations", {})
        return {character: entry["tts"][0] for character, entry in listed.items() if "tts" in entry}
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise DataError(f"{path} does not have the layout of CLDR's annotations.") from error


def _xml(path: Path) -> dict[str, str]:
    try:
        tree = ElementTree.parse(path)
    except ElementTree.ParseError as error:
        raise DataError(f"{path} is not valid XML ({error}).") from error
    return {
        entry.get("cp", ""): (entry.text or "").strip()
        for entry in tree.iter("annotation")
        if entry.get("type") == "tts"
    }


def is_object(character: str) -> bool:
    """Whether a character is no punctuation, operator or currency sign."""
    return unicodedata.category(character[0]) not in SIGNS


def lexicon_of_names(
    names: Names, languages: Sequence[str] | None, source: str, *, subset: Subset = "objects"
) -> Lexicon:
    """The lexicon of the characters whose English name is one lower-case word.

    Raises:
        ConfigError: a language that `names` does not have, or only as a stub.
        DataError: there are no English names.
    """
    if "en" not in names:
        raise DataError(f"{source} has no English short names, which decide what a concept is.")
    english = names["en"]
    words = [c for c, name in english.items() if name.isalpha() and name.islower()]
    kept = [c for c in words if subset == "all" or is_object(c)]
    drops = [
        drop_row("one_english_word", "concepts", len(words), sorted(set(english) - set(words))),
        drop_row("objects", "concepts", len(kept), [english[c] for c in words if c not in kept]),
    ]
    counts = {lang: sum(c in listed for c in words) for lang, listed in names.items()}
    # Part of a list (a table of our own, a test's) is no stub: a stub lacks most of the concepts.
    enough = min(ENOUGH, len(words))
    chosen = list(dict.fromkeys(languages or [x for x, n in counts.items() if n >= enough]))
    for lang in chosen:
        if counts.get(lang, 0) < enough:
            raise ConfigError(
                f"{source} has {counts.get(lang, 0)} of {len(words)} names in {lang!r}, too few; "
                f"it has {', '.join(x for x, n in counts.items() if n >= enough)}."
            )
    rows = []
    for lang in chosen:
        cut = {c: without_gloss(names[lang][c]) for c in kept if c in names[lang]}
        uses = Counter(map(key, cut.values()))
        for character, short in cut.items():
            given = names[lang][character]
            glossed = short != given and uses[key(short)] == 1
            rows.append(
                {
                    "concept_id": character,
                    "lang": lang,
                    "rank": 0,
                    "form": short if glossed else given,
                    "aliases": [given] if glossed else [],
                    "senses": [],
                    "n_slots": 1,
                    "erratum": False,
                    "flags": [GLOSS] if glossed else [],
                    "source": source,
                    "licence": LICENCE,
                }
            )
    return Lexicon(source, LEXICON.build(rows), LEXICON_DROPS.build(drops))
