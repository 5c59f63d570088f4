"""Checkpoint steps and learning rates."""

from itertools import pairwise

import pytest

from polylore.errors import ConfigError
from polylore.training.config import ScheduleConfig, TrainConfig
from polylore.training.schedule import checkpoint_steps, learning_rate


@pytest.mark.parametrize(
    ("total", "config", "steps"),
    [
        (100, ScheduleConfig(per_decade=1), [0, 1, 10, 100]),
        (120, ScheduleConfig(per_decade=1, every=50), [0, 1, 10, 50, 100, 120]),
        (50, ScheduleConfig(per_decade=3), [0, 1, 2, 5, 10, 22, 46, 50]),
        (30, ScheduleConfig(per_decade=0, every=10), [0, 10, 20, 30]),
        (7, ScheduleConfig(per_decade=0), [0, 7]),
        (1, ScheduleConfig(), [0, 1]),
    ],
)
def test_checkpoint_steps(total, config, steps):
    assert checkpoint_steps(total, config) == steps


def test_learning_rate():
    config = TrainConfig(learning_rate=1.0, warmup=0.1, final_rate=0.2)
    rates = [learning_rate(step, 100, config) for step in range(1, 101)]
    assert rates[:10] == pytest.approx([n / 10 for n in range(1, 11)])
    assert rates[9] == max(rates)
    assert all(a > b for a, b in pairwise(rates[9:]))
    assert rates[54] == pytest.approx(0.6)
    assert rates[-1] == pytest.approx(0.2)
    assert learning_rate(1, 1, TrainConfig(warmup=0)) > 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": {"hidden_size": 100, "heads": 3}}, "even multiple of heads"),
        ({"model": {"heads": 4, "kv_heads": 3}}, "multiple of kv_heads"),
        ({"context": 600}, "max_positions"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"tokenizer": {"vocab_size": 10}}, "tokenizer.vocab_size"),
    ],
)
def test_impossible_configurations(values, message):
    with pytest.raises(ConfigError, match=message):
        TrainConfig.parse(values)
