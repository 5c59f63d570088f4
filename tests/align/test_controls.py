"""Answers whose truth is known (specification of `align`, sections 5 and 9.7)."""

import numpy as np
import polars as pl
import pytest

from polylore.errors import ConfigError, DataError
from polylore.metrics.align.analysis import Rules, align_tables
from polylore.metrics.align.consistency import consistency
from polylore.metrics.align.layout import layouts
from polylore.metrics.align.parsed import parse_answers
from polylore.tables.align import ANSWERS, ITEMS, OPTION_SCORES

QUICK = Rules(parsers=("robust",), draws=100)
BASE = {"model": "m", "mode": "generate", "variant": "v", "dataset": "s"}


def make_items(gold: np.ndarray, k: int) -> pl.DataFrame:
    n = len(gold)
    return ITEMS.validate(
        pl.DataFrame({"item": range(n), "gold_index": gold}).with_columns(
            dataset=pl.lit("s"),
            fact_id=pl.format("s:{}", "item"),
            cluster=pl.col("item").cast(pl.String),
            n_options=pl.lit(k),
        )
    )


def make_answers(choices: dict[str, np.ndarray], **columns) -> pl.DataFrame:
    """Letters by language."""
    frames = [
        pl.DataFrame({"item": range(len(values)), "lang": lang,
                      "raw_output": ["ABCDE"[v] for v in values]})
        for lang, values in choices.items()
    ]  # fmt: skip
    constants = {name: pl.lit(value) for name, value in (BASE | columns).items()}
    return ANSWERS.validate(pl.concat(frames).with_columns(**constants))


def pair(choices: dict[str, np.ndarray], gold: np.ndarray, k: int) -> dict:
    rules = Rules(parsers=("robust",), draws=20)
    made = align_tables(make_answers(choices), make_items(gold, k), rules=rules)
    return made["align_consistency"].row(0, named=True)


