"""Transfer matrices: ratios of paired gains, null where nothing can be divided by."""

import polars as pl
import pytest

from polylore.errors import DataError
from polylore.metrics.injection import transfer

GAIN = {("en", "en"): 0.6, ("en", "de"): 0.2, ("de", "en"): 0.15, ("de", "de"): 0.5}
A = {("en", "en"): 0.1, ("en", "de"): 0.2, ("de", "en"): 0.2, ("de", "de"): 0.1}


def made(world, **options):
    w = world({"duplication": [8, 108]}, gain=GAIN, a=A, states=260, noise=0.01, n=15)
    return transfer(w.log(), w.exposures(), resamples=60, **options)


def test_matrices(world):
    factors = pl.DataFrame(
        {"inject_lang": ["en", "de"], "probe_lang": ["de", "en"], "same_script": [True, True]}
    )
    table = made(world, factors=factors)
    found = {
        (r["inject_lang"], r["probe_lang"], r["quantity"]): r for r in table.iter_rows(named=True)
    }
    for (a, b), gain in GAIN.items():
        row = found[a, b, "effectivity"]
        assert row["value"] == pytest.approx(gain, rel=0.25)
        assert row["lo"] < row["value"] < row["hi"]
        # Three tokens of ten or thirty bytes.
        per_byte = found[a, b, "effectivity_per_byte"]["value"]
        assert per_byte == pytest.approx(row["value"] * 3 / (10 if b == "en" else 30), rel=1e-6)
        assert found[a, b, "a_kernel"]["value"] == pytest.approx(A[a, b], abs=0.03)
        assert found[a, b, "fact_specific_gain"]["value"] == pytest.approx(row["value"])
        assert 0 < found[a, b, "retention_100"]["value"] < 1
        assert 1 < found[a, b, "kappa"]["value"] < 2.1
        assert ((a, b, "source_normalised") in found) == (a != b)
    across = found["en", "de", "source_normalised"]
    value = found["en", "de", "effectivity"]["value"] / found["en", "en", "effectivity"]["value"]
    assert across["value"] == pytest.approx(value)
    assert across["lo"] < across["value"] < across["hi"]
    target = found["en", "de", "target_normalised"]["value"]
    direct = found["de", "de", "effectivity"]["value"]
    assert target == pytest.approx(found["en", "de", "effectivity"]["value"] / direct)
    assert found["en", "de", "retention_transfer"]["lo"] > 0
    assert found["en", "de", "kappa"]["same_script"] is True
    assert found["en", "en", "kappa"]["same_script"] is None


def test_ratios_need_a_positive_denominator(world):
    gain = {("en", "en"): 0.0, ("en", "de"): 0.2}
    w = world({"once": [8]}, gain=gain, a=A, states=120, noise=0.05, n=12)
    table = transfer(w.log(), w.exposures(), resamples=40)
    rows = table.filter(probe_lang="de").rows_by_key("quantity", named=True, unique=True)
    assert rows["source_normalised"]["value"] is None
    assert rows["source_normalised"]["reason_null"] == "denominator_not_positive"
    assert rows["target_normalised"]["reason_null"] == "no_diagonal"


def test_every_language_needs_controls(world):
    w = world({"once": [8]}, gain=GAIN, a=A, states=80)
    log = w.log().filter((pl.col("arm") != "never") | (pl.col("probe_lang") == "en"))
    with pytest.raises(DataError, match="probed in de"):
        transfer(log, w.exposures(), resamples=10)
