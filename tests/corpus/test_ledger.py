"""The ledger: exposure per fact, language and step (specification of trace, 2.3 and T13)."""

import polars as pl

from polylore.corpus import exposure_table
from polylore.tables import raw

DOCUMENTS = raw.DOCUMENTS.build(
    [
        {"doc_id": i, "kind": k, "lang": lang, "fact_id": f, "wording": w, "text": "x"}
        for i, (k, lang, f, w) in enumerate(
            [
                ("fact", "en", "a", "statement:0"),
                ("fact", "en", "a", "statement:1"),
                ("fact", "fr", "a", "statement:0"),
                ("mention", "en", None, "mention:0"),
                ("fact", "en", "b", "statement:0"),
                ("fact", "en", "a", "statement:0"),
            ]
        )
    ]
)
CONSUMED = raw.CONSUMED.build(
    [{"doc_id": i, "step": s, "n_tokens": 3} for i, s in enumerate([7, 7, 2, 1, 9])]
)


def counts(expressed=None):
    frame = exposure_table(DOCUMENTS, CONSUMED, expressed)
    return {
        (f, lang, lo, hi): n
        for f, lang, lo, hi, n in frame.select(
            "fact_id", "lang", "step_lo", "step_hi", "count"
        ).rows()
    }


def test_counts_per_step():
    # Document 5 was never read and does not count.
    assert counts() == {("a", "en", 7, 7): 2, ("a", "fr", 2, 2): 1, ("b", "en", 9, 9): 1}


def test_step_includes_its_own_update():
    frame = exposure_table(DOCUMENTS, CONSUMED).filter(fact_id="a", lang="en")

    def exposure(step: int) -> int:
        return frame.filter(pl.col("step_hi") <= step)["count"].sum()

    assert [exposure(s) for s in (0, 6, 7, 8)] == [0, 0, 2, 2]


def test_sentences_that_express_other_facts_count_for_them():
    expressed = pl.DataFrame(
        [("a", "en", "statement:1", "b")],
        schema=["fact_id", "lang", "wording", "also_fact_id"],
        orient="row",
    )
    assert counts(expressed) == counts() | {("b", "en", 7, 7): 1}


def test_contract_and_kind():
    frame = exposure_table(DOCUMENTS.lazy(), CONSUMED, source="here")
    assert frame.schema == raw.EXPOSURE.schema
    row = frame.row(0, named=True)
    assert (row["source"], row["exposure_kind"], row["unit"]) == ("here", "exact", "document")
    assert row["exact"] is row["lang_conditioned"] is True
    assert row["doc_lang"] == row["lang"]


def test_nothing_read():
    assert exposure_table(DOCUMENTS, CONSUMED.clear()).is_empty()
