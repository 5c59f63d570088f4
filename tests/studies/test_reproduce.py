"""Every published number, recomputed by the study (specification of `trace`, 9.1 to 9.4)."""

import json

import pytest

from polylore.errors import DataError
from polylore.studies.reproduce import reproduce_trace


@pytest.fixture(scope="module")
def made(published, tmp_path_factory):
    out = tmp_path_factory.mktemp("reproduce") / "trace.json"
    klar = published / "klar"
    result = reproduce_trace(klar, klar / "wimbd_frequencies.json", out)
    written = json.loads(out.read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(result))
    return written


def compare(expected, found, where=""):
    """Every number of the golden file: counts exactly, proportions to 1e-6."""
    if isinstance(expected, dict):
        return sum(compare(value, found[key], f"{where}/{key}") for key, value in expected.items())
    if isinstance(expected, list):
        assert len(expected) == len(found), where
        return sum(
            compare(a, b, f"{where}[{i}]")
            for i, (a, b) in enumerate(zip(expected, found, strict=True))
        )
    if isinstance(expected, float):
        assert found == pytest.approx(expected, abs=1e-6), where
    else:
        assert found == expected, where
    return 1


def test_every_golden_number(made, published):
    golden = json.loads((published / "klar" / "golden.json").read_text(encoding="utf-8"))
    assert compare(golden, made) > 400
    assert list(made["reference_stats"]["wimbd"]) == golden["reference_stats"]["langs"]


def test_data_report(made):
    rows = {r["lang"]: r for r in made["extra"]["data_report"] if r["relation"] == "all"}
    assert len(rows) == 12
    columns = ("same_object", "same_object_cf", "same_pair", "same_pair_cf", "answer_in_subject")
    table = {
        "en": (1197, 1197, 1197, 1197, 75, 7, 0, 0.334169),
        "fr": (341, 415, 196, 213, 89, 5, 3, 0.335004),
        "ar": (0, 0, 0, 0, 87, 18, 41, 0.551378),
        "zh": (1, 1, 1, 1, 54, 8, 3, 0.301587),
        "ru": (17, 17, 13, 13, 45, 8, 407, 0.360067),
        "ja": (1, 1, 0, 0, 60, 8, 89, 0.319967),
        "ko": (1, 1, 1, 1, 71, 8, 18, 0.304929),
    }
    for lang, expected in table.items():
        row = rows[lang]
        found = [row[c] for c in (*columns, "prefix_conflicts", "object_bytes_over_20")]
        assert tuple(found) == expected[:-1]
        assert row["one_char_baseline"] == pytest.approx(expected[-1], abs=1e-6)
        assert row["majority_share"] == pytest.approx(0.296575, abs=1e-6)
        assert row["copy_demo"] == pytest.approx(0.167609, abs=1e-6)
        assert row["demo_leak_probability"] == pytest.approx(0.352190, abs=1e-6)
        assert (row["multi_gold"], row["distinct_objects"]) == (37, 414)
        assert row["duplicate_triples"] == (6 if lang in ("fr", "ru") else 5)


def test_frequency_tables(made):
    extra = made["extra"]["frequencies"]
    found = extra["languages"]
    langs = ("en", "fr", "ar", "zh", "ru", "ja", "ko")
    assert [found[k]["below_10"] for k in langs] == [9, 228, 1049, 922, 931, 1006, 1109]
    assert [found[k]["at_least_1000"] for k in langs] == [1104, 439, 4, 14, 37, 6, 1]
    low = [found[k]["below_10_with_english_at_least_1000"] for k in langs[1:]]
    assert low == [175, 958, 829, 848, 915, 1016]
    assert (found["fr"]["equal_to_english"], found["fr"]["above_english"]) == (213, 44)
    assert (found["fr"]["median"], found["fr"]["median_without_same_pair"]) == (274, 134)
    assert extra["pooled"] == {
        "n": 14364,
        "zeros": 6518,
        "positive": 7846,
        "sum": 970_247_979,
        "max": 59_735_284,
    }
    assert (extra["distinct_pairs"], extra["distinct_strings"]) == (13_255, 12_683)
    assert extra["equal_pairs_with_other_counts"] == 0
    assert extra["english_zero_objects"] == ["Airbus basic"] * 4


def test_pseudo_label_tables(made):
    extra = made["extra"]["pseudo_labels"]
    assert extra["fold_sizes"] == [243, 241, 239, 238, 236]
    korean = extra["languages"]["ko"]
    assert (korean["right"], korean["cv_hits"], korean["cv_majority_hits"]) == (46, 1149, 1151)
    assert korean["fold_thresholds"] == [88124, "inf", 88124, 88124, 262]
    assert korean["youden_t"] == 4
    french = extra["languages"]["fr"]
    assert (french["j0"], french["j_norm"]) == pytest.approx((0.440317, 0.103528), abs=1e-6)
    assert french["p_lang_given_en"] == pytest.approx(0.478887, abs=1e-6)
    assert french["p_en_given_lang"] == pytest.approx(0.884752, abs=1e-6)
    pooled = extra["pooled"]
    assert pooled["right"] == 3061
    proportions = {
        "share_right": 0.213102,
        "pearson_log10_1p": 0.781242,
        "pearson_log10_1p_positive": 0.748484,
        "pearson_raw": 0.183151,
        "spearman": 0.660371,
        "auc": 0.943151,
        "binned_r": 0.935351,
    }
    assert {k: pooled[k] for k in proportions} == pytest.approx(proportions, abs=1e-6)
    assert (pooled["zero_bin"]["n"], pooled["zero_bin"]["right"]) == (6518, 112)
    means = {"paper": 0.222117, "without_pivot": 0.151400, "all_pairs": 0.123823}
    assert pooled["mean_jaccard"] == pytest.approx(means, abs=1e-6)
    assert pooled["logistic"]["intercept"] == pytest.approx(-4.0002, abs=1e-3)
    assert pooled["logistic"]["slope"] == pytest.approx(1.5014, abs=1e-3)


def test_pathways_of_labels_whose_truth_is_known(made):
    pathways = made["extra"]["pathways"]
    assert set(pathways) == {"quoted", "all"}
    quoted, every = pathways["quoted"], pathways["all"]
    assert len(quoted["null"]["rates"]) == 7  # six languages and all together
    assert len(every["null"]["rates"]) == 12
    assert quoted["null"]["curve"]["n"] == 1893
    assert quoted["null"]["rates"]["all"]["t"] == pytest.approx(0.0106, abs=5e-5)
    assert quoted["planted"]["rates"]["all"]["t"] == pytest.approx(0.2554, abs=5e-5)
    assert quoted["planted"]["composition"]["all"]["n_transfer"] == 1610
    for world in (quoted, every):
        assert not any(row["claimed"] for row in world["null"]["rates"].values())
        pooled = world["planted"]["rates"]["all"]
        assert pooled["t_lo"] < world["planted"]["true_rate"] < pooled["t_hi"]
        assert all(row["claimed"] for row in world["planted"]["rates"].values())


def test_english_is_needed(published, tmp_path):
    source = published / "klar" / "source"
    (tmp_path / "klar").mkdir()
    (tmp_path / "klar" / "fr").symlink_to(source / "fr")
    frequencies = published / "klar" / "wimbd_frequencies.json"
    with pytest.raises(DataError, match="English"):
        reproduce_trace(tmp_path / "klar", frequencies, tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()
