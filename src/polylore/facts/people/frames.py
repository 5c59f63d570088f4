"""A pack for a language without grammar: key-value frames, and names that look like its text.

It needs a text in the language, the names of relations, and their objects. What it makes is marked
`frame`: no sentence of it is natural language.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from polylore.config import Config
from polylore.errors import DataError
from polylore.facts.people.names import drawn
from polylore.facts.people.pack import SYLLABLES, Pack

LETTERS = 3
FRAMES = (
    "{s} — {r}: {o}.",
    "{r} ({s}): {o}.",
    "{s}: {r} = {o}.",
    "{s}, {r}: {o}.",
    "[{s}] {r}: {o}.",
    "{r} / {s}: {o}.",
)
"""The last one is held out for semantic probes."""


class Frames(Config):
    """What a pack of frames is made from, as a JSON file holds it."""

    lang: str
    """Language code."""
    script: str
    """Its script (ISO 15924)."""
    background: list[str]
    """Text files of the language (UTF-8), from which syllables of names are learned; relative
    paths begin at the JSON file."""
    relations: dict[str, dict[str, str]]
    """Relation -> concept -> word; concepts are parallel over languages."""
    labels: dict[str, str]
    """Relation -> its name in the language."""
    companion: str
    """What the language calls a neighbour, or any other companion."""
    seed: int = 0
    """Which syllable stands for which."""

    def pack(self, folder: Path) -> Pack:
        """Read the texts and make the pack.

        Raises:
            ConfigError, DataError: as for `frame_pack`, or a text cannot be read.
        """
        return frame_pack(
            self.lang,
            self.script,
            (_text(folder / name) for name in self.background),
            self.relations,
            self.labels,
            self.companion,
            seed=self.seed,
        )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}, named as background of a pack, is no readable UTF-8 text; mend its path."
        ) from error


def frame_pack(
    lang: str,
    script: str,
    background: Iterable[str],
    relations: Mapping[str, Mapping[str, str]],
    labels: Mapping[str, str],
    companion: str,
    *,
    seed: int = 0,
) -> Pack:
    """Make a pack from a text and a list of words.

    Args:
        lang: language code.
        script: its script (ISO 15924).
        background: texts of the language, from which syllables of names are learned: its most
            frequent sequences of three letters.
        relations: relation -> concept -> word; concepts are parallel over languages.
        labels: relation -> its name in the language.
        companion: what the language calls a neighbour, or any other companion.
        seed: which syllable stands for which.

    Raises:
        ConfigError: there are too few relations or objects.
        DataError: the text has too few different sequences, or a label is missing or has braces.
    """
    counts: Counter[str] = Counter()
    for text in background:
        folded = text.lower()
        parts = (folded[n : n + LETTERS] for n in range(len(folded) - LETTERS + 1))
        counts.update(part for part in parts if part.isalpha())
    if len(counts) < len(SYLLABLES):
        raise DataError(
            f"The background of {lang} has {len(counts)} sequences of {LETTERS} letters; names "
            f"need {len(SYLLABLES)}. Give more text."
        )
    frequent = sorted(counts, key=lambda part: (-counts[part], part))[: len(SYLLABLES)]
    frequent.sort(key=lambda part: drawn(seed, lang, part))
    for name in [*relations, companion]:
        label = companion if name == companion else labels.get(name, "")
        if not label.strip() or set(label) & set("{}"):
            raise DataError(f"Relation {name} needs a name in {lang} without braces.")
    return Pack.parse(
        {
            "lang": lang,
            "script": script,
            "sources": "key-value frames",
            "sentence_end": ".",
            "syllables": dict(zip(SYLLABLES, frequent, strict=True)),
            "relations": {
                name: {"forms": {"r": labels[name]}, "objects": dict(objects)}
                for name, objects in relations.items()
            },
            "companion": {"forms": {"r": companion}},
            "wordings": [
                {"text": text, "held_out": n == len(FRAMES) - 1} for n, text in enumerate(FRAMES)
            ],
            "compositional": "{r} < " + companion + " < {s}: {o}.",
            "frame": True,
        },
        f"frames of {lang}",
    )
