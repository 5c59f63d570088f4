"""The published layout of rarely read right answers (specification of `trace`, section 6)."""

import json

import polars as pl

from polylore.studies.trace.published_form import write_published_form
from polylore.tables.pathways import CELLS


def test_files_hold_the_published_groups(tmp_path) -> None:
    classes = {("1", "en"): "TP", ("1", "fr"): "FN", ("2", "en"): "TP", ("2", "fr"): "TN"}
    rows = [
        {
            "ckpt_id": ckpt, "fact_id": fact, "relation": "r", "lang": lang, "matcher": "paper",
            "y": kind in ("TP", "FN"), "E_l": 7.0 if lang == "en" else 0.0,
            "exposure_kind": "total", "guess_source": "data", "label": "unknown", "why": "wrong",
            "paper_class": kind if ckpt == "c2" else "FP",
        }
        for ckpt in ("c1", "c2")
        for (fact, lang), kind in classes.items()
    ]  # fmt: skip
    facts = pl.DataFrame(
        [
            {"fact_id": f, "lang": lang, "subject": f"s{f}{lang}", "object": f"o{f}{lang}"}
            for f, lang in classes
        ]
    )
    written = write_published_form(CELLS.build(rows), facts, tmp_path / "out")
    content = {p.stem: json.loads(p.read_text(encoding="utf-8")) for p in written}
    assert content["fn_relations"] == {"fr": {"r": 1}}
    assert content["crosslingual_fn_freqs"] == {
        "fr": {
            "1": {
                "subject": "s1fr",
                "object": "o1fr",
                "relation": "r",
                "frequencies": {"en": 7, "fr": 0},
                "correctness": {"en": True, "fr": True},
            }
        }
    }
    assert content["index_classification_by_language"] == {
        "en": {"TP": ["1", "2"], "FN": [], "FP": [], "TN": []},
        "fr": {"TP": [], "FN": ["1"], "FP": [], "TN": ["2"]},
    }
