"""What training sees, as a function of the step alone."""

import numpy as np
import pytest

from polylore.errors import ConfigError
from polylore.facts.worlds import World, WorldConfig, make_world

SMALL = {"entities": 40, "relations": 3, "values": 4, "never_seen": 4}
SHARED = {"names": 1, "relations": 1, "values": 1}


def world(**knobs) -> World:
    return make_world(WorldConfig.parse({**SMALL, **knobs}))


def test_a_batch_depends_on_its_step_alone() -> None:
    knobs = {"cue": "syn(5)", "templates": 3, "p": 0.5, "code_switch": 0.2}
    first, second = world(**knobs).stream(32), world(**knobs).stream(32)
    steps = [1, 2, 3, 17, 4, 50, 1]
    found = {step: second.batch(step) for step in reversed(steps)}
    for step in steps:
        batch = first.batch(step)
        assert (batch.tokens == found[step].tokens).all()
        assert (batch.cell == found[step].cell).all()
    assert (first.batch(1).tokens != first.batch(2).tokens).any()


def test_an_epoch_is_a_permutation_and_its_rest_is_dropped() -> None:
    made = world(exposure="fact", p=0.5)
    total = int(made.weight.sum())
    stream = made.stream(32)
    assert total % 32
    per_epoch = total // 32
    epochs = []
    for epoch in range(3):
        steps = range(epoch * per_epoch + 1, (epoch + 1) * per_epoch + 1)
        cells = np.concatenate([stream.batch(step).cell for step in steps])
        assert (np.bincount(cells, minlength=len(made.weight)) <= made.weight).all()
        epochs.append(cells.tolist())
    assert epochs[0] != epochs[1]
    assert made.stream(total).batch(1).cell.tolist() != sorted(epochs[0])
    assert (np.bincount(made.stream(total).batch(1).cell) == made.weight[: -8 * 3]).all()


def test_batches_larger_than_the_world() -> None:
    made = world()
    total = int(made.weight.sum())
    stream = made.stream(2 * total + 7)
    cells = np.concatenate([stream.batch(step).cell for step in (1, 2, 3)])
    for start in range(0, 6 * total, total):
        assert sorted(cells[start : start + total]) == np.flatnonzero(made.weight).tolist()


def test_rows_are_what_they_say() -> None:
    made = world(cue="tag", templates=3, train_templates=2, value_len=2, name_len=2)
    batch = made.stream(64).batch(5)
    assert batch.tokens.shape == (64, made.sequence_len) == (64, 6)
    for row, cell in zip(batch.tokens, batch.cell, strict=True):
        fact = made.facts.row(int(cell), named=True)
        words = made.text(row).split(" ")
        assert words[0] == f"tag{made.lang[cell]}"
        assert " ".join(words[1:3]) == fact["subject"]
        assert int(words[3].rsplit(".")[-1]) in fact["template_ids"]
        assert " ".join(words[4:]) == fact["object"]
        assert fact["seen"]


@pytest.mark.parametrize(
    ("cue", "share"),
    [("drop(.3)", 0.3), ("syn(4)", 0.25), ("xor(.5)", 0.75), ("tag_noise(.2)", 0.1)],
)
def test_cues_are_drawn_as_often_as_they_should(cue: str, share: float) -> None:
    made = world(cue=cue, allow_leak=True)
    batch = made.stream(20_000).batch(1)
    lang = made.lang[batch.cell]
    word = np.array(made.words, dtype=object)[batch.tokens[:, 0]]
    hit = {
        "drop(.3)": word == "neutral",
        "syn(4)": word == np.where(lang == 0, "syn0.2", "syn1.2"),
        "xor(.5)": word == np.where(lang == 0, "bitA.0", "bitA.1"),
        "tag_noise(.2)": word != np.where(lang == 0, "tag0", "tag1"),
    }[cue]
    assert hit.mean() == pytest.approx(share, abs=0.01)
    if cue.startswith("xor"):
        second = batch.tokens[:, 1] == made.ids["bitB.1"]
        assert (((word == "bitA.1") ^ second) == lang).all()


def test_evaluation_averages_over_all_draws() -> None:
    for cue, n in (("none", 1), ("tag", 1), ("drop(.5)", 1), ("syn(3)", 3), ("syn(40)", 8),
                   ("xor(0)", 2), ("xor(.75)", 2), ("xor(1)", 1)):  # fmt: skip
        made = world(cue=cue)
        cells = made.cells("mono_unseen")
        found = made.evaluation(cells)
        assert found.cell.tolist() == np.repeat(cells, n).tolist()
        assert set(found.cue_draw) == set(range(n))
        assert len({tuple(row) for row in found.tokens}) == len(found.tokens)
        assert found.tokens.shape[1] == made.prompt_len
        assert (found.gold == made.answer_tokens[found.cell]).all()
        assert "neutral" not in {made.words[t] for t in found.tokens.ravel()}


