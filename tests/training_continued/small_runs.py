"""A tiny model folder, rows, and comparisons of runs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from safetensors.numpy import load_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from polylore.corpus.injection import RowFormat
from polylore.training.continued.config import ContinueConfig
from polylore.training.continued.readers import Moment
from polylore.training.continued.streams import PackedRows

VOCABULARY, LENGTH, BATCH = 60, 17, 8
FORM = RowFormat(LENGTH, eos=0, pad=1)


def make_folder(folder: Path, *, seed: int = 0, dropout: float = 0.0) -> Path:
    """An ordinary model folder: a two-layer Llama with a word tokenizer."""
    words = {"<eos>": 0, "<pad>": 1} | {f"w{n}": n for n in range(2, VOCABULARY)}
    backend = Tokenizer(WordLevel(words, unk_token="<pad>"))
    backend.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<eos>", pad_token="<pad>"
    )
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=32,
        attention_dropout=dropout,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_rows(count: int, *, seed: int = 0) -> np.ndarray:
    """Rows of random documents; some end in padding."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(2, VOCABULARY, size=(count, LENGTH))
    rows[rng.random(rows.shape) < 0.1] = 0
    for row in rows[::3]:
        row[rng.integers(8, LENGTH) :] = 1
    return rows.astype(np.int64)


def make_stream(steps: int = 24, *, first: int = 0, seed: int = 0, **options: Any) -> PackedRows:
    """Fixed rows for so many steps, after `first` of them."""
    rows = make_rows(first + steps * BATCH, seed=seed)
    return PackedRows(rows, BATCH, FORM, first=first, **options)


def make_config(**values: Any) -> ContinueConfig:
    """Twelve updates with a fresh optimizer, unless said otherwise."""
    execution = {"state_every": 5} | values.pop("execution", {})
    usual = {"updates": 12, "optimizer": "fresh", "rate": {"learning_rate": 1e-2}, "threads": 1}
    return ContinueConfig.parse(usual | values | {"execution": execution})


def weights(run: Path, step: int) -> dict[str, Any]:
    """Weights of a checkpoint, as numpy arrays."""
    found: dict[str, Any] = load_file(
        run / "checkpoints" / f"step-{step:06d}" / "model.safetensors"
    )
    return found


def assert_same_weights(one: Path, step: int, two: Path, other: int) -> None:
    """Two checkpoints are equal, bit by bit."""
    a, b = weights(one, step), weights(two, other)
    assert a.keys() == b.keys()
    assert all(a[key].tobytes() == b[key].tobytes() for key in a), step


def assert_same_run(one: Path, two: Path) -> None:
    """Checkpoints and updates are equal, bit by bit."""
    names = sorted(path.name for path in (one / "checkpoints").iterdir())
    assert names == sorted(path.name for path in (two / "checkpoints").iterdir())
    for name in names:
        step = int(name.removeprefix("step-"))
        assert_same_weights(one, step, two, step)
    a, b = (pl.read_parquet(run / "updates.parquet") for run in (one, two))
    assert a.equals(b)


class Sums:
    """A reader whose work is shared by the processes: the loss of every one of six rows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: list[list[float]] = []

    def due(self, t: int) -> bool:
        """At every third state."""
        return t % 3 == 0

    def read(self, moment: Moment) -> None:
        """Losses of the rows, by row."""
        rows = torch.from_numpy(make_rows(6, seed=5))
        mine = [
            (n, moment.model(input_ids=rows[n : n + 1], labels=rows[n : n + 1]).loss.item())
            for n in moment.share(range(6))
        ]
        self.found.append([loss for _, loss in sorted(moment.gather(mine))])
        if moment.main:
            self.path.write_text(json.dumps(self.found))

    def resume(self, t: int) -> None:
        """Nothing: these runs are not interrupted."""
