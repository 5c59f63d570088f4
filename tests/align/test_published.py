"""Published answers: the summary of golden.json, and the corrected metrics beside it.

Numbers are those of the specification of `align`, sections 8, 9.1 and 9.2.
"""

import json

import polars as pl
import pytest
from scipy.stats import spearmanr

from polylore.metrics.align.audit import STATUSES, parse_audit, trust
from polylore.studies.reproduce_align import reproduce_align


@pytest.fixture(scope="module")
def made(clika, tmp_path_factory):
    out = tmp_path_factory.mktemp("align") / "golden.json"
    reproduced, remarks = reproduce_align(clika / "predictions.parquet", out)
    assert remarks == []
    written = json.loads(out.read_text(encoding="utf-8"))
    assert written == reproduced
    return written


def test_every_golden_value_to_the_printed_digit(made, clika):
    golden = json.loads((clika / "golden.json").read_text(encoding="utf-8"))
    assert len(golden) == 23
    assert list(made) == list(golden)
    assert made == golden


def test_spot_values(made):
    cell = made["bloom_7b1"]["xcopa"]["ru"]
    assert (cell["acc"], cell["acc_robust"], cell["unparsed"]) == (0.2, 46.4, 22)
    assert (cell["top_letter"], cell["top_share"]) == ("А", 0.914)  # Cyrillic
    assert (cell["co_given_l"], cell["xltr"]) == (1.0, -0.9917)
    both = [(made["bloom_7b1"][s]["ru"][f]) for s in ("xgeo", "xpeo", "xcsqa")
            for f in ("acc", "acc_robust")]  # fmt: skip
    assert both == [0.0, 23.0, 1.11, 18.33, 15.0, 18.7]
    means = [made["chatgpt"][s]["_mean_non_en"] for s in ("xcsqa", "xcopa")]
    assert sum(m["ra"] for m in means) / 2 == pytest.approx(0.749, abs=1e-3)
    assert sum(m["co_iou"] for m in means) / 2 == pytest.approx(0.760, abs=1e-3)


COLUMNS = (
    "co_iou", "co_indep", "co_pos", "co_posmax", "excess", "co_norm", "phi", "same_answer",
    "same_wrong", "k_both",
)  # fmt: skip
CORRECTED = {
    ("chatgpt", "xgeo", "he"):
        (.5128, .4972, .4968, .5206, .0160, .6722, .1190, .5200, .8000, .3444),
    ("chatgpt", "xgeo", "fr"):
        (.9550, .9559, .9560, .9848, -.0010, -.0331, -.0217, .9550, None, .9400),
    ("chatgpt", "xcsqa", "zh"):
        (.6190, .4755, .4813, .7624, .1377, .4899, .3652, .6120, .5820, .4366),
    ("chatgpt", "xcopa", "de"):
        (.9286, .8950, .8952, .9606, .0334, .5104, .3555, .9300, 1.0, .8600),
    ("llama2_13b", "xgeo", "zh"):
        (.5615, .5158, .5228, .5870, .0387, .6029, .2086, .5600, .5385, .3956),
    ("llama2_13b", "xgeo", "he"):
        (.2903, .2733, .2869, .3043, .0034, .1939, .1018, .3050, .5000, .0578),
    ("Stanford_Alpaca", "xgeo", "fr"):
        (.8750, .7014, .7050, .9412, .1700, .7198, .6261, .8500, .6667, .7467),
    ("chinese_llama_13b", "xcopa", "zh"):
        (.6624, .4634, .6282, .6710, .0342, .8000, .4958, .7360, 1.0, .4720),
    ("polylm_multialpaca_13b", "xpeo", "zh"):
        (1.0, .1215, 1.0, 1.0, 0, None, 1.0, 1.0, 1.0, .3037),
    ("polylm_multialpaca_13b", "xgeo", "de"):
        (.7910, .1762, .6765, .9355, .1146, .4423, .8344, .8950, .9474, .3156),
}  # fmt: skip


@pytest.mark.parametrize(("where", "values"), CORRECTED.items(), ids=lambda v: str(v[:2]))
def test_corrected_metrics(robust, where, values):
    model, dataset, lang = where
    row = robust.pairs.filter(model=model, dataset=dataset, lang=lang).row(0, named=True)
    assert tuple(row[name] for name in COLUMNS) == pytest.approx(values, abs=5e-4)
    assert row["k_impossible"] == (where in list(CORRECTED)[-3:])
    for form in ("co_iou", "excess", "k_both"):
        assert row[f"{form}_lo"] <= row[form] <= row[f"{form}_hi"]


