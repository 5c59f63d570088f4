"""Schedules and gaps (specification of `trace`, sections 4.1 and 9.5, T14)."""

from typing import Any

import pytest

from polylore.errors import ConfigError, ModelError
from polylore.models.gaps import find_gaps, pythia_grid, regular_gaps
from polylore.models.schedule import choose, log_spaced, position_of
from polylore.models.series import add_stages
from polylore.tables.derived import GAPS

PYTHIA = "EleutherAI/pythia-70m"


def rows(steps: list[int | None], family: str = "plain", repo: str | None = None) -> list[Any]:
    return [
        {
            "ckpt_id": "main" if step is None else f"step{step}",
            "family": family,
            "model": repo or "mine",
            "repo": repo,
            "stage": None,
            "ingredient": None,
            "step": step,
            "tokens": None if step is None else step * 100,
        }
        for step in steps
    ]


def test_pythia_grids() -> None:
    full = pythia_grid(PYTHIA)
    assert len(full) == 154
    assert full[:12] == [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000]
    assert full[-1] == 143_000
    assert pythia_grid(f"{PYTHIA}-deduped") == full
    v0 = pythia_grid("EleutherAI/pythia-1.4b-v0")
    assert v0 == list(range(1000, 144_000, 1000))
    assert len(v0) == 143
    assert pythia_grid("EleutherAI/pythia-1.4b-deduped-v0") == v0


def test_pythia_gaps_are_exact() -> None:
    grid = [step for step in pythia_grid(PYTHIA) if step not in (64, 20_000, 21_000)]
    found = find_gaps(rows([*grid, None], "pythia", PYTHIA), requested=[64, 20_500, 30_000])
    assert list(found.columns) == list(GAPS.schema)
    assert found["missing_steps"].to_list() == [[64], [20_000, 21_000]]
    assert found["n_missing"].to_list() == [1, 2]
    assert found.select("from_step", "to_step").rows() == [(32, 128), (19_000, 22_000)]
    assert found["longest_gap_tokens"].to_list() == [9600, 300_000]
    assert found["affected_requests"].to_list() == [[64], [20_500]]
    assert find_gaps(rows(pythia_grid(PYTHIA), "pythia", PYTHIA)).height == 0
    v0 = f"{PYTHIA}-v0"
    assert find_gaps(rows(pythia_grid(v0), "pythia", v0)).height == 0
    # Without its suffix the same series lacks the early steps, and the end has no other side.
    late = find_gaps(rows(list(range(1000, 143_000, 1000)), "pythia", PYTHIA))
    assert late["n_missing"].to_list() == [11, 1]
    assert late.select("from_step", "to_step").rows() == [(None, 1000), (142_000, None)]
    assert late["longest_gap_tokens"].to_list() == [None, None]


@pytest.mark.parametrize(
    ("steps", "missing"),
    [
        ([1000, 2000, 4000, 5000], [3000]),
        ([150, 600, 700, 850, 1000, 2000, 4000, 5000, 6000, 7000, 8000], [3000]),
        ([500, 1500, 2500, 4500, 5500], [3500]),
        ([0, 1, 2, 4, 8, 16, 32, 1000, 2000, 3000, 4000, 5000, 6000, 7000], []),
        ([1, 10, 100, 1000], []),
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1_000_000], []),
        ([1, 2, 3, 4, 5, 6, 10**6, 2 * 10**6], []),
        ([1000, 2000], []),
        ([5], []),
        ([], []),
        (
            [*range(1000, 118_000, 1000), *range(330_000, 400_000, 1000)],
            [*range(118_000, 330_000, 1000)],
        ),
    ],
)
def test_regular_gaps(steps: list[int], missing: list[int]) -> None:
    assert regular_gaps(steps) == missing


def test_gaps_of_branches_stand_apart() -> None:
    made = rows([1000, 2000, 4000, 5000, 1000, 2000, 3000])
    for row in made[:4]:
        row["stage"] = 1
    for row in made[4:]:
        row["stage"], row["ingredient"] = 2, 1
    found = find_gaps(made)
    assert found.select("stage", "ingredient", "from_step").rows() == [(1, None, 2000)]


def ids(choice: Any) -> list[str]:
    return [row["ckpt_id"] for row in choice.rows]


