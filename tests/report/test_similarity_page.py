"""The page on similarity: its parts, and what is left out where there is nothing to show."""

import itertools

import numpy as np
import polars as pl
import pytest

from polylore.report import export_figures, render
from polylore.runs import RunFolder
from polylore.studies.trace.pages import build_report
from polylore.tables.similarity import SIMILARITY_CONTROLS, SIMILARITY_SUMMARY

LANGS = ("fr", "ja", "all")
POSITIONS = ("prompt_end", "subject_last")
GROUPS = (("all", "all"), ("label", "transfer-candidate"), ("paper_class", "FN"))


def made_up(steps: tuple[int, ...]) -> dict[str, pl.DataFrame]:
    """Both tables with random numbers; the embeddings tell nothing apart."""
    generator = np.random.default_rng(0)
    summary, controls = [], []
    for step, layer, position, lang in itertools.product(steps, range(5), POSITIONS, LANGS):
        at = {"ckpt_id": f"step-{step}", "step": step, "tokens": 4096 * step, "layer": layer,
              "after_norm": layer == 4, "position": position, "lang": lang, "pivot": "en",
              "groups_of": "own"}  # fmt: skip
        for (kind, group), stratum in itertools.product(GROUPS, ("all", "no_same_object")):
            excess = 0.0 if layer == 0 else float(generator.uniform(0.06, 0.2))
            summary.append(
                at | {"kind": kind, "group": group, "stratum": stratum, "n": 30, "mexa": 0.2,
                      "mexa_lo": 0.1, "mexa_hi": 0.3, "cos": 0.6, "cos_clipped": 0.6,
                      "base_all": 0.4, "base_relation": 0.6 - excess, "excess": excess,
                      "excess_lo": excess - 0.05, "excess_hi": excess + 0.05, "cos_centred": 0.2}
            )  # fmt: skip
        for control, stratum in itertools.product(
            ("donor_knows", "donor_ignorant"), ("all", "no_same_object")
        ):
            difference = float(generator.normal(0, 0.02))
            controls.append(
                at | {"case_set": "transfer", "control_set": control, "stratum": stratum,
                      "n_matched": 20, "n_controls": 15, "difference": difference,
                      "difference_lo": difference - 0.01, "difference_hi": difference + 0.01,
                      "p_value": 0.3}
            )  # fmt: skip
    return {
        "similarity_summary": SIMILARITY_SUMMARY.build(summary),
        "similarity_controls": SIMILARITY_CONTROLS.build(controls),
    }


def write(synthetic, folder, steps: tuple[int, ...]) -> RunFolder:
    spec = synthetic.Spec(languages=("en", "fr", "ja"), facts=30, steps=steps, variants=(0,))
    checkpoints = synthetic.tables(spec)["checkpoints"]["ckpt_id"].to_list()
    spec.extra = {
        name: frame.with_columns(
            pl.col("ckpt_id").replace_strict(
                dict(zip([f"step-{s}" for s in steps], checkpoints, strict=True))
            )
        )
        for name, frame in made_up(steps).items()
    }
    return synthetic.write_run(folder, spec)


def page_of(run: RunFolder):
    report = build_report(run)
    return report, next(page for page in report.pages if page.id == "similarity")


@pytest.fixture(scope="module")
def run(synthetic, tmp_path_factory) -> RunFolder:
    return write(synthetic, tmp_path_factory.mktemp("similarity") / "run", (0, 100, 1000))


def test_the_page_has_its_parts(run, tmp_path) -> None:
    report, page = page_of(run)
    ids = [getattr(block, "id", "") for block in page.blocks]
    assert ids == [
        "", "similarity-layers", "similarity-forms", "similarity-mexa", "similarity-map",
        "similarity-over-training", "similarity-groups", "similarity-controls",
        "similarity-controls-map", "similarity-table", "",
    ]  # fmt: skip
    for block in page.blocks[1:-1]:
        assert "pivot English" in block.caption
    by_id = {getattr(block, "id", ""): block for block in page.blocks}
    assert set(by_id["similarity-layers"].frame["language"]) == {
        "French", "Japanese", "All languages",
    }  # fmt: skip
    # The middle of embeddings and four blocks, whatever the numbers say.
    assert "layer 2, halfway" in by_id["similarity-over-training"].caption
    groups = by_id["similarity-groups"].frame
    assert set(groups["named"]) == {"transfer-candidate", "published: FN"}
    assert set(groups["objects"]) == {"all", "differ"}
    marks = by_id["similarity-map"].frame
    assert (marks.filter(layer=0)["mark"] == "").all()
    assert "✓" in set(marks["mark"])
    charts = {block.id for block in page.blocks if hasattr(block, "spec")}
    made = export_figures(report, tmp_path / "figures", formats=("svg",))
    assert charts <= {path.stem for path in made}
    assert "Similarity" in render(report)


def test_the_finding_is_about_a_layer_chosen_blindly(run) -> None:
    finding = next(f for f in build_report(run).findings if "Halfway" in f.text)
    assert "(layer 2)" in finding.text
    assert "in 2 of 2 languages" in finding.text
    assert finding.verdict == "confirmed"
    assert "does not show" in finding.detail


def test_one_checkpoint_has_no_course(synthetic, tmp_path) -> None:
    _, page = page_of(write(synthetic, tmp_path / "run", (1000,)))
    ids = {getattr(block, "id", "") for block in page.blocks}
    assert {"similarity-layers", "similarity-controls", "similarity-table"} <= ids
    assert not {"similarity-map", "similarity-over-training", "similarity-controls-map"} & ids


def test_what_was_not_measured_is_named(synthetic, tmp_path) -> None:
    report = build_report(synthetic.write_run(tmp_path / "run", synthetic.Spec(facts=30)))
    method = next(page for page in report.pages if page.id == "method")
    said = " ".join(t for b in method.blocks for t in getattr(b, "paragraphs", ()))
    assert "--similarity.enabled true" in said
