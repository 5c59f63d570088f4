"""Conductivity over training seeds and claims about it (`align`, 2.7 and claim P4)."""

import numpy as np
import polars as pl
import pytest

from polylore.metrics.align.carried import carried, equally_long, improved, poor
from polylore.metrics.align.claims import family, too_few_draws, verdicts
from polylore.tables.fiction import FICTION_ANSWERS, FICTION_FACTS

NAMES = {"qaa": ("Bidlor", "Kafmen", "Rostuv"), "qab": ("Zepgal", "Nimdor", "Vasket")}
FACTS = 60


def facts() -> pl.DataFrame:
    return FICTION_FACTS.build(
        [
            {"fact_id": f"r:{i:03}", "relation": "r", "item": i, "lang": lang,
             "subject": f"{lang}{i}", "object": NAMES[lang][i % 3], "answer": i % 3, "type": 1}
            for lang in NAMES for i in range(FACTS)
        ]
    )  # fmt: skip


def answers(arm: str, seed: int, known: float, step: int = 10) -> pl.DataFrame:
    """All right in the source; in the target the first share of facts, the others one off."""
    rows = []
    for lang in NAMES:
        for i in range(FACTS):
            right = lang == "qaa" or i < known * FACTS
            rows.append(
                {"run_id": f"{arm}/{seed}", "arm": arm, "seed": seed, "step": step,
                 "source": "qaa", "target": "qab", "design": "pair", "probe": "fact",
                 "lang": lang, "fact_id": f"r:{i:03}",
                 "raw_output": NAMES[lang][(i + (not right)) % 3]}
            )  # fmt: skip
    return FICTION_ANSWERS.build(rows)


def valid() -> pl.DataFrame:
    ids = facts().filter(lang="qab").select("fact_id")
    return ids.with_columns(source=pl.lit("qaa"), target=pl.lit("qab"))


def measured(*parts: pl.DataFrame, draws: int = 400):
    return {c.arm: c for c in carried(pl.concat(parts), facts(), valid(), draws=draws, seed=0)}


def test_seeds_are_drawn_first() -> None:
    apart = measured(answers("a", 0, 0.1), answers("a", 1, 0.5))["a"]
    alike = measured(answers("a", 0, 0.3), answers("a", 1, 0.3))["a"]
    wide, narrow = (family(poor(one, [0.0], 0)).row(0, named=True) for one in (apart, alike))
    assert wide["delta"] == pytest.approx(narrow["delta"], abs=0.02)
    assert wide["hi"] - wide["lo"] > 1.5 * (narrow["hi"] - narrow["lo"])


def test_poor_conduction_is_confirmed_and_a_full_one_contradicts_it() -> None:
    found = measured(answers("low", 0, 0.05), answers("low", 1, 0.1), answers("all", 0, 1.0))
    claims = family([r for c in found.values() for r in poor(c, [0.05, 0.0], 0)])
    said = {(row["arm"], row["m"]): row for row in claims.iter_rows(named=True)}
    assert said["low", 0.05]["verdict"] == "confirmed"
    assert said["all", 0.05]["verdict"] == "contradicted"
    assert said["all", 0.05]["delta"] == pytest.approx(0.5)
    assert said["low", 0.0]["p_holm"] <= 2 / 401


def test_a_difference_keeps_its_pairing() -> None:
    found = measured(*(answers(arm, s, k) for arm, k in (("a", 0.6), ("b", 0.3)) for s in (0, 1)))
    row = family(improved(found["a"], found["b"], [0.0], 0, siblings=True)).row(0, named=True)
    assert row["verdict"] == "confirmed"
    assert 0.25 < row["delta"] < 0.6
    same = family(improved(found["a"], found["a"], [0.05], 0, siblings=True)).row(0, named=True)
    # Equal in every draw is no proof of equality.
    assert (same["lo"], same["hi"], same["verdict"]) == (0, 0, "open")
    assert (same["reason"], same["p_holm"]) == ("no variation", None)
    assert improved(found["a"], measured(answers("c", 7, 0.5))["c"], [0.0], 0, siblings=True) == []


def test_arms_are_also_compared_at_equal_updates() -> None:
    rows = pl.concat([answers("a", 0, 0.2, 5), answers("a", 0, 0.9, 10), answers("b", 0, 0.2, 5)])
    kept = equally_long(rows, "a", "b")
    assert kept["step"].unique().to_list() == [5]
    assert set(kept["arm"]) == {"a", "b"}
    found = {c.arm: c for c in carried(kept, facts(), valid(), draws=10, seed=0)}
    assert found["a"].by_seed[0][0] == found["b"].by_seed[0][0]