def test_all_and_lists() -> None:
    made = rows([0, 10, 20, None])
    assert ids(choose(made)) == ["step0", "step10", "step20", "main"]
    assert ids(choose(made, ["main", "10"])) == ["step10", "main"]
    assert ids(choose(made, 20)) == ids(choose(made, [20])) == ["step20"]
    assert ids(choose(made, ["every:10"])) == ids(choose(made, "every:10"))
    assert ids(choose(made, ["all"])) == ids(choose(made, "all"))
    assert ids(choose(made, "step0")) == ["step0"]
    choice = choose(made, [10, 15])
    assert (ids(choice), choice.requested, choice.missing) == (["step10"], [10, 15], [15])
    assert "requested_step" not in choice.rows[0]


def test_nearest_says_what_was_asked_and_used() -> None:
    made = rows([0, 10, 20, 100])
    choice = choose(made, [10, 14, 70, 90, 500], nearest=True)
    assert choice.missing == []
    stored = [(r["step"], r.get("requested_step"), r.get("used_step")) for r in choice.rows]
    assert stored == [(10, None, None), (100, 90, 100)]
    assert ids(choose(made, [15], nearest=True)) == ["step10"]


def test_every() -> None:
    made = rows([0, 1, 2, 500, 1000, 2000, 4000, None])
    choice = choose(made, "every:1000")
    assert ids(choice) == ["step0", "step1000", "step2000", "step4000"]
    assert choice.missing == [3000]
    assert choose(rows([500, 1000, 1500]), "every:1000").requested == [1000]


def test_log_spacing() -> None:
    grid = pythia_grid(PYTHIA)
    for n in (2, 5, 20, 60):
        picked = log_spaced(grid, n)
        assert picked == sorted(set(picked))
        assert len(picked) == n
        assert picked[0] == 0
        assert picked[-1] == 143_000
    assert log_spaced(grid, 6) == [0, 1, 16, 512, 7000, 143_000]
    assert log_spaced(grid, 500) == grid
    assert log_spaced([10, 20, 40, 80, 160], 3) == [10, 40, 160]
    assert log_spaced([0, 5, 6], 2) == [0, 6]
    assert ids(choose(rows([1, 2, 4, None]), "log:2")) == ["step1", "step4"]
    assert ids(choose(rows([None]), "log:5")) == ["main"]


def test_later_stages_count_on() -> None:
    made = rows([1000, 2000, 500])
    made[0]["stage"] = made[1]["stage"] = 1
    made[2] |= {"stage": 2, "ckpt_id": "stage2-step500"}
    for row in made:
        row["tokens_exact"] = True
    add_stages(made)
    assert [row["tokens"] for row in made] == [100_000, 200_000, 250_000]
    assert [row["step"] for row in made] == [1000, 2000, 500]
    assert position_of(made) == {"step1000": 1000, "step2000": 2000, "stage2-step500": 2500}
    assert ids(choose(made, "every:500")) == ["step1000", "step2000", "stage2-step500"]
    gaps = find_gaps([*made, *(made[2] | {"step": s, "total_step": 2000 + s} for s in (510, 530))])
    assert gaps.height == 0
    for row in made:
        row["family"], row["total_step"] = "phases", None
    add_stages(made)
    assert position_of(made)["stage2-step500"] == 500
    assert made[2]["tokens"] is None


def test_requests_within_a_gap_of_a_later_stage() -> None:
    made = rows([1000, 2000, 3000, 10, 20, 30, 50, 60])
    for number, row in enumerate(made):
        row |= {"stage": 1 + (number > 2), "tokens_exact": True}
    add_stages(made)
    found = find_gaps(made, requested=[40, 3040])
    assert found.select("stage", "missing_steps", "affected_requests").rows() == [(2, [40], [3040])]


@pytest.mark.parametrize("schedule", ["log:1", "every:0", "log:x", "often:3", [], [-5], [True], ""])
def test_bad_schedules(schedule: Any) -> None:
    with pytest.raises(ConfigError, match=r"no schedule|empty list"):
        choose(rows([1, 2, 3]), schedule)


def test_unknown_names_and_steps() -> None:
    made = rows([1000, 2000, 3000])
    with pytest.raises(ModelError, match="'step3900'; the closest names are step3000, step2000"):
        choose(made, ["step3900"])
    with pytest.raises(ModelError, match="'stepp3000'; the closest names are step3000"):
        choose(made, ["stepp3000"])
    with pytest.raises(ModelError, match="'step2500'; the closest names are step2000"):
        choose(made, ["step2500"])
    with pytest.raises(ModelError, match="'nonsense'; the closest names are step1000, step2000"):
        choose(made, ["nonsense"])
    with pytest.raises(ModelError, match=r"none of the steps 1, 5000; the nearest are 1000, 3000"):
        choose(made, [1, 5000])
    with pytest.raises(ModelError, match="its checkpoints have no steps"):
        choose(rows([None]), [5])
