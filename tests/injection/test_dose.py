"""The dose of a step is a share of its labelled tokens: padding weighs nothing."""

import numpy as np
import polars as pl
import pytest

from polylore.corpus.injection import Guard, Injector, RowFormat, RowMap, inject
from polylore.errors import DataError
from polylore.tables.inject import PLAN

EOS, PAD, LENGTH = 0, 1, 64
TOKENS = {"p": np.arange(1000, 1030), "q": np.arange(2000, 2012)}


def plan(*rows, mode="prepend"):
    """Rows of (step, row, passage, weight)."""
    return PLAN.build(
        [
            {"step": step, "row": row, "slot": 0, "item_id": name, "passage_id": name, "lang": "en",
             "exposure": 0, "arm": "once", "mode": mode, "n_tokens": len(TOKENS[name]),
             "offset": 0, "loss_weight": weight}
            for step, row, name, weight in rows
        ]
    )  # fmt: skip


def padded(count, *, real=40, head=1):
    """Rows of different tokens, a boundary among the first of them, and padding."""
    rows = 5000 + np.arange(count * LENGTH).reshape(count, LENGTH)
    rows[:, :head] = EOS
    rows[:, 3] = EOS
    for number, row in enumerate(rows):
        row[real - number % 3 :] = PAD
    return rows


def counted(found, before):
    """Share of the loss weight, injected tokens and lost background tokens, one by one."""
    labelled = found.labels[:, 1:] != -100
    weights = found.loss_weight[:, 1:] * labelled
    passage = (found.tokens >= 1000) & (found.tokens < 5000)
    closing = np.zeros_like(passage)
    closing[:, 1:] = (found.tokens[:, 1:] == EOS) & passage[:, :-1]
    injected = passage | closing
    lost = (before != PAD).sum() - ((found.tokens != PAD) & ~injected).sum()
    return (weights * injected[:, 1:]).sum() / weights.sum(), injected.sum(), lost


@pytest.mark.parametrize("mode", ["prepend", "overwrite", "own_row", "after_eos"])
@pytest.mark.parametrize("head", [0, 1])
@pytest.mark.parametrize("weight", [1.0, 0.25])
def test_the_dose_is_what_is_counted_in_the_rows(mode, head, weight):
    form = RowFormat(LENGTH, EOS, pad=PAD, head=head)
    frame = plan((0, 3, "p", weight), (0, 7, "q", weight), (2, 0, "q", 1.0), mode=mode)
    made = Injector(frame, TOKENS, form, 10, allow_dose=True)
    rows = {step: padded(10, real=40 + 4 * step, head=head) for step in (0, 2)}
    dose = made.dose_in(lambda step: form.real(rows[step]))
    for row in dose.iter_rows(named=True):
        found = made.rows(row["step"], range(10), rows[row["step"]])
        share, injected, lost = counted(found, rows[row["step"]])
        assert row["loss_share"] == pytest.approx(share, rel=1e-6)
        assert (row["injected_tokens"], row["displaced_tokens"]) == (injected, lost)
    assert dose.drop("loss_share").equals(made.dose.drop("loss_share"))
    assert made.dose["loss_share"].null_count() == 2


def test_the_dose_of_full_rows_is_known_from_the_plan():
    for head in (0, 1):
        form = RowFormat(LENGTH, EOS, head=head)
        made = Injector(plan((0, 1, "p", 2.0)), TOKENS, form, 10, allow_dose=True)
        rows = padded(10, real=LENGTH + 3, head=head)
        share, _, _ = counted(made.rows(0, range(10), rows), rows)
        assert made.dose["loss_share"].to_list() == pytest.approx([share], rel=1e-6)

        def unasked(step):
            raise AssertionError

        assert made.dose_in(unasked).equals(made.dose)


FORM = RowFormat(LENGTH, EOS, pad=PAD, head=1)
TOO_MUCH = r"Step 1 would have 8\.14% of the loss weight injected, more than 5%"


