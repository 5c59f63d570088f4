"""Differences between models, and verdicts (specification of `align`, section 9.3)."""

import numpy as np
import polars as pl
import pytest

from polylore.errors import DataError
from polylore.facts.choices.known import LEVELS
from polylore.metrics.align.claims import _holm, claims, verdict
from polylore.metrics.align.effects import Contrast, contrast_of, difference, effects, scores
from polylore.metrics.align.layout import cluster_weights, layouts
from polylore.metrics.align.parsed import parse_answers
from polylore.tables.align import ANSWERS, ITEMS

from .conftest import CONSTANTS

LLAMA = ("llama_13b", "chinese_llama_13b", "zh")
LLAMA2 = ("llama2_13b", "LeoLM_leo_hessianai_13b", "de")
PUBLISHED = {
    (LLAMA[1], "basic"): {
        "pivot": (-0.003, -0.08, 0.07),
        "target": (0.009, -0.08, 0.09),
        "others_out": (-0.090, -0.15, -0.02),
    },
    (LLAMA[1], "factual"): {
        "pivot": (-0.281, -0.36, -0.21),
        "target": (0.012, -0.07, 0.09),
        "others_out": (-0.208, -0.26, -0.16),
    },
    (LLAMA2[1], "basic"): {
        "pivot": (-0.122, -0.16, -0.08),
        "target": (-0.047, -0.10, 0.01),
        "others_out": (-0.133, -0.16, -0.11),
    },
    (LLAMA2[1], "factual"): {
        "pivot": (-0.430, -0.50, -0.36),
        "target": (-0.406, -0.49, -0.32),
        "others_out": (-0.323, -0.38, -0.26),
    },
}


@pytest.fixture(scope="module")
def scored(robust):
    made = list(robust.layouts.values())
    weights = {one.dataset: cluster_weights(one, 2000, 0) for one in made}
    return scores(made, weights, constants=CONSTANTS)


@pytest.fixture(scope="module")
def contrasts(scored):
    made = list(scored.layouts.values())
    return [contrast_of(made, arm, minus, target=target) for minus, arm, target in (LLAMA, LLAMA2)]


def test_published_models(scored, contrasts):
    reason = {("LeoLM_leo_hessianai_13b", None, "generate", "imported", "xpeo", "en"): "copied"}
    table = effects(scored, contrasts, levels=LEVELS, flagged=reason)
    for (arm, level), groups in PUBLISHED.items():
        for group, (delta, lo, hi) in groups.items():
            row = table.filter(arm=arm, level=level, group=group).row(0, named=True)
            assert row["delta"] == pytest.approx(delta, abs=1e-3)
            assert (row["lo"], row["hi"]) == pytest.approx((lo, hi), abs=2e-2)
            assert len(row["langs"]) == (8 if group == "others_out" else 1)
    flagged = table.filter(pl.col("flagged").list.len() > 0)
    assert set(flagged["level"]) == {"xpeo", "factual"}
    assert set(flagged["group"]) == {"pivot", "lang:en"}


def test_published_verdicts(scored, contrasts):
    table = claims(scored, contrasts, levels=LEVELS)
    costs = table.filter(direction="down")
    assert costs.filter(m=0.0)["verdict"].to_list() == ["confirmed"] * 4
    assert costs.filter(m=0.05)["verdict"].to_list() == ["open", *["confirmed"] * 3]
    helps = table.filter(direction="up")
    for m in (0.0, 0.05):
        assert helps.filter(m=m)["verdict"].to_list() == ["open"] * 3 + ["contradicted"]
    assert not table["siblings"].any()


def test_unknown_model(scored):
    with pytest.raises(DataError, match="nobody"):
        contrast_of(scored.layouts.values(), "nobody", "llama_13b")


@pytest.mark.parametrize(
    ("lo", "hi", "m", "up", "expected"),
    [
        (0.06, 0.1, 0.05, True, "confirmed"),
        (0.04, 0.1, 0.05, True, "open"),
        (-0.04, 0.04, 0.05, True, "equivalent"),
        (-0.1, -0.06, 0.05, True, "contradicted"),
        (-0.1, -0.06, 0.05, False, "confirmed"),
        (0.06, 0.1, 0.05, False, "contradicted"),
        (-0.01, 0.01, 0.0, True, "open"),
    ],
)
def test_verdict(lo, hi, m, up, expected):
    assert verdict(lo, hi, m, up=up) == expected


def test_holm():
    assert _holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def table_of(right: dict[tuple[str, str], np.ndarray], clusters: list[str]):
    """Answers of models that are right where told: gold is always A of two options."""
    n = len(clusters)
    items = ITEMS.build(
        [{"dataset": "s", "item": i, "fact_id": f"s:{i}", "cluster": clusters[i], "n_options": 2,
          "gold_index": 0} for i in range(n)]
    )  # fmt: skip
    answers = ANSWERS.build(
        [{"model": model, "mode": "generate", "variant": "v", "dataset": "s", "item": i,
          "lang": lang, "raw_output": "A" if values[i] else "B"}
         for (model, lang), values in right.items() for i in range(n)]
    )  # fmt: skip
    return layouts(parse_answers(answers, items), items, "robust")


def width(doubled: bool, clustered: bool = True) -> float:
    generator = np.random.default_rng(1)
    right = {(m, "en"): generator.random(300) < p for m, p in (("a", 0.7), ("b", 0.5))}
    clusters = [str(i) for i in range(300)]
    if doubled:
        right = {key: np.repeat(values, 2) for key, values in right.items()}
        clusters = [str(i // 2 if clustered else i) for i in range(600)]
    made = table_of(right, clusters)
    weights = {"s": cluster_weights(made[0], 4000, 0)}
    row = effects(
        scores(made, weights, metric="x"), [contrast_of(made, "a", "b")], levels={}
    ).filter(group="pivot")
    return row["hi"].item() - row["lo"].item()


def test_items_of_one_cluster_are_no_more_evidence():
    clustered = width(doubled=True)
    assert clustered == pytest.approx(width(doubled=False), rel=0.1)
    naive = width(doubled=True, clustered=False)
    assert clustered == pytest.approx(np.sqrt(2) * naive, rel=0.1)


def test_seeds_are_drawn_first():
    generator = np.random.default_rng(2)
    n = 4000
    shifts = (0.5, 0.6, 0.9)
    right = {(f"base{s}", "en"): generator.random(n) < 0.5 for s in range(3)}
    right |= {(f"arm{s}", "en"): generator.random(n) < p for s, p in enumerate(shifts)}
    made = table_of(right, [str(i) for i in range(n)])
    system = {row[0]: row[:-1] for row in made[0].cells.iter_rows()}
    contrast = Contrast(
        "arm", "base", tuple((system[f"arm{s}"], system[f"base{s}"]) for s in range(3))
    )
    weights = {"s": cluster_weights(made[0], 1000, 0)}
    found = difference(scores(made, weights, metric="x"), contrast, ["s"], ["en"])
    # x = 2 acc - 1, so the three seeds differ by 0, 0.2 and 0.8.
    assert found.delta == pytest.approx(1 / 3, abs=0.05)
    assert found.n_seeds == 3
    assert np.std(found.reseeded_D) > 4 * np.std(found.drawn_D)
