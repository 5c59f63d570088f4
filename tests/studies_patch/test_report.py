"""The report of a patch run, drawn from tables of a planted one."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from polylore.errors import DataError
from polylore.facts.lexicon import Lexicon, flags_table
from polylore.metrics.patching import patch_tables
from polylore.report import export_figures, write_html
from polylore.report.model import Chart, Report, TableView
from polylore.studies.patch.pages import build_report
from polylore.tables import patch
from polylore.tables.lexicon import LEXICON
from polylore.tables.raw import CHECKPOINTS

LANGS = [("es", "fr"), ("cy", "fr")]
LEVELS = {
    "src_unpatched": [0.1, 0.5, 0.8, 0.9],
    "tgt_unpatched": [0.02] * 4,
    "seen": [0.02, 0.1, 0.5, 0.6],
    "tgt": [0.02, 0.4, 0.5, 0.5],
    "random_concept": [0.02] * 4,
}


def lexicon() -> Lexicon:
    rows = [
        {
            "concept_id": f"c{i:02d}", "lang": lang, "rank": 0,
            "form": f"<b>{lang if i else 'same'}{i}", "aliases": [], "sense_id": None,
            "senses": [], "n_slots": 1, "erratum": False, "flags": [], "source": "test",
        }
        for i in range(12) for lang in ("en", "es", "cy", "fr")
    ]  # fmt: skip
    return Lexicon("test", LEXICON.build(rows))


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    generator = np.random.default_rng(0)
    words = lexicon()
    pairs = [
        {"pair_id": f"p{i:04d}", "fact_id": f"c{i:02d}", "fact_id_target": f"c{(i + 5) % 12:02d}",
         "source_shots": [], "target_shots": []}
        for i in range(12)
    ]  # fmt: skip
    scores: list[dict[str, Any]] = []
    answers: list[dict[str, Any]] = []
    for k in range(4):
        for a, b in LANGS:
            for pair in pairs:
                for setting, by_k in LEVELS.items():
                    free = setting.endswith("unpatched")
                    for onset in (None,) if free else (-1, 0, 1):
                        p = by_k[k] * generator.uniform(0.8, 1.1) * (1 if onset != 1 else 0.05)
                        keys = {
                            "ckpt_id": f"c{k}", "lang_a": a, "lang_b": b, "setting": setting,
                            "draw": 0, "k": 0 if free else 2, "pair_id": pair["pair_id"],
                            "fact_id": pair["fact_id"], "fact_id_target": pair["fact_id_target"],
                            "intervention": "none" if free else "object:onset", "onset": onset,
                            "engine": "suffix", "dtype": "float32", "plan_hash": "x",
                        }  # fmt: skip
                        scores.append(
                            keys | {"cell_concept": "src", "cell_lang": b, "n_forms": 1,
                                    "boundary_merge": False, "logp_full": float(np.log(p)),
                                    "p_first": min(1.0, p)}
                        )  # fmt: skip
                        n = int(pair["fact_id"][1:])
                        said = f"<b>{b}{n}" if generator.uniform() < p else f"<b>{a}{n}"
                        answers.append(
                            keys | {"raw_text": said, "n_new_tokens": 1, "unterminated": False}
                        )
                for number, size in enumerate((1,)):
                    keys = answers[-1] | {"setting": "samek", "draw": 10 * number, "k": size}
                    keys = {c: v for c, v in keys.items() if c in patch.SCORES.schema}
                    scores.append(
                        keys | {"cell_concept": "src", "cell_lang": b, "n_forms": 1,
                                "boundary_merge": False, "p_first": 0.3,
                                "logp_full": float(np.log(0.2 * size)), "onset": 0,
                                "intervention": "object:onset"}
                    )  # fmt: skip
    checkpoints = CHECKPOINTS.build(
        [
            {"ckpt_id": f"c{k}", "family": "test", "model": "<i>toy</i>", "step": k,
             "stage": k // 3, "tokens": n, "tokens_exact": True, "final": False,
             "suspect": False}
            for k, n in enumerate((0, 1_000, 4_000, 16_000))
        ]
    )  # fmt: skip
    derived = patch_tables(
        patch.SCORES.build(scores), patch.ANSWERS.build(answers), patch.PAIRS.build(pairs),
        checkpoints, words.frame, flags_table(words, LANGS), draws=40,
    )  # fmt: skip
    return derived | {"checkpoints": checkpoints}


@pytest.fixture(scope="module")
def report(tables: dict[str, pl.DataFrame]) -> Report:
    return build_report(tables, seen=["es", "fr"])


def blocks(report: Report) -> dict[str, Chart | TableView]:
    found = (b for page in report.pages for b in page.blocks)
    return {b.id: b for b in found if isinstance(b, Chart | TableView)}


def test_every_figure_is_there(report: Report) -> None:
    assert [page.id for page in report.pages] == ["onsets", "emergence", "answers", "method"]
    assert set(blocks(report)) == {
        "patch-onsets", "patch-map", "patch-samek", "patch-emergence", "patch-times",
        "patch-pairs", "patch-emergence-table", "patch-changes", "patch-transitions-full",
        "patch-transitions-clean", "patch-shares-src-unpatched", "patch-shares-seen",
    }  # fmt: skip


def test_figures_and_page_can_be_drawn(report: Report, tmp_path: Path) -> None:
    assert len(export_figures(report, tmp_path, ("svg",))) == 10
    page = write_html(report, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<i>toy</i>" not in page


def test_plotted_numbers_are_in_tables(report: Report, tables: dict[str, pl.DataFrame]) -> None:
    chart = blocks(report)["patch-onsets"]
    known = set(tables["patch_curves"]["mean"].to_list())
    assert set(chart.frame["mean"]) <= known
    assert chart.frame["line"].n_unique() == 3
    shares = blocks(report)["patch-shares-seen"].frame
    sums = shares.group_by("label").agg(pl.col("share").sum())["share"]
    assert sums.to_list() == pytest.approx([1.0] * 4)
    cells = blocks(report)["patch-transitions-full"].frame
    assert cells["n"].sum() == 24
    assert cells["share"].sum() == pytest.approx(1)


def test_unseen_languages_are_told_apart(report: Report) -> None:
    frame = blocks(report)["patch-pairs"].frame
    seen = dict(frame.select("languages", "series").iter_rows())
    assert seen["Spanish → French"] == "both languages read in training"
    assert seen["Welsh → French"] == "one of them not"
    assert frame["languages"][-1] == "all pairs"


def test_findings_follow_the_planted_numbers(report: Report) -> None:
    verdicts = [f.verdict for f in report.findings[:3]]
    assert verdicts == ["confirmed", "confirmed", "not confirmed"]
    assert "between 1k and 4k tokens" in report.findings[3].text


def test_one_checkpoint_has_no_course(tables: dict[str, pl.DataFrame]) -> None:
    last = {
        name: frame.filter(pl.col("ckpt_id") == "c3") if "ckpt_id" in frame.columns else frame
        for name, frame in tables.items()
    }
    single = blocks(build_report(last))
    assert "patch-onsets" in single
    assert not {"patch-map", "patch-emergence", "patch-times", "patch-shares-seen"} & set(single)


def test_scores_alone_make_a_report(tables: dict[str, pl.DataFrame]) -> None:
    kept = {name: tables[name] for name in ("checkpoints", "patch_curves")}
    assert [page.id for page in build_report(kept).pages] == ["onsets", "method"]
    with pytest.raises(DataError, match="patch_curves"):
        build_report({"checkpoints": tables["checkpoints"]})