def test_curriculum() -> None:
    stages = [
        {"steps": 10, "show": "parallel"},
        {"steps": 10, "entities": 0.25, "weight_mono": 2},
        {"steps": 10, "p": 0.1, "cue": "drop(1)"},
        {"steps": 5},
    ]
    made = world(p=0.5, cue="tag", share=SHARED, curriculum=stages)
    stream = made.stream(50)
    cells = [np.concatenate([stream.batch(s).cell for s in range(a, a + 10)]) for a in (1, 11, 21)]
    assert set(made.facts["population"].to_numpy()[cells[0]]) == {"parallel"}
    assert len(set(made.entity[cells[1]])) == 10
    shown = {(f, lang) for f, lang in zip(made.fact[cells[2]], made.lang[cells[2]], strict=True)}
    several = sum((f, 0) in shown and (f, 1) in shown for f in {f for f, _ in shown})
    assert several == 4 * 3
    assert {made.words[t] for t in stream.batch(25).tokens[:, 0]} == {"neutral"}
    assert {made.words[t] for t in stream.batch(31).tokens[:, 0]} == {"tag0", "tag1"}
    assert stream.stage(1_000) == 3
    assert made.stage_weights.shape[0] == 4
    only = world(p=0.5, curriculum=[{"steps": 5, "show": "parallel"}])
    assert not len(only.cells("mono_seen"))
    with pytest.raises(ConfigError, match="Stage 1 of the curriculum shows no fact"):
        world(p=0, curriculum=[{"steps": 5, "show": "parallel"}, {"steps": 5}]).stream(8)


def test_code_switching_touches_parallel_facts_only() -> None:
    made = world(p=0.5, share={"names": 0}, code_switch=0.5, split="fact")
    batch = made.stream(100).batch(1)
    words = [made.text(row).split(" ") for row in batch.tokens]
    switched = np.array([w[0] != made.facts["subject"][int(c)] for w, c in
                         zip(words, batch.cell, strict=True)])  # fmt: skip
    parallel = made.population[batch.cell] == 0
    assert not switched[~parallel].any()
    assert 0.3 < switched[parallel].mean() < 0.7
    answers = [w[2] for w in words]
    assert answers == [made.facts["object"][int(c)] for c in batch.cell]


def test_exposure_counts_what_was_presented() -> None:
    made = world(p=0.25, exposure="fact")
    stream = made.stream(32)
    table = stream.exposure([0, 3, 40])
    assert table.filter(step=0)["count"].sum() == 0
    assert table.filter(step=3)["count"].sum() == 96
    counts = np.bincount(
        np.concatenate([stream.batch(s).cell for s in range(1, 41)]), minlength=len(made.fact)
    )
    last = table.filter(step=40)
    assert last["count"].to_list() == counts[made.seen].tolist()
    assert set(last["tokens"]) == {40 * 32 * made.sequence_len}


def test_steps_and_batches_are_checked() -> None:
    made = world()
    with pytest.raises(ConfigError, match="counted from 1"):
        made.stream(8).batch(0)
    with pytest.raises(ConfigError, match="at least 1"):
        made.stream(0)


def test_pairs_tell_a_parallel_fact_twice_in_one_row() -> None:
    made = world(p=0.5, cue="tag", concatenate=0.5)
    stream, length = made.stream(256), made.sequence_len
    batch = stream.batch(3)
    assert batch.tokens.shape == (256, stream.row_tokens) == (256, 2 * length)
    assert batch.pad is not None
    assert batch.before is not None
    parallel = made.population[batch.cell] == 0
    two = batch.before >= 0
    assert not two[~parallel].any()
    assert 0.35 < two[parallel].mean() < 0.65
    assert (batch.pad == np.where(two, 0, length)).all()
    for row, cell, first in zip(batch.tokens, batch.cell, batch.before, strict=True):
        told = [row[length:], row[:length]] if first >= 0 else [row[:length]]
        for part, which in zip(told, (cell, first), strict=False):
            fact = made.facts.row(int(which), named=True)
            assert made.text(part) == f"{fact['prompt']} {fact['object']}"
            assert fact["fact_id"] == made.facts["fact_id"][int(cell)]
        assert first < 0 or made.lang[first] != made.lang[cell]
    # What is presented is what stands in the rows, the first samples of pairs included.
    told = [c for b in map(stream.batch, (1, 2, 3)) for c in (b.cell, b.before) if c is not None]
    cells = np.concatenate(told)
    counts = np.bincount(cells[cells >= 0], minlength=len(made.fact))
    table = stream.exposure([3])
    assert table["count"].to_list() == counts[made.seen].tolist()
    assert table["tokens"][0] == 3 * 256 * 2 * length
    # The knob changes nothing else of a world, and no world that does not use it.
    plain = world(p=0.5, cue="tag")
    assert plain.stream(256).samples(3).tolist() == stream.samples(3).tolist()
    assert "concatenate" not in plain.config.canonical()
