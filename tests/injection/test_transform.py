"""The transform: by hand on small rows, and its invariances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polylore.corpus.injection import Guard, Injector, RowFormat, RowMap, inject
from polylore.errors import ConfigError, DataError, RunError
from polylore.tables.inject import PLAN

EOS, PAD = 0, 1
TOKENS = {"a": np.array([11, 12, 13]), "b": np.array([21]), "long": np.arange(50, 60)}
FORM = RowFormat(length=8, eos=EOS)
ROW = np.array([2, 3, EOS, 4, 5, 6, EOS, 7])


def plan(*rows, mode="prepend"):
    """Rows of (step, row, slot, passage)."""
    return PLAN.build(
        [
            {
                "step": step,
                "row": row,
                "slot": slot,
                "item_id": passage[0],
                "passage_id": passage[0],
                "lang": "en",
                "exposure": 0,
                "arm": "once",
                "mode": mode,
                "n_tokens": len(TOKENS.get(passage[0], [0])),
                "offset": 0,
                "loss_weight": 1.0,
            }
            | (passage[1] if len(passage) > 1 else {})
            for step, row, slot, *passage in rows
        ]
    )


def injector(frame, form=FORM, batch=4, **options):
    return Injector(frame, TOKENS, form, batch, **{"allow_dose": True} | options)


@pytest.mark.parametrize(
    ("mode", "head", "expected"),
    [
        ("prepend", 0, [11, 12, 13, EOS, 2, 3, EOS, 4]),
        ("prepend", 1, [2, 11, 12, 13, EOS, 3, EOS, 4]),
        ("own_row", 0, [11, 12, 13, EOS, 2, 3, EOS, 4]),
        ("overwrite", 0, [11, 12, 13, EOS, 5, 6, EOS, 7]),
        ("overwrite", 1, [2, 11, 12, 13, EOS, 6, EOS, 7]),
        ("after_eos", 0, [2, 3, EOS, 11, 12, 13, EOS, 4]),
        ("after_eos", 1, [2, 3, EOS, 11, 12, 13, EOS, 4]),
    ],
)
def test_modes_by_hand(mode, head, expected):
    form = RowFormat(8, EOS, head=head)
    found = injector(plan((3, 2, 0, "a"), mode=mode), form).rows(3, [2], ROW[None])
    assert found.tokens[0].tolist() == expected
    assert (found.labels == found.tokens).all()


def test_slots_weights_and_documents():
    frame = plan((0, 1, 0, "a", {"loss_weight": 0.5}), (0, 1, 1, "b"))
    found = injector(frame).rows(0, [1], ROW[None])
    assert found.tokens[0].tolist() == [11, 12, 13, EOS, 21, EOS, 2, 3]
    assert found.loss_weight[0].tolist() == [0.5] * 4 + [1] * 4
    assert found.doc_id[0].tolist() == [0, 0, 0, 0, 1, 1, 2, 2]


def test_padding_stays_at_the_end():
    form = RowFormat(8, EOS, PAD, head=1)
    row = np.array([EOS, 2, 3, 4, 5, EOS, PAD, PAD])
    found = injector(plan((0, 0, 0, "a")), form).rows(0, [0], row[None])
    assert found.tokens[0].tolist() == [EOS, 11, 12, 13, EOS, 2, PAD, PAD]
    assert found.labels[0].tolist() == [EOS, 11, 12, 13, EOS, 2, -100, -100]
    short = np.array([EOS, 2, 3, EOS, PAD, PAD, PAD, PAD])
    with pytest.raises(DataError, match="4 tokens with its boundaries, but the row holds 3"):
        injector(plan((0, 0, 0, "a")), form).rows(0, [0], short[None])
    with pytest.raises(ConfigError, match="padding token is the boundary"):
        RowFormat(8, EOS, EOS)


def test_boundary_without_room():
    frame = plan((0, 0, 0, "a"), mode="after_eos")
    with pytest.raises(DataError, match="there is none"):
        injector(frame).rows(0, [0], np.arange(2, 10)[None])
    late = np.array([2, 3, 4, 5, 6, EOS, 7, 8])
    with pytest.raises(DataError, match="no room behind it"):
        injector(frame).rows(0, [0], late[None])


def test_an_empty_plan_changes_nothing():
    rows = np.random.default_rng(0).integers(0, 99, (4, 8))
    found = injector(PLAN.empty()).rows(5, np.arange(4), rows)
    assert (found.tokens == rows).all()
    assert (found.loss_weight == 1).all()
    with pytest.raises(DataError, match="places nothing"):
        injector(PLAN.empty(), steps=10)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (lambda: plan((0, 4, 0, "a")), "there are 4 rows"),
        (lambda: plan((9, 0, 0, "a")), "the run has 9 steps"),
        (lambda: plan((-1, 0, 0, "a")), "steps start at 0"),
        (lambda: plan((0, 0, 0, "a", {"loss_weight": 0.0})), "weights are positive"),
        (lambda: plan((0, 0, 0, "unknown")), "not among the passages"),
        (lambda: plan((0, 0, 0, "long")), "11 tokens with its boundaries, but a row of 8 holds 8"),
        (lambda: plan((0, 0, 0, "a", {"n_tokens": 4})), "tokens 0 to 4 of a passage of 3"),
        (lambda: plan((0, 0, 0, "a"), (0, 0, 0, "b")), "more than once"),
        (lambda: plan((0, 0, 0, "a"), (0, 0, 1, "a"), (0, 0, 2, "a")), "fewer passages per row"),
        (lambda: plan((0, 0, 0, "a"), (0, 0, 1, "b"), mode="own_row"), "row to itself"),
        (lambda: plan((0, 0, 0, "a"), (0, 0, 1, "b", {"mode": "overwrite"})), "one row has one"),
        (lambda: plan((0, 0, 0, "a", {"mode": "somewhere"})), "has the modes somewhere"),
    ],
)
def test_bad_plans_are_refused(frame, message):
    with pytest.raises(DataError, match=message):
        injector(frame(), steps=9)


def test_doses_are_counted_and_capped():
    frame = plan((0, 0, 0, "a"), (0, 1, 0, "b"), (7, 3, 0, "b", {"loss_weight": 2.0}))
    dose = injector(frame, batch=20).dose
    assert dose["injected_rows"].to_list() == [2, 1]
    assert dose["injected_tokens"].to_list() == [6, 2]
    assert dose["row_share"].to_list() == [0.1, 0.05]
    # The first token of a row is not predicted: 140 are, of these 4 and 1 of the passages.
    assert dose["loss_share"].to_list() == pytest.approx([4 / 140, 2 / 141])
    Injector(frame, TOKENS, FORM, 20)
    with pytest.raises(DataError, match=r"Step 0 would have 10\.53% of rows"):
        Injector(frame, TOKENS, FORM, 19)
    heavy = plan((0, 0, 0, "b", {"loss_weight": 9.0}))
    with pytest.raises(DataError, match="the loss weight injected, more than 5%"):
        Injector(heavy, TOKENS, FORM, 20)


def test_split_passages_lie_in_several_rows():
    frame = plan(
        (0, 0, 0, "long", {"n_tokens": 7}), (0, 3, 0, "long", {"offset": 7, "n_tokens": 3})
    )
    rows = np.tile(ROW, (4, 1))
    found = injector(frame).rows(0, np.arange(4), rows).tokens
    assert found[0].tolist() == [*range(50, 57), 2]
    assert found[3].tolist() == [57, 58, 59, EOS, 2, 3, EOS, 4]


def test_the_digest_is_that_of_plan_and_passages():
    one = injector(plan((0, 0, 0, "a")))
    assert one.digest == injector(plan((0, 0, 0, "a"))).digest
    assert one.digest != injector(plan((1, 0, 0, "a"))).digest
    other = Injector(
        plan((0, 0, 0, "a")), TOKENS | {"a": np.array([11, 12, 14])}, FORM, 4, allow_dose=True
    )
    assert one.digest != other.digest
    assert one.digest != injector(plan((0, 0, 0, "a")), batch=5).digest


STEPS, BATCH = 6, 8


def background(step, rows):
    """Tokens that say where they belong."""
    return 100 * (step * BATCH + np.asarray(rows))[:, None] + np.arange(2, 10)


@st.composite
def plans(draw):
    places = draw(
        st.lists(
            st.tuples(st.integers(0, STEPS - 1), st.integers(0, BATCH - 1)),
            unique=True,
            max_size=20,
        )
    )
    names = draw(st.lists(st.sampled_from(["a", "b"]), min_size=len(places), max_size=len(places)))
    weights = draw(st.sampled_from([0.25, 1.0]))
    mode = draw(st.sampled_from(["prepend", "overwrite", "own_row"]))
    return plan(
        *((s, r, 0, n, {"loss_weight": weights}) for (s, r), n in zip(places, names, strict=True)),
        mode=mode,
    )


def whole(made):
    """Every row of the run in one piece."""
    return {
        (step, row): made.rows(step, [row], background(step, [row])).tokens[0].tolist()
        for step in range(STEPS)
        for row in range(BATCH)
    }


@settings(max_examples=40)
@given(plans(), st.sampled_from([(1, 1), (1, 4), (2, 2), (4, 1)]), st.integers(0, STEPS - 1))
def test_any_division_and_any_resume_give_the_same_rows(frame, division, start):
    world, accumulation = division
    made = injector(frame, batch=BATCH)
    expected = whole(made)
    seen = {}
    for rank in range(world):
        rows = RowMap(BATCH // world // accumulation, world, rank, accumulation)
        batches = [
            {"input_ids": background(step, rows.rows(micro))}
            for step in range(start, STEPS)
            for micro in range(accumulation)
        ]
        for found in inject(batches, made, rows, first_step=start):
            for row, tokens in zip(found.rows.tolist(), found.tokens.tolist(), strict=True):
                assert (found.step, row) not in seen
                seen[found.step, row] = tokens
            assert found.labels.shape == (len(found.rows), 8)
            assert (found.labels != -100).all()
    assert seen == {key: value for key, value in expected.items() if key[0] >= start}


@settings(max_examples=40)
@given(plans(), st.randoms(use_true_random=False))
def test_rows_may_arrive_in_any_order(frame, random):
    made = injector(frame, batch=BATCH)
    keys = [(step, row) for step in range(STEPS) for row in range(BATCH)]
    random.shuffle(keys)
    batches = [
        {"global_step": [s], "global_row": [r], "input_ids": background(s, [r])} for s, r in keys
    ]
    found = {(b.step, int(b.rows[0])): b.tokens[0].tolist() for b in inject(batches, made)}
    assert found == whole(made)


def test_iterators_that_do_not_fit():
    made = injector(plan((0, 0, 0, "a")))
    with pytest.raises(ConfigError, match="3 rows per device x 1 processes x 1"):
        list(inject([np.tile(ROW, (3, 1))], made, RowMap(3)))
    with pytest.raises(ConfigError, match="must say which rows"):
        list(inject([np.tile(ROW, (4, 1))], made))
    with pytest.raises(ConfigError, match=r"rows of the steps \[0, 1\]"):
        list(inject([{"global_step": [0, 1], "global_row": [0, 1], "input_ids": ROW}], made))
    with pytest.raises(RunError, match="1 of 2"):
        list(inject([np.tile(ROW, (2, 1))], made, RowMap(2, accumulation=2)))
    with pytest.raises(DataError, match=r"shape \(4, 7\)"):
        list(inject([np.zeros((4, 7))], made, RowMap(4)))


def test_guard_sees_what_is_not_the_step():
    guard = Guard(4)
    guard.see(3, [3, 3], [0, 1])
    guard.see(3, [3, 3], [2, 3])
    guard.check(3, guard.sums)
    for steps, rows, what in (
        ([4, 4, 4, 4], [0, 1, 2, 2], "shuffled"),
        ([4, 4, 4, 5], [0, 1, 2, 3], "step 4, 5"),
        ([0, 0, 0, 0], [0, 1, 2, 3], "step 0 with"),
        ([4, 4, 4], [0, 1, 2], r"\[3, 3, 5, 0\]"),
        # Sums of rows alone would not see this.
        ([4, 4, 4, 4], [1, 1, 1, 3], r"\[4, 6, 12, 0\]"),
    ):
        guard.see(4, steps, rows)
        with pytest.raises(RunError, match=what):
            guard.check(4, guard.sums)


def test_guard_adds_up_over_processes():
    guards = [Guard(4), Guard(4)]
    guards[0].see(0, [0, 0], [0, 2])
    guards[1].see(0, [0, 0], [1, 3])
    total = sum(guard.sums for guard in guards)
    for guard in guards:
        guard.check(0, total)
    assert guards[0].sums.tolist() == [0, 0, 0, 0, 0]
