"""Two processes of a Trainer (gloo): the rows of polylore's own loop, and a guard on both."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from trainer_runs import BACKGROUND, BATCH, STEPS, Run, expected, flat, injector, model

from polylore.corpus.injection.stream import RowMap
from polylore.training.continued.streams import Injected, PackedRows

SCRIPT = Path(__file__).parent / "trainer_two.py"
IN_ONE_PART = ("stream", "stream read by each", "mapped", "mapped, handed out")
IN_TWO_PARTS = ("stream in parts", "mapped in parts", "weighted")
STOPPED = {
    "shuffled": "the data are shuffled",
    "undivided": "Step 0 should read each of its 4 rows once (sums [4, 6, 14, 0]), but read rows "
    "of step 0 with the sums [4, 2, 2, 0]",
    "turned": "read rows of step 4 with the sums [4, 6, 14, 4]",
    "split": "read rows of step 0 with the sums [2, 1, 1, 0]",
    "too many": "2 rows per device x 2 processes x 2 accumulated batches are not the 4 rows",
}


@pytest.fixture(scope="module")
def out(tmp_path_factory, run_two):
    """Both processes have trained in every way."""
    out = tmp_path_factory.mktemp("two")
    run_two(SCRIPT, lambda rank: [str(rank), str(out / "store"), str(out)])
    return out


@pytest.fixture
def found(out):
    """What the processes saw in a way."""
    return lambda way: [json.loads((out / f"{way}-{rank}.json").read_text()) for rank in range(2)]


def loop_rows(per_device, rank, first=0):
    """(step, row, tokens) that a process of polylore's own loop reads, in its order."""
    made = injector()
    stream = Injected(PackedRows(BACKGROUND, BATCH, made.form), made)
    division = RowMap(per_device, 2, rank, BATCH // (2 * per_device))
    found = []
    for step in range(first, STEPS):
        for part in range(division.accumulation):
            rows = stream.rows(step, division.rows(part))
            numbers = rows.rows.tolist()
            found += [[step, *row] for row in zip(numbers, rows.tokens.tolist(), strict=True)]
    return found


@pytest.mark.parametrize("way", IN_ONE_PART + IN_TWO_PARTS)
def test_both_processes_read_the_rows_of_the_loop(found, way, tmp_path):
    per_device = 2 if way in IN_ONE_PART else 1
    one, two = found(way)
    assert [one["error"], two["error"]] == [None, None]
    for rank, process in enumerate((one, two)):
        assert process["seen"] == loop_rows(per_device, rank)
    together = sorted(tuple(row) for row in one["seen"] + two["seen"])
    assert together == expected(injector())
    assert one["weights"] == two["weights"]
    alone = Run(tmp_path, injector(0.25 if way == "weighted" else 1.0)).train()
    assert torch.allclose(alone.weights(), torch.tensor(one["weights"]), atol=1e-5)


def test_resume_reads_on(found):
    for rank, (whole, again) in enumerate(zip(found("mapped"), found("resumed"), strict=True)):
        assert again["error"] is None
        assert again["seen"] == loop_rows(2, rank, first=2)
        assert torch.allclose(*(torch.tensor(x["weights"]) for x in (whole, again)), atol=1e-6)


@pytest.mark.parametrize("way", STOPPED)
def test_other_rows_stop_both_before_the_update(found, way):
    for process in found(way):
        assert STOPPED[way] in process["error"]
        assert not process["moved"]


def test_a_second_epoch_stops_both_before_its_first_update(found):
    for process in found("wrapped"):
        assert f"Step {STEPS} should read each" in process["error"]
        assert "read rows of step 0" in process["error"]
        assert process["weights"] == found("mapped")[0]["weights"]


def test_data_that_start_anew_stop_both_before_the_update(found, out):
    saved = model()
    saved.load_state_dict(load_file(out / "mapped" / "checkpoint-2" / "model.safetensors"))
    for process in found("restarted"):
        assert "Step 2 should read each" in process["error"]
        assert "read rows of step 0" in process["error"]
        assert process["weights"] == flat(saved).tolist()