def guesses(seed: int, n: int, k: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(k, size=n)


def test_one_letter_in_both_languages():
    gold = guesses(0, 400, 4)
    constant = np.zeros(400, dtype=int)
    found = pair({"en": constant, "de": constant}, gold, 4)
    assert (found["co_iou"], found["co_pos"], found["excess"]) == (1, 1, 0)
    assert found["co_norm"] is None
    assert found["co_norm_lo"] is None
    assert not found["interpretable"]
    assert found["reason"] == "one letter dominates in en and de"


def test_a_copy_of_the_pivot():
    gold = guesses(0, 1000, 4)
    right = np.random.default_rng(1).random(1000) < 0.6
    answers = np.where(right, gold, (gold + 1) % 4)
    found = pair({"en": answers, "de": answers}, gold, 4)
    assert (found["co_iou"], found["co_norm"], found["phi"]) == (1, 1, pytest.approx(1))
    assert found["same_wrong"] == 1
    assert found["interpretable"]


def test_two_guessers():
    n = 20_000
    gold = guesses(0, n, 4)
    found = pair({"en": guesses(1, n, 4), "de": guesses(2, n, 4)}, gold, 4)
    assert abs(found["excess"]) < 0.01
    assert abs(found["k_both"]) < 0.01
    assert not found["k_impossible"]
    assert found["same_wrong"] == pytest.approx(1 / 3, abs=0.02)
    assert found["same_wrong_null"] == pytest.approx(1 / 3, abs=0.02)
    assert not found["interpretable"]


def test_what_is_known_in_both():
    n, k = 50_000, 4
    generator = np.random.default_rng(3)
    gold = generator.integers(k, size=n)
    state = generator.choice(4, size=n, p=(0.3, 0.2, 0.1, 0.4))  # both, pivot, language, neither
    p = np.where(np.isin(state, (0, 1)), gold, generator.integers(k, size=n))
    q = np.where(np.isin(state, (0, 2)), gold, generator.integers(k, size=n))
    found = pair({"en": p, "de": q}, gold, k)
    assert found["k_both"] == pytest.approx(0.3, abs=0.01)
    assert abs(found["co_given_p"] - 0.3 / 0.5) > 0.03
    assert found["interpretable"]


def slots(first: float, rotations: int, langs=("en", "de"), n: int = 200, k: int = 4):
    """Scores of options by a model that prefers the first slot so much, and what it knows less."""
    gold = guesses(0, n, k)
    rows = [
        BASE | {"mode": "letter_ll", "item": i, "lang": lang, "rotation": r, "option_index": option,
                "logp": first * ((option - r) % k == 0) + (option == gold[i]) - 3.0}
        for lang in langs for i in range(n) for r in range(rotations) for option in range(k)
    ]  # fmt: skip
    scores = OPTION_SCORES.build(rows)
    best = scores.sort("logp", descending=True).unique(
        [*BASE, "item", "lang", "rotation"], keep="first", maintain_order=True
    )
    answers = ANSWERS.validate(
        best.select("model", "mode", "variant", "dataset", "item", "lang", "rotation",
                    answer_index="option_index")
    )  # fmt: skip
    return answers, make_items(gold, k), scores, gold


def test_a_model_that_only_sees_the_first_slot():
    answers, items, scores, _ = slots(100.0, 4)
    scores = scores.with_columns(logp=pl.when(pl.col("logp") > 50).then(0.0).otherwise(-9.0))
    made = align_tables(answers, items, option_scores=scores, rules=QUICK)
    cell = made["align_cells"].row(0, named=True)
    assert cell["parser"] == "scores"
    assert cell["position_sensitivity"] == 1
    assert cell["acc"] == pytest.approx(25, abs=8)
    found = made["align_consistency"].row(0, named=True)
    assert (found["co_crossrot"], found["pos_inflation"]) == (0, 1)
    letters = made["align_letters"].filter(lang="de")
    assert letters.select("letter", "n", "gold").rows() == [
        ("A", 800, 200), ("B", 0, 200), ("C", 0, 200), ("D", 0, 200)]  # fmt: skip


def test_letters_of_written_answers():
    gold = np.array([0, 0, 1, 2])
    texts = ["A", " A. Paris", "I do not know", ""]
    answers = ANSWERS.validate(
        pl.DataFrame({"item": range(4), "raw_output": texts}).with_columns(
            lang=pl.lit("en"), **{name: pl.lit(value) for name, value in BASE.items()}
        )
    )
    made = align_tables(answers, make_items(gold, 4), rules=QUICK)["align_letters"]
    assert made.select("letter", "n", "gold", "total").rows() == [
        ("A", 2, 2, 4), ("B", 0, 1, 4), ("C", 0, 1, 4), ("F", 1, 0, 4), ("I", 1, 0, 4)]  # fmt: skip


def test_averaging_takes_the_order_away():
    answers, items, scores, _ = slots(0.9, 4)
    made = align_tables(answers, items, option_scores=scores, rules=QUICK)
    assert made["align_cells"]["acc"].to_list() == [100, 100]
    found = made["align_consistency"].row(0, named=True)
    assert found["rankc"] == pytest.approx(1)
    weights = np.exp([4, 3, 2, 1])
    null = (weights / weights.sum() * np.arange(1, 5) / 4).sum()
    assert found["rankc_null"] == pytest.approx(null)
    assert (found["co_crossrot"], found["pos_inflation"]) == (1, 0)


def test_source_by_target():
    n, k = 300, 4
    gold = guesses(0, n, k)
    choices = {lang: np.where(guesses(s, n, 2) == 1, gold, guesses(s + 9, n, k))
               for s, lang in enumerate(("en", "de", "fr"))}  # fmt: skip
    rules = Rules(parsers=("robust",), pairs="all", draws=0)
    table = align_tables(make_answers(choices), make_items(gold, k), rules=rules)
    pairs = table["align_consistency"]
    assert pairs.height == 6
    one, other = (pairs.filter(pivot=a, lang=b) for a, b in (("de", "fr"), ("fr", "de")))
    assert one["co_iou"].item() == other["co_iou"].item()
    assert one["co_given_p"].item() == other["co_given_l"].item()
    assert one["co_iou_lo"].item() is None


def test_exposure_classes():
    n, k = 120, 4
    gold = guesses(0, n, k)
    items = make_items(gold, k)
    answers = make_answers({"en": gold, "de": np.where(np.arange(n) < 60, gold, (gold + 1) % k)})
    (layout,) = layouts(parse_answers(answers, items), items, "robust")
    seen = pl.DataFrame(
        {
            "item": [*range(n), *range(90)],
            "lang": ["en"] * n + ["de"] * 90,  # of 30 facts it is not known in German
            "seen": [True] * n + [i < 60 for i in range(90)],
        }
    )
    table = consistency(layout, exposure=seen)
    rows = {r["exposure_class"]: (r["n"], r["both"]) for r in table.iter_rows(named=True)}
    assert rows == {"all": (120, 60), "both": (60, 60), "pivot_only": (30, 0)}


def test_a_language_that_lacks_items():
    gold = guesses(0, 100, 4)
    answers = pl.concat(
        [make_answers({"en": gold}), make_answers({"de": gold}).filter(pl.col("item") < 40)]
    )
    made = align_tables(answers, make_items(gold, 4), rules=QUICK)
    assert made["align_consistency"]["n"].to_list() == [40]
    assert made["align_cells"]["n"].to_list() == [100, 40]


@pytest.mark.parametrize(
    ("reference", "error", "message"),
    [
        ("human:20", DataError, "does not exceed chance"),
        ("human:many", ConfigError, "must give a percentage"),
        ("best", ConfigError, "is no reference"),
        ("model:x:en", DataError, "stands for 0 cells"),
        ("own_pivot", DataError, "does not exceed chance"),
    ],
)
def test_references_that_cannot_be(reference, error, message):
    gold = guesses(0, 100, 4)
    answers = make_answers({"en": (gold + 1) % 4, "de": gold})
    with pytest.raises(error, match=message):
        align_tables(answers, make_items(gold, 4), rules=Rules(reference=reference, draws=10))


def test_references_that_can_be():
    gold = guesses(0, 400, 4)
    half = np.where(np.arange(400) % 2 == 0, gold, (gold + 1) % 4)
    answers = make_answers({"en": gold, "de": half})
    for reference, expected in (
        ("own_pivot", 1 / 3),
        ("model:m:en", 1 / 3),
        ("human:62.5", 2 / 3),
        ("constants", None),
    ):
        rules = Rules(reference=reference, draws=50, parsers=("robust",))
        cells = align_tables(answers, make_items(gold, 4), rules=rules)["align_cells"]
        row = cells.filter(lang="de").row(0, named=True)
        assert row["ra"] == (None if expected is None else pytest.approx(expected))
        if expected is not None:
            assert row["ra_lo"] < expected < row["ra_hi"]


def test_the_same_rows_give_the_same_bytes():
    gold = guesses(0, 100, 4)
    answers, items = make_answers({"en": gold, "de": guesses(1, 100, 4)}), make_items(gold, 4)
    one, two = (align_tables(answers, items, rules=QUICK) for _ in range(2))
    assert one.keys() == two.keys()
    assert all(one[name].equals(two[name]) for name in one)
