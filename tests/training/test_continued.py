"""A model trained from scratch, trained on: its optimizer, rate and rows go on where they were."""

import pytest
from safetensors.numpy import load_file

from polylore.training.config import ScheduleConfig
from polylore.training.continued.config import ContinueConfig
from polylore.training.continued.loop import continue_training, read_updates
from polylore.training.continued.packs import open_training_rows
from polylore.training.continued.start import open_start
from polylore.training.loop import train
from polylore.training.schedule import learning_rate


def stop_after(step):
    def stop(now, tokens, model):
        if now == step:
            raise KeyboardInterrupt

    return stop


def test_a_restored_step_is_that_of_the_uninterrupted_run(corpus, config, tmp_path):
    plain = config.model_copy(
        update={
            "precision": "float32",
            "attention": "sdpa",
            "checkpoints": ScheduleConfig(per_decade=0, every=8),
            "state_every": 1,
        }
    )
    early, late = tmp_path / "early", tmp_path / "late"
    for out, last in ((early, 8), (late, 9)):
        with pytest.raises(KeyboardInterrupt):
            train(corpus.folder, out, plain, on_step=[stop_after(last + 1)])
    start = open_start(early)
    assert (start.step, start.made) == (8, 8)
    assert (start.recipe.beta2, start.recipe.clip) == (plain.beta2, plain.clip)
    packed = open_training_rows(early, first=8 * plain.batch_size)
    total = packed.steps + packed.before
    rate = learning_rate(9, total + 1, plain)
    mine = ContinueConfig(updates=1, rate={"learning_rate": rate}, threads=1)
    out = continue_training(start, packed, tmp_path / "on", mine)
    found = load_file(out / "checkpoints" / "step-000009" / "model.safetensors")
    expected = load_file(late / "state" / "step-000009" / "state.safetensors")
    assert all(
        tensor.tobytes() == expected[f"weight/{name}"].tobytes() for name, tensor in found.items()
    )
    assert read_updates(out)["global_step"].to_list() == [9]
