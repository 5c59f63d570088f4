"""Derive the built-in lexicon from a local copy of CLDR's annotations.

Usage (the folder is an unpacked npm package cldr-annotations-full):

    npm pack cldr-annotations-full@48.2.0 && tar xzf cldr-annotations-full-48.2.0.tgz
    python tools/make_lexicon.py package

Writes names.tsv (character, short name in each language) into src/polylore/facts/lexicon/data.
"""

import json
import sys
from pathlib import Path

from polylore.facts.lexicon.annotations import annotations_folder, read_annotations

DATA = Path(__file__).resolve().parents[1] / "src/polylore/facts/lexicon/data/names.tsv"
LANGUAGES = [
    "en",
    "zh",
    "es",
    "hi",
    "ar",
    "bn",
    "pt",
    "ru",
    "ja",
    "de",
    "fr",
    "ko",
    "vi",
    "tr",
    "it",
    "id",
    "fa",
    "sw",
    "th",
    "ur",
    "nl",
    "pl",
    "et",
    "fi",
    "cy",
    "yue",
    "he",
]
HEADER = """\
# Derived from Unicode CLDR {version} by tools/make_lexicon.py: short names (tts) of annotations.
# Copyright © 2004-2026 Unicode, Inc. Unicode License v3, see ../LICENSE-UNICODE.
"""


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    root = annotations_folder(Path(sys.argv[1]))
    if root is None:
        raise SystemExit(f"{sys.argv[1]} holds no annotations of CLDR.")
    version = json.loads((root.parent / "package.json").read_text(encoding="utf-8"))["version"]
    lexicon = read_annotations(root, LANGUAGES, subset="all")
    lines = ["\t".join(["id", *LANGUAGES])]
    for concept in lexicon.concepts:
        forms = [lexicon.forms(concept, lang) for lang in LANGUAGES]
        lines.append("\t".join([concept, *(found[0].given if found else "" for found in forms)]))
    DATA.parent.mkdir(parents=True, exist_ok=True)
    DATA.write_text(HEADER.format(version=version) + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
