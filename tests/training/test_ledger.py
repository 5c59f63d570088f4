"""The ledger of a real run equals a naive recount from the decoded batches."""

import re
import unicodedata
from collections import Counter

import polars as pl

from polylore.tables import raw
from polylore.training.packing import open_packed
from polylore.training.tokenizer import open_tokenizer

BOUNDED = {"en", "ar", "hi"}


def occurrences(text: str, name: str, lang: str) -> list[tuple[int, int]]:
    spans = [
        (m.start(), m.start() + len(name)) for m in re.finditer(f"(?={re.escape(name)})", text)
    ]

    def inside(at: int) -> bool:
        return 0 <= at < len(text) and unicodedata.category(text[at])[0] in "LNM"

    return [(a, b) for a, b in spans if lang not in BOUNDED or not (inside(a - 1) or inside(b))]


def fold(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def test_ledger_equals_a_naive_recount(factset, corpus, trained, config):
    packed = open_packed(trained / "data", config)
    tokenizer = open_tokenizer(trained / "tokenizer")
    documents = corpus.documents().collect()
    lang_of = dict(documents.select("text", "lang").iter_rows())
    by_lang = {lang: factset.facts.filter(lang=lang) for lang in factset.languages}
    expressed: dict[str, list[str]] = {}
    for text, lang in lang_of.items():
        expressed[text] = [
            row["fact_id"]
            for row in by_lang[lang].iter_rows(named=True)
            if any(
                s[1] <= o[0] or o[1] <= s[0]
                for s in occurrences(fold(text), fold(row["subject"]), lang)
                for name in (row["object"], *row["aliases"])
                for o in occurrences(fold(text), fold(name), lang)
            )
        ]
    naive: Counter[tuple[str, str, int]] = Counter()
    for step in range(1, packed.steps + 1):
        for row in packed.batch(step):
            text = tokenizer.decode([i for i in row.tolist() if i != packed.pad])
            for document in filter(None, text.split("<|endoftext|>")):
                lang = lang_of[document]
                naive.update((fact_id, lang, step) for fact_id in expressed[document])
    ledger = raw.EXPOSURE.validate(pl.read_parquet(trained / "exposure.parquet"))
    columns = ("fact_id", "lang", "step_hi", "count")
    assert naive == {(f, lang, s): n for f, lang, s, n in ledger.select(columns).iter_rows()}


def test_held_out_cells_have_no_exposure(corpus, trained):
    exposure = pl.read_parquet(trained / "exposure.parquet")
    totals = exposure.group_by("fact_id", "lang").agg(pl.col("count").sum())
    cells = corpus.design.join(totals, on=("fact_id", "lang"), how="left")
    held = cells.filter(dose=0)
    assert held.height > 10
    assert held["count"].null_count() == held.height
    taught = cells.filter(pl.col("dose") > 0)
    assert (taught["count"] >= taught["dose"]).all()