def hidden():
    """31 of 640 tokens are less than 5 %, but of 381 labelled ones they are not."""
    return Injector(plan((1, 0, "p", 1.0)), TOKENS, FORM, 10)


def test_padding_does_not_hide_a_dose():
    rows = padded(10)
    with pytest.raises(DataError, match=TOO_MUCH):
        hidden().dose_in(lambda step: FORM.real(rows))
    full = np.full(10, LENGTH)
    assert hidden().dose_in(lambda step: full)["loss_share"].to_list() == pytest.approx([31 / 630])
    allowed = Injector(plan((1, 0, "p", 1.0)), TOKENS, FORM, 10, allow_dose=True)
    assert allowed.dose_in(lambda step: FORM.real(rows))["loss_share"][0] > 0.05
    # What is too much even of full rows needs no look at them.
    with pytest.raises(DataError, match=r"at least 8\.95% of the loss weight injected"):
        Injector(plan((1, 0, "p", 1.9)), TOKENS, FORM, 10)


def test_room_in_rows_is_checked_before_the_dose():
    short = np.full(10, 20)
    with pytest.raises(DataError, match=r"step 1, row 0\) has 31 tokens .* the row holds 19"):
        hidden().dose_in(lambda step: short)


def read_until_refused(batches, made, rows=None):
    given, seen = inject(batches, made, rows), []

    def read():
        for found in given:
            seen.append((found.step, *found.rows.tolist()))

    with pytest.raises(DataError, match=TOO_MUCH):
        read()
    return seen


def test_an_iterator_is_stopped_before_the_step_is_whole():
    whole = np.stack([padded(10), padded(10)])
    # The last rows of the step are never given away, so no update can be made of it.
    parts = list(whole.reshape(4, 5, LENGTH))
    seen = read_until_refused(parts, hidden(), RowMap(5, accumulation=2))
    assert seen == [(0, 0, 1, 2, 3, 4), (0, 5, 6, 7, 8, 9), (1, 0, 1, 2, 3, 4)]
    told = [
        {"global_step": [step] * 5, "global_row": rows, "input_ids": whole[step][list(rows)]}
        for step, rows in [(0, range(5)), (1, range(5, 10)), (0, range(5, 10)), (1, range(5))]
    ]
    assert [step for step, *_ in read_until_refused(told, hidden())] == [0, 1, 0]
    allowed = Injector(plan((1, 0, "p", 1.0)), TOKENS, FORM, 10, allow_dose=True)
    assert len(list(inject(parts, allowed, RowMap(5, accumulation=2)))) == 4
    assert len(list(inject(whole[:1], hidden(), RowMap(10)))) == 1


def test_processes_that_read_parts_of_a_step_add_up_its_labels():
    made, rows = hidden(), padded(10)
    guards = [Guard(10, made), Guard(10, made)]
    for step in (0, 1):
        for rank, guard in enumerate(guards):
            own = list(range(rank * 5, rank * 5 + 5))
            (found,) = inject([rows[own]], made, RowMap(5, 2, rank), first_step=step)
            labelled = int((found.labels[:, 1:] != -100).sum())
            guard.see(step, [found.step] * 5, own, labelled)
        total = sum(guard.sums for guard in guards)
        if step == 0:
            guards[0].check(0, total)
            guards[1].check(0, total)
            continue
        with pytest.raises(DataError, match=TOO_MUCH):
            guards[0].check(1, total)


def test_shares_are_of_labelled_tokens_in_words():
    made = Injector(plan((1, 0, "p", 1.0)), TOKENS, FORM, 10, allow_dose=True)
    dose = made.dose_in(lambda step: FORM.real(padded(10)))
    # Rows have 40, 39, 38, 40, ... tokens, and the first of each is not predicted.
    assert dose.select(pl.col("loss_share") * 381).item() == pytest.approx(31)
