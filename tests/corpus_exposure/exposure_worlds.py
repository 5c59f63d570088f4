"""Random small corpora in mixed scripts, full of what makes counting go wrong."""

import random
import unicodedata

import polars as pl

from polylore.corpus.exposure import CountingPolicy
from polylore.tables import raw

NAMES = {
    "en": [
        "Paris",
        "France",
        "St. Louis",
        "New York",
        "York",
        "straße",
        "I",
        "C++",
        "ﬁve",
        "e\u0301a",
    ],
    "tr": ["İstanbul", "Türkiye", "I", "ı"],
    "ru": ["Москва", "Россия", "Росси", "ёж", "й"],
    "ar": ["باريس", "فَرَنسا", "فرنسا", "مصر"],
    "zh": ["巴黎", "法国", "法", "国巴", "Toyota"],
    "ja": ["パリ", "ﾊﾟﾘ", "が", "フランス", "ー"],
    "th": ["ปารีส", "กา", "ประเทศ"],
    "hi": ["पेरिस", "फ़्रांस", "रिस"],
    "ko": ["파리", "각", "가", "프랑스"],
}
GLUE = [
    *(" ", " ", " ", ", ", ". ", "! ", "? ", "\n", "\n\n", "", "", "", "-", "'", "’s", "s"),
    *("は", "的", "。", "！", "؟ ", "।", "…", ".", "\u0301", "\u0300", "\u3099", "\uff9e"),
    *("\u064e", "\u0e48", "\u093f", "\u11a8", "3", "²", "ß", "İ", "ǰ", "\u00a0", "\u200d"),
    *("\ufeff", "（", "\u1fb3", "𝔸", "😀"),
]
PLAIN = ["is", "in", "la", "ist", "в", "из", "من", "是", "に", "ใน", "में", "에", "ΣΑΣ", "ŉ", "x"]


def variants(rng: random.Random, name: str) -> str:
    way = rng.randrange(8)
    if way == 0:
        return name.upper()
    if way == 1:
        return name.lower()
    if way == 2:
        return unicodedata.normalize("NFD", name)
    if way == 3:
        return unicodedata.normalize("NFKC", name)
    if way == 4:
        return name.title()
    if way == 5 and len(name) > 1:
        return name[: rng.randrange(1, len(name))]
    return name


def facts(rng: random.Random) -> list[tuple[str, str, str, tuple[str, ...]]]:
    rows = []
    for number in range(rng.randrange(2, 9)):
        lang = rng.choice(list(NAMES))
        pool = NAMES[lang] + NAMES["en"][:3]
        subject, *objects = (variants(rng, rng.choice(pool)) for _ in range(rng.randrange(2, 5)))
        rows.append((str(number), lang, subject, tuple(objects)))
    return rows


def table(rows: list[tuple[str, str, str, tuple[str, ...]]]) -> pl.DataFrame:
    return raw.FACTS.build(
        [
            {
                "fact_id": fact_id,
                "relation": "r",
                "lang": lang,
                "subject": subject,
                "object": objects[0],
                "aliases": list(objects[1:]),
                "candidate_ids": [],
                "candidates": [],
                "source": "test",
                "flags": [],
            }
            for fact_id, lang, subject, objects in rows
        ]
    )


def document(rng: random.Random, names: list[str]) -> str:
    text = ""
    for _ in range(rng.randrange(0, 14)):
        what = rng.random()
        if what < 0.65:
            text += variants(rng, rng.choice(names))
        else:
            text += rng.choice(PLAIN)
        text += rng.choice(GLUE) + (rng.choice(GLUE) if rng.random() < 0.3 else "")
    return text


def policy(rng: random.Random, number: int) -> CountingPolicy:
    """Every option comes up, and all combinations in the long run."""
    return CountingPolicy(
        unit=("document", "sentence", "window:3", "document", "window:6", "sequence")[number % 6],
        normalisation=rng.choice(["nfkc", "nfkc", "nfc", "none"]),
        casefold=rng.random() < 0.7,
        boundaries=rng.choice(["script", "script", "always", "never"]),
        overlap=rng.random() < 0.3,
    )