def test_parsers_are_not_mixed(first_char):
    row = first_char.pairs.filter(model="chatgpt", dataset="xcsqa", lang="zh")
    assert row["co_iou"].item() == pytest.approx(0.6202, abs=5e-5)
    assert row["parser"].item() == "first_char"


def test_means_over_cells_without_letter_bias(robust, first_char):
    bad = set(first_char.cells.filter("degenerate").select("model", "dataset", "lang").iter_rows())
    assert len(bad) == 115
    acc = {tuple(k): a for *k, a in
           robust.cells.select("model", "dataset", "lang", "acc").iter_rows()}  # fmt: skip
    expected = {
        "xcsqa": (197, 0.422, 0.284, 0.322, 0.866),
        "xcopa": (143, 0.680, 0.592, 0.622, 0.892),
        "xgeo": (185, 0.563, 0.468, 0.487, 0.950),
        "xpeo": (184, 0.577, 0.381, 0.431, 0.911),
    }
    for dataset, (n, *means, rho) in expected.items():
        rows = [
            row
            for row in robust.pairs.filter(dataset=dataset).iter_rows(named=True)
            if not {(row["model"], dataset, "en"), (row["model"], dataset, row["lang"])} & bad
        ]
        assert len(rows) == n
        for name, mean in zip(("co_iou", "co_indep", "co_pos"), means, strict=True):
            assert sum(r[name] for r in rows) / n == pytest.approx(mean, abs=5e-4)
        lower = [
            min(acc[r["model"], dataset, "en"], acc[r["model"], dataset, r["lang"]]) for r in rows
        ]
        found = spearmanr([r["co_iou"] for r in rows], lower).statistic
        assert found == pytest.approx(rho, abs=2e-3)


def test_degenerate_sets(first_char, robust):
    table = trust(first_char.cells)
    found = table.filter("set_degenerate").select("model", "dataset").unique()
    assert set(found.iter_rows()) == {
        ("Baichuan2-13B-ChatZH1e-4", "xcopa"),
        ("bigtranslate", "xcopa"),
        ("bigtranslate", "xpeo"),
        ("bloom_7b1", "xcsqa"),
        ("bloom_7b1", "xcopa"),
        ("bloomz_7b1", "xcopa"),
        ("chinese_llama_13b", "xcopa"),
        ("polylm_multialpaca_13b", "xgeo"),
        ("polylm_multialpaca_13b", "xpeo"),
    }
    # A copied demonstration looks like lost knowledge.
    cell = robust.cells.filter(model="LeoLM_leo_hessianai_13b", dataset="xpeo", lang="en")
    assert cell["demo_letter_share"].item() == pytest.approx(140 / 180)
    copied = trust(cell)
    assert not copied["usable"].item()
    assert "demonstration" in copied["reason"].item()


def test_clipping_and_parsing(first_char, robust, answered):
    paper = first_char.cells
    assert (paper["ra_paper"] == 0).sum() == 102
    assert (paper["ra_paper"] > 1).sum() == 7
    others = paper.filter(pl.col("lang") != "en", model="bloom_7b1", dataset="xcopa")
    assert others["ra_paper"].mean() == pytest.approx(0.012, abs=5e-4)
    assert others["ra"].mean() == pytest.approx(-0.113, abs=5e-4)
    gap = (paper["acc"] - robust.cells["acc"]).abs()
    assert (gap >= 1).sum() == 8
    assert gap.mean() == pytest.approx(0.112, abs=5e-4)

    audit = parse_audit(answered.parsed, answered.outputs.items)
    assert audit["warning"].count() == 8
    totals = audit.select(pl.sum(*STATUSES)).row(0, named=True)
    assert sum(totals.values()) == 432_400
    unread = answered.parsed["robust"].null_count()
    assert unread == 1628
    heads = answered.parsed.join(answered.outputs.items, on=["dataset", "item"])
    letter = pl.col("head").is_in(list("ABCDE"))
    assert heads.filter(~letter).height == 2410
    assert heads.filter(letter & pl.col("first_char").is_null()).height == 41


def test_a_cluster_is_a_person(robust):
    layout = robust.layouts["xpeo"]
    assert layout.cluster_I.max() + 1 == 90
    assert (layout.cluster_I[:90] == layout.cluster_I[90:]).all()
