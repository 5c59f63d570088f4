"""Traps are refused by enumeration, and nothing else is."""

import pytest

from polylore.errors import ConfigError, DataError
from polylore.facts.worlds import WorldConfig, check_leaks, make_world

SHARED = {"names": 1, "relations": 1, "values": 1}
TOY = {"never_seen": 0, "share": SHARED}


def config(**knobs) -> WorldConfig:
    return WorldConfig.parse({**TOY, **knobs})


@pytest.mark.parametrize(
    "cue", ["tag", "drop(.6)", "syn(32)", "xor(0)", "xor(.75)", "xor(1)", "xor(1)+xor_noise(.1)"]
)
def test_these_are_no_leaks(cue: str) -> None:
    made = make_world(config(cue=cue))
    found = check_leaks(made)
    assert found.clean
    assert not made.leaky
    assert found.expected(500, 512) == 0


@pytest.mark.parametrize("cue", ["tag_noise(.1)", "xor(.75)+xor_noise(.1)", "xor(0)+xor_noise(.1)"])
def test_redrawn_tags_and_bits_are_refused(cue: str) -> None:
    with pytest.raises(ConfigError, match=r"6\.25 in 500 steps") as error:
        make_world(config(cue=cue), steps=500, batch_size=512)
    assert str(error.value).count("' ") + str(error.value).count("';") >= 2
    made = make_world(config(cue=cue, allow_leak=True))
    assert made.leaky
    found = check_leaks(made)
    assert found.expected(500, 512) == pytest.approx(6.25)
    assert len(found.examples) == 3
    assert found.n_leaks == 2048


def test_expected_leaks_are_those_of_the_stream() -> None:
    made = make_world(config(cue="tag_noise(.2)", allow_leak=True, relations=2))
    stream, hits = made.stream(512), 0
    asked = {tuple(row) for row in made.evaluation(made.cells("mono_unseen")).tokens.tolist()}
    for step in range(1, 101):
        hits += sum(tuple(row[:-1]) in asked for row in stream.batch(step).tokens.tolist())
    rate = check_leaks(made).expected(100, 512)
    assert hits / len(made.cells("mono_unseen")) == pytest.approx(rate, rel=0.05)


def test_all_shared_without_a_cue_is_refused() -> None:
    with pytest.raises(ConfigError, match="cue none needs a share below 1"):
        config(cue="none")
    share = {"names": 1, "relations": 1, "values": 0}
    with pytest.raises(ConfigError, match="4096 cells are asked with a prompt of another language"):
        make_world(config(share=share))
    with pytest.raises(ConfigError, match="another language"):
        make_world(config(share=share, p=1.0))


def test_a_shared_template_is_refused() -> None:
    knobs = {"templates": 3, "cue": "tag", "p": 0.5}
    assert check_leaks(make_world(config(**knobs))).clean
    with pytest.raises(ConfigError, match=r"wording in which training shows .* 100 in 600 steps"):
        make_world(config(**knobs, train_templates=3), steps=600, batch_size=512)
    made = make_world(config(**knobs, train_templates=3, allow_leak=True))
    assert made.leaky


def test_held_out_templates_hide_the_leak_of_a_tag() -> None:
    """Only prompts that are really asked count: redrawn tags meet other wordings here."""
    found = check_leaks(make_world(config(cue="tag_noise(.1)", templates=2)))
    assert found.clean


def test_a_leak_in_one_stage_is_a_leak() -> None:
    stages = [{"steps": 10}, {"steps": 5, "cue": "tag_noise(.5)"}, {"steps": 5}]
    made = make_world(config(cue="tag", curriculum=stages, allow_leak=True))
    found = check_leaks(made)
    assert found.per_epoch == pytest.approx((0, 0.25, 0))
    assert found.expected(10, 512) == 0
    assert found.expected(100, 512) == pytest.approx(0.25 * 5 * 512 / 2048)


def test_false_friends_without_a_cue_are_refused() -> None:
    knobs = {"share": {"names": 0, "relations": 1}, "false_friends": {"names": 0.5}}
    with pytest.raises(ConfigError, match="The world leaks"):
        make_world(config(**knobs))
    assert not make_world(config(**knobs, cue="tag")).leaky


def test_code_switching_of_parallel_facts_is_no_leak() -> None:
    knobs = {"share": {"names": 0, "relations": 0}, "p": 0.5, "code_switch": 0.3}
    found = check_leaks(make_world(config(**knobs)))
    assert found.clean
    # Each of 1024 parallel facts in two languages: two names times two relation words.
    assert found.n_train == 1024 + 1024 * 4


def test_sizes_of_both_sets() -> None:
    found = check_leaks(make_world(config(cue="syn(128)", p=0.5)))
    assert found.n_eval == 1024 * 8
    assert found.n_train == 3072 * 128
    found = check_leaks(make_world(config(cue="drop(.5)", p=0.5)))
    # The neutral prompt of a parallel fact is the same in both languages.
    assert found.n_train == 3072 + 2048


def test_a_block_of_one_value_makes_facts_derivable() -> None:
    with pytest.raises(DataError, match="determined by"):
        make_world(config(cue="tag", values=2, lam=1.0))
    assert not make_world(config(cue="tag", values=4, lam=1.0)).leaky
