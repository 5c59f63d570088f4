"""The published analysis of rarely read right answers, in the published files' own layout."""

from pathlib import Path
from typing import Any

import polars as pl

from polylore.files import write_json

CLASSES = ("TP", "FN", "FP", "TN")


def write_published_form(cells: pl.DataFrame, facts: pl.DataFrame, folder: Path) -> list[Path]:
    """Write the three files of the published analysis for the last checkpoint.

    `fn_relations.json` {lang: {relation: n}}: right facts below the language's threshold (FN).
    `crosslingual_fn_freqs.json` {lang: {fact_id: {subject, object, relation, frequencies,
    correctness}}}: each of them with its exposure and correctness in every language.
    `index_classification_by_language.json` {lang: {class: [fact_id]}} (`trace`, section 6).

    Args:
        cells: table CELLS.
        facts: table FACTS.
        folder: where to write.

    Returns:
        The files.
    """
    last = cells.filter(pl.col("ckpt_id") == cells["ckpt_id"][-1])
    names = {
        (fact, lang): {"subject": subject, "object": gold}
        for fact, lang, subject, gold in facts.select(
            "fact_id", "lang", "subject", "object"
        ).iter_rows()
    }
    everywhere: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for fact, lang, e, y in last.select("fact_id", "lang", "E_l", "y").iter_rows():
        frequencies, correctness = everywhere.setdefault(fact, ({}, {}))
        # Counts are whole numbers wherever the whole corpus was counted.
        frequencies[lang] = int(e) if e is not None and e == int(e) else e
        correctness[lang] = y
    relations: dict[str, dict[str, int]] = {}
    details: dict[str, dict[str, Any]] = {}
    classes: dict[str, dict[str, list[str]]] = {}
    columns = ("lang", "fact_id", "relation", "paper_class")
    for lang, fact, relation, kind in last.select(columns).drop_nulls().iter_rows():
        classes.setdefault(lang, {name: [] for name in CLASSES})[kind].append(fact)
        if kind == "FN":
            counted = relations.setdefault(lang, {})
            counted[relation] = counted.get(relation, 0) + 1
            frequencies, correctness = everywhere[fact]
            details.setdefault(lang, {})[fact] = names[fact, lang] | {
                "relation": relation,
                "frequencies": frequencies,
                "correctness": correctness,
            }
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "fn_relations": relations,
        "crosslingual_fn_freqs": details,
        "index_classification_by_language": classes,
    }
    written = [folder / f"{name}.json" for name in contents]
    for path, content in zip(written, contents.values(), strict=True):
        write_json(content, path)
    return written