def gates(arm: str, **by_seed: bool | None) -> pl.DataFrame:
    rows = [
        {"arm": arm, "source": "qaa", "target": "qab", "seed": int(name[1:]), "gate_pass": value}
        for name, value in by_seed.items()
    ]
    return pl.DataFrame(rows, schema_overrides={"gate_pass": pl.Boolean()})


@pytest.mark.parametrize("second", [False, None])
def test_claims_rest_on_runs_that_passed_their_gate(second: bool | None) -> None:
    rows = pl.concat([answers("a", 0, 0.1), answers("a", 1, 0.1)])
    for value, expected in ((True, "confirmed"), (second, "open")):
        (one,) = carried(
            rows, facts(), valid(), draws=50, seed=0, gates=gates("a", s0=True, s1=value)
        )
        row = family(poor(one, [0.05], 0)).row(0, named=True)
        assert row["verdict"] == expected
    assert row["reason"] == "gate not passed: a seed 1"
    assert [row[name] for name in ("delta", "lo", "hi", "p_holm")] == [None] * 4


def knowing(arm: str, n: int) -> pl.DataFrame:
    """Only the first n facts are known in the source."""
    right = pl.col("fact_id").is_in([f"r:{i:03}" for i in range(n)])
    rows = answers(arm, 0, 0.0)
    return rows.with_columns(
        raw_output=pl.when(right | (pl.col("lang") == "qab")).then("raw_output").otherwise(
            pl.lit("nobody"))
    )  # fmt: skip


def test_draws_without_a_value_are_counted_and_many_leave_no_interval() -> None:
    few, some, none = (family(poor(measured(knowing("a", n))["a"], [0.0], 0)) for n in (1, 4, 0))
    row = few.row(0, named=True)  # a draw misses the only known fact in one case of e
    assert 0.25 * 400 < row["lost"] < 0.5 * 400
    assert row["reason"] == f"{row['lost']} of 400 draws have no value"
    assert (row["lo"], row["hi"], row["p_holm"], row["verdict"]) == (None, None, None, "open")
    row = some.row(0, named=True)
    assert 0 < row["lost"] < 20
    assert row["reason"] is None
    assert row["hi"] is not None
    assert none["reason"][0] == "nothing is known in the source: seed 0"


def test_what_is_not_judged_makes_no_other_claim_stricter() -> None:
    judged = poor(measured(answers("a", 0, 0.3))["a"], [0.0], 0)
    lost = poor(measured(knowing("b", 0))["b"], [0.0], 0)
    alone, both = family(judged), family([*judged, *lost])
    assert alone["p_holm"][0] == both["p_holm"][0]


def judged(arm: str, level: str, wrong: int, draws: int = 99) -> list[dict[str, object]]:
    """A claim of which so many draws are on the wrong side."""
    drawn = np.linspace(0.1, 0.2, draws) * np.where(np.arange(draws) < wrong, -1, 1)
    about = {"claim": "c", "arm": arm, "minus": "none", "level": level, "group": "g",
             "siblings": True}  # fmt: skip
    return verdicts(about, 0.1, drawn, [0.0], up=True)


def test_what_is_the_same_at_equal_updates_is_one_test() -> None:
    rows = [*judged("a", "conductivity", 0), *judged("b", "conductivity", 9)]
    again = judged("a", "conductivity at equal updates", 0)
    twice = family([*rows, *again])
    assert twice["p_holm"].to_list() == [0.02, 0.1, 0.02]
    other = judged("a", "conductivity at equal updates", 2)
    assert family([*rows, *other])["p_holm"].to_list() == pytest.approx([0.03, 0.1, 0.06])


def test_a_confirmed_claim_that_does_not_outlive_holm_is_noted() -> None:
    many = [row for n in range(6) for row in judged(f"a{n}", "conductivity", 0)]
    few, all_of_them = family(many[:5]), family(many)
    assert set(few["verdict"]) == set(all_of_them["verdict"]) == {"confirmed"}
    assert few["note"].null_count() == 5
    assert set(all_of_them["note"]) == {"not after Holm"}
    assert too_few_draws(few, 99) is None
    said = too_few_draws(all_of_them, 99)
    assert said is not None
    assert "99 draws are too few for 6 claims" in said
    assert "at least 119" in said


def test_a_difference_that_every_draw_shows_beyond_the_margin_is_judged() -> None:
    about = {"claim": "c", "arm": "a", "minus": "b", "level": "facts", "group": "pivot",
             "siblings": True}  # fmt: skip
    found = {
        value: family(verdicts(about, value, np.full(50, value), [0.05], up=True)).row(
            0, named=True
        )
        for value in (0.0, 0.04, 1.0, -1.0)
    }
    assert {value: row["verdict"] for value, row in found.items()} == {
        0.0: "open", 0.04: "open", 1.0: "confirmed", -1.0: "contradicted",
    }  # fmt: skip
    assert found[0.04]["reason"] == "no variation"
