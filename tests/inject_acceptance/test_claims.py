"""The acceptance experiment of `inject`: verdicts, and claims on logs whose causes are known."""

import numpy as np
import polars as pl
import pytest
from acceptance.inject.claims import Claim, Part, claims
from acceptance.inject.design import ARMS
from acceptance.inject.diagnosis import fading_lines, level
from acceptance.inject.page import claim_lines
from acceptance.inject.readout import Found, joint, text
from acceptance.inject.world import AWAY, HOME

from polylore.corpus.injection import latin_square, make_schedule
from polylore.metrics.injection.evidence import MEM
from polylore.metrics.injection.number import CONTRADICTED, SHOWN, UNDETERMINED, Number
from polylore.tables.inject import LOG, PASSAGES

ITEMS = [f"i{n:02d}" for n in range(24)]
CONTROLS = [f"n{n:02d}" for n in range(20)]
DEPTHS = {"memorization": 1.0, "semantic": 0.6, "compositional": 0.3}
LAST = 376


def test_a_claim_is_shown_if_all_its_parts_are():
    assert joint([SHOWN, SHOWN]) == SHOWN
    assert joint([SHOWN, UNDETERMINED]) == UNDETERMINED
    assert joint([UNDETERMINED, CONTRADICTED]) == CONTRADICTED


def number(value, low, high, runs):
    return Number(np.array([value, *np.linspace(low, high, 100)]), np.array(runs), 20)


def test_the_page_says_why_a_claim_is_not_shown():
    fine = Part.positive("duplication", number(1.0, 0.5, 1.5, [1.0, 0.8, 1.2]))
    turned = Part.positive("paraphrase", number(0.5, 0.1, 0.9, [0.6, -0.1, 0.9]))
    wide = Part.positive("once", number(0.2, -0.4, 0.9, [0.1, 0.2, 0.3]))
    drawn = number(0.1, 0.02, 0.3, [0.1, 0.1])
    noisy = Part("never, within ±0.05", drawn, UNDETERMINED, about_zero=True)
    few = Part.positive("few", Number(np.ones(101), np.ones(3), 2))
    assert fine.why == ""
    assert (
        "lies above zero; signs of the runs + - +, of which run 2 is not as predicted" in turned.why
    )
    assert wide.why.endswith("holds zero; signs of the runs + + +")
    assert noisy.why.endswith("does not lie within those bounds")
    assert few.why == "there is no interval (few_items)"
    shown = Claim("A1", "what is shown", True, (fine,))
    lost = Claim("A2", "what is not", True, (fine, turned, wide))
    reported = Claim("B1", "what nobody requires", False, (wide,))
    lines = claim_lines([shown, lost, reported])
    (line,) = [line for line in lines if line.startswith("- ")]
    assert line.startswith("- A2 is undetermined, since 2 of its 3 numbers did not come out")
    assert turned.why in line
    assert wide.why in line
    assert not any(line.startswith("Required") for line in claim_lines([shown, reported]))


def passages():
    rows = [
        {
            "passage_id": f"{item}/{lang}/{variant}",
            "item_id": item,
            "lang": lang,
            "variant": variant,
            "kind": "paraphrase" if variant else "original",
            "text": "text",
            "probes_covered": [],
        }
        for item in ITEMS
        for lang in (HOME, AWAY)
        for variant in range(6)
    ]
    return PASSAGES.build(rows)


def kernel(lags, fades):
    risen = np.where(lags > 0, 1 - 0.7 ** np.clip(lags, 0, 8), 0)
    return risen * (1 - fades * np.log10(np.maximum(lags - 8, 1)))


def simulate(seed, gain):
    """A log in which `gain` is what a first exposure gives, and its exposures."""
    rng = np.random.default_rng(seed)
    names = [arm.name for arm in ARMS if arm.n]
    conditions = [(name, lang) for name in names for lang in (HOME, AWAY)]
    arms = latin_square(ITEMS, conditions, seed, controls=CONTROLS)
    schedule = make_schedule(
        arms.filter(pl.col("arm") != "never"), passages(), ARMS, first=8, stagger=False
    )
    times = dict(schedule.group_by("item_id").agg("step").iter_rows())
    t = np.arange(0, LAST + 1, 8)
    frames = []
    for item, arm, told in arms.select("item_id", "arm", "inject_lang").iter_rows():
        for depth, strength in DEPTHS.items():
            if arm == "paraphrase" and depth == "semantic":
                strength = 0.95
            for asked in (HOME, AWAY):
                y = -6 + rng.normal(0, 0.1, len(t))
                swapped = -6 + rng.normal(0, 0.1, len(t))
                for n, step in enumerate(sorted(times.get(item, []))):
                    size = gain * strength * (1.0 if told == asked else 0.4)
                    y += size * (1 if n == 0 else 0.5) * kernel(t - step, 0.2)
                frames.append(
                    pl.DataFrame(
                        {
                            "run_id": f"main seed {seed}",
                            "seed": seed,
                            "t": t,
                            "probe_id": f"{item}/{depth}/{asked}",
                            "item_id": item,
                            "fact_id": f"{item}/r0",
                            "arm": arm,
                            "inject_lang": told,
                            "probe_lang": asked,
                            "depth": depth,
                            "sum_logprob": y,
                            "mean_logprob": y,
                            "n_target_bytes": 6,
                            "swap_mean_logprob": np.where(t % 16 == 0, swapped, np.nan),
                            "flags": [[]] * len(t),
                        }
                    ).with_columns(pl.col("swap_mean_logprob").fill_nan(None))
                )
    log = pl.concat(frames)
    there = set(log.columns)
    lost = [pl.lit(None, c.dtype).alias(c.name) for c in LOG.columns if c.name not in there]
    log = log.with_columns(lost).select(pl.col(c.name).cast(c.dtype) for c in LOG.columns)
    exposures = schedule.select("item_id", "exposure", "step")
    return LOG.validate(log), exposures.with_columns(run_id=pl.lit(f"main seed {seed}"))


def readout(gain):
    logs, exposures = zip(*(simulate(seed, gain) for seed in range(2)), strict=True)
    return Found.of(pl.concat(logs), pl.concat(exposures), resamples=100)


@pytest.fixture(scope="module")
def planted():
    return readout(1.0)


def test_planted_effects_are_shown(planted):
    found = {claim.id: claim for claim in claims(planted)}
    for name in ("A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8"):
        assert found[name].verdict == SHOWN, (
            name,
            [(p.label, text(p.number)) for p in found[name].parts],
        )
    assert found["B3"].verdict == SHOWN
    # One kernel serves both languages: what was transferred fades no faster.
    assert found["B1"].verdict != SHOWN
    first = found["A3"].parts[0].number
    # The first exposure gives 1, later ones half of it less what has faded meanwhile.
    assert first.value is not None
    assert 0.4 < first.value < 0.8


def test_the_page_says_from_where_gains_fade(planted):
    rows = [
        line for line in fading_lines(planted) if line.startswith(("| dup", "| para", "| once"))
    ]
    assert len(rows) == 6
    assert all(0 <= float(row.split("|")[3]) < 0.5 for row in rows)
    # From log-probabilities of -6 six exposures lead further up than one.
    assert level(planted, "duplication", MEM) > level(planted, "once", MEM) > np.exp(-6)


def test_nothing_is_shown_where_nothing_was_learned():
    found = {claim.id: claim for claim in claims(readout(0.0))}
    assert found["A1"].verdict == SHOWN
    for name in ("A2", "A3", "A4", "A5", "A6", "A7", "A8", "B1", "B2", "B3"):
        assert found[name].verdict != SHOWN
