"""Names of checkpoints (specification of `trace`, section 4.1 and T14)."""

import pytest

from polylore.errors import ConfigError, ModelError
from polylore.models.names import CheckpointName, continuous, parse_name


def parsed(name: str, repo: str = "", **options: object) -> CheckpointName:
    found = parse_name(name, repo=repo, **options)  # type: ignore[arg-type]
    assert found is not None
    return found


def test_pythia() -> None:
    found = parsed("step512", "EleutherAI/pythia-70m-deduped")
    assert (found.family, found.step, found.tokens, found.tokens_exact) == (
        "pythia",
        512,
        512 * 2_097_152,
        True,
    )


def test_pythia_grid_is_ordered_by_number() -> None:
    grid = [0, *(2**k for k in range(10)), *range(1000, 144_000, 1000)]
    names = sorted(f"step{step}" for step in grid)
    assert len(names) == 154
    found = sorted((parsed(n, "EleutherAI/pythia-1.4b") for n in names), key=lambda p: p.order)
    assert [p.step for p in found] == grid
    assert {p.family for p in found} == {"pythia"}


def test_the_same_name_elsewhere_says_nothing_about_tokens() -> None:
    for repo in ("", "my/model", "my-pythia-copy"):
        found = parsed("step512", repo)
        assert (found.family, found.step, found.tokens) == ("plain", 512, None)


def test_olmo_1() -> None:
    found = parsed("step115000-tokens482B", "allenai/OLMo-7B-0424-hf")
    assert (found.family, found.step, found.tokens, found.tokens_exact) == (
        "olmo",
        115_000,
        482_344_960_000,
        True,
    )
    label = parsed("step115000-tokens482B", "allenai/OLMo-1B")
    assert (label.family, label.tokens, label.tokens_exact) == ("olmo", 482 * 10**9, False)
    given = parsed("step115000-tokens482B", tokens_per_step=2**22)
    assert (given.tokens, given.tokens_exact) == (482_344_960_000, True)


def test_olmo_2() -> None:
    found = parsed("stage1-step721901-tokens6056B")
    assert (found.family, found.stage, found.ingredient, found.step) == ("olmo2", 1, None, 721_901)
    assert (found.tokens, found.tokens_exact) == (6056 * 10**9, False)
    branch = parsed("stage2-ingredient1-step11921-tokens101B")
    assert (branch.stage, branch.ingredient, branch.step) == (2, 1, 11_921)
    early = parsed("step600-tokens3B", "allenai/OLMo-2-0425-1B-early-training")
    assert (early.family, early.stage, early.step, early.flags) == (
        "olmo2",
        1,
        600,
        ("prefix_missing",),
    )


def test_tokens_per_step_says_nothing_about_later_stages() -> None:
    branch = parsed("stage2-ingredient1-step11921-tokens101B", tokens_per_step=2**22)
    assert (branch.tokens, branch.tokens_exact) == (101 * 10**9, False)


def test_apertus() -> None:
    found = parsed("step50000-tokens210B", "swiss-ai/Apertus-8B-2509")
    assert (found.family, found.step, found.tokens_exact) == ("apertus", 50_000, False)
    assert parse_name("longctx-step10") is None
    assert parse_name("step10-tokens1B-longctx", repo="swiss-ai/Apertus-8B-2509") is None


@pytest.mark.parametrize(
    ("name", "family", "step"),
    [
        ("global_step1000", "bloom", 1000),
        ("checkpoint-1500", "trainer", 1500),
        ("run7_step_00200", "plain", 200),
        ("step-000123", "plain", 123),
        ("iter=5", "plain", 5),
        ("iteration_12", "plain", 12),
        ("model.ckpt-7", "plain", 7),
        ("step10k", "plain", 10_000),
        ("Step_2M", "plain", 2_000_000),
        ("v2-checkpoint_300-ema", "plain", 300),
    ],
)
def test_other_families(name: str, family: str, step: int) -> None:
    found = parsed(name)
    assert (found.family, found.step, found.tokens) == (family, step, None)


@pytest.mark.parametrize(
    "name", ["step5_iter9", "model", "mystep5", "7step5", "step1.5k", "logs", "step", "step5kB"]
)
def test_refused(name: str) -> None:
    with pytest.raises(ModelError, match=f"'{name}' says .*pass a pattern"):
        parse_name(name)


def test_phases_count_on() -> None:
    names = [
        parsed("phase_1_1000"),
        parsed("phase_1_90000"),
        parsed("phase_2_3000"),
        parsed("main"),
    ]
    assert [n.step for n in continuous(names)] == [1000, 90_000, 93_000, None]
    nested = parsed("cooldown/iter_0003000", phases={"cooldown": 2})
    assert (nested.family, nested.stage, nested.step) == ("phases", 2, 3000)


def test_final_models_have_no_step_and_come_last() -> None:
    for name in ("main", "final", "MAIN"):
        found = parsed(name)
        assert (found.family, found.final, found.step) == ("final", True, None)
    names = ["main", "step1000", "step20", "step3"]
    assert [p.name for p in sorted((parsed(n) for n in names), key=lambda p: p.order)] == [
        "step3",
        "step20",
        "step1000",
        "main",
    ]


def test_own_pattern() -> None:
    found = parsed("run3-at-400", pattern=r"run\d+-at-(?P<step>\d+)", tokens_per_step=10)
    assert (found.family, found.step, found.tokens, found.tokens_exact) == (
        "pattern",
        400,
        4000,
        True,
    )
    with pytest.raises(ModelError, match="does not match"):
        parse_name("other", pattern=r"run(?P<step>\d+)")
    with pytest.raises(ConfigError, match="not a regular expression"):
        parse_name("other", pattern="(")
    with pytest.raises(ConfigError, match="needs a group named step"):
        parse_name("other", pattern="other")
    with pytest.raises(ConfigError, match="not a number"):
        parse_name("other", pattern="(?P<step>other)")
