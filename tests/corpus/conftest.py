"""A small hand-made fact set with the traps that real ones have."""

import polars as pl
import pytest

from polylore.facts import FactSet
from polylore.tables import raw

COUNTRIES = {
    # id: (name, capital, continent, subregion) in en, fr, zh
    "AA": {"en": ("Aland", "Apton"), "fr": ("Alandie", "Apville"), "zh": ("阿兰", "阿普")},
    "BB": {"en": ("Bland", "Bpton"), "fr": ("Blandie", "Bpville"), "zh": ("布兰", "布普")},
    "CC": {"en": ("Cland", "Cpton"), "fr": ("Clandie", "Cpville"), "zh": ("克兰", "克普")},
    "DD": {"en": ("Dland", "Dpton"), "fr": ("Dlandie", "Dpville"), "zh": ("德兰", "德普")},
    "EE": {"en": ("Eland", "Epton"), "fr": ("Elandie", "Epville"), "zh": ("埃兰", "埃普")},
    "FF": {"en": ("Fland", "Fpton"), "fr": ("Flandie", "Fpville"), "zh": ("弗兰", "弗普")},
    "GG": {"en": ("Gland", "Gpton"), "fr": ("Glandie", "Gpville"), "zh": ("格兰", "格普")},
    "HH": {"en": ("Hland", "Hpton"), "fr": ("Hlandie", "Hpville"), "zh": ("赫兰", "赫普")},
}
REGIONS = {
    "en": ("Northia", "Southia", "North Northia"),
    "fr": ("Nordie", "Sudie", "Nord Nordie"),
    "zh": ("诺洲", "苏洲", "北诺洲"),
}
FRAMES = {
    ("capital", "en"): ["The capital of <subject> is <mask>.", "<mask> governs <subject>."],
    ("capital", "fr"): ["La capitale de <subject> est <mask>.", "<mask> gouverne <subject>."],
    ("capital", "zh"): ["<subject>的首都是<mask>。", "<mask>是<subject>的首都。"],
    ("city", "en"): ["The city of <subject> lies in <mask>.", "<mask> holds <subject>."],
    ("city", "fr"): ["La ville de <subject> est en <mask>.", "<mask> contient <subject>."],
    ("city", "zh"): ["<subject>市在<mask>。", "<mask>有<subject>市。"],
    ("continent", "en"): ["<subject> is on <mask>.", "On <mask> lies <subject>."],
    ("continent", "fr"): ["<subject> est sur <mask>.", "Sur <mask> se trouve <subject>."],
    ("continent", "zh"): ["<subject>位于<mask>。", "<mask>有<subject>。"],
    ("subregion", "en"): ["<subject> belongs to <mask>.", "<mask> includes <subject>."],
    ("subregion", "fr"): ["<subject> fait partie de <mask>.", "<mask> comprend <subject>."],
    ("subregion", "zh"): ["<subject>属于<mask>。", "<mask>包括<subject>。"],
}
MENTIONS = {
    "en": ["They said <name> twice.", "Where is my note on <name>?"],
    "fr": ["On a dit <name> deux fois.", "Où est ma note sur <name> ?"],
    "zh": ["他们提到了<name>。", "我的<name>笔记在哪？"],
}


def _facts() -> pl.DataFrame:
    rows = []
    for relation in ("capital", "city", "continent", "subregion"):
        for lang in ("en", "fr", "zh"):
            for n, (code, names) in enumerate(COUNTRIES.items()):
                country, capital = names[lang]
                near, far, part = REGIONS[lang]
                pair = {
                    "capital": (country, capital),
                    "city": (capital, country),
                    "continent": (country, near if n % 2 else far),
                    "subregion": (country, part if n % 2 else far + "ern"),
                }[relation]
                rows.append(
                    {
                        "fact_id": f"{relation}:{code}",
                        "relation": relation,
                        "lang": lang,
                        "subject": pair[0],
                        "object": pair[1],
                        "aliases": [],
                        "candidate_ids": [],
                        "candidates": [],
                        "source": "made by hand",
                        "flags": [],
                    }
                )
    return raw.FACTS.build(rows)


def _templates() -> pl.DataFrame:
    rows = []
    for (relation, lang), frames in FRAMES.items():
        for variant, frame in enumerate(frames):
            row = {"relation": relation, "lang": lang, "variant": variant, "template": frame}
            rows += [row | {"kind": "statement"}] + [row | {"kind": "prompt"}] * (variant == 0)
    for lang, frames in MENTIONS.items():
        for variant, frame in enumerate(frames):
            rows.append(
                {
                    "relation": "mention",
                    "lang": lang,
                    "kind": "mention",
                    "variant": variant,
                    "template": frame,
                }
            )
    return raw.TEMPLATES.build(rows)


@pytest.fixture(scope="session")
def factset() -> FactSet:
    """8 countries, 4 relations, 3 languages; capital and city say the same thing twice, and in
    every language half of the subregions contain the continent's name."""
    return FactSet("mini", _facts(), _templates())
