"""Small tables, and the published KLAR data as tables, read without polylore's own readers."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from polylore import metrics
from polylore.tables import derived, raw


def make_facts(rows: list[dict[str, Any]]) -> pl.DataFrame:
    defaults = {"aliases": [], "candidate_ids": [], "candidates": [], "source": "test", "flags": []}
    return raw.FACTS.build([defaults | {"subject": "S", "object": "O"} | row for row in rows])


def make_checkpoints(steps: list[int | None], **columns: list[Any]) -> pl.DataFrame:
    rows = []
    for i, step in enumerate(steps):
        row: dict[str, Any] = {
            "ckpt_id": f"c{step}" if step is not None else "final",
            "family": "test",
            "model": "test",
            "step": step,
            "tokens": None if step is None else step * 1000,
            "tokens_exact": True,
            "final": step is None,
            "suspect": False,
        }
        rows.append(row | {name: values[i] for name, values in columns.items()})
    return raw.CHECKPOINTS.build(rows)


def make_grades(rows: list[dict[str, Any]]) -> pl.DataFrame:
    defaults = {
        "ckpt_id": "c1",
        "relation": "r",
        "lang": "en",
        "variant": 0,
        "matcher": "default",
        "truncated": False,
    }
    return derived.GRADES.build([defaults | row for row in rows])


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """Builders of small tables: facts, checkpoints, grades."""
    return SimpleNamespace(facts=make_facts, checkpoints=make_checkpoints, grades=make_grades)


@pytest.fixture(scope="session")
def klar(published: Path) -> SimpleNamespace:
    """KLAR facts, frequencies, published pseudo-labels, and the golden values."""
    folder = published / "klar"
    golden = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    langs = golden["reference_stats"]["langs"]
    frequencies = json.loads((folder / "wimbd_frequencies.json").read_text(encoding="utf-8"))
    facts, exposure = [], []
    for lang in langs:
        for path in sorted((folder / "source" / lang).glob("*.json")):
            content = json.loads(path.read_text(encoding="utf-8"))
            counted = frequencies[lang][content["relation_name"]]
            for sample, count in zip(content["samples"], counted, strict=True):
                assert (sample["index"], sample["object"]) == (count["index"], count["object"])
                fact = {
                    "fact_id": str(sample["index"]),
                    "relation": content["relation_name"],
                    "lang": lang,
                    "subject": sample["subject"],
                    "object": sample["object"],
                }
                facts.append(fact)
                exposure.append(
                    {
                        "source": "wimbd",
                        "fact_id": fact["fact_id"],
                        "lang": lang,
                        "count": count["frequency"],
                        "unit": "document",
                        "exact": True,
                        "exposure_kind": "total",
                        "lang_conditioned": False,
                        "policy_id": "wimbd",
                    }
                )
    table = make_facts(facts)
    checkpoints = make_checkpoints([None])
    at = metrics.exposure_at(raw.EXPOSURE.build(exposure), checkpoints, table)
    parts = []
    for k, lang in enumerate(langs):
        own = at.filter(pl.col("lang") == lang)
        numbers = own["fact_id"].cast(pl.Int64()).to_numpy()
        y = metrics.published_labels(numbers, k, own["exposure"].to_numpy())
        parts.append(
            own.select("ckpt_id", "fact_id", "relation", "lang").with_columns(
                variant=pl.lit(0), matcher=pl.lit("published"), y=pl.Series(y), truncated=False
            )
        )
    index = metrics.FactIndex.of(table)
    cells = pl.DataFrame({"lang": langs})
    grades = derived.GRADES.validate(pl.concat(parts))
    return SimpleNamespace(
        langs=langs,
        golden=golden,
        facts=table,
        checkpoints=checkpoints,
        exposure=at,
        grades=grades,
        tables=(grades, table, checkpoints),
        index=index,
        f=index.dense(at, "exposure", cells),
        column={lang: i for i, lang in enumerate(langs)},
    )


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)
