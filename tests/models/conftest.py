"""Tiny models with random weights and a tiny byte-level tokenizer, made on the spot."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from polylore.models import LanguageModel, wrap

sys.path.insert(0, str(Path(__file__).parent))
from hub_fake import FakeHub
from zoo import config

TEXTS = [
    "The capital of France is Paris.",
    "The capital of Germany is Berlin.",
    "La capitale de la France est Paris.",
    "Столица Франции — Париж.",
    "法国的首都是巴黎。日本的首都是东京。",
    "フランスの首都はパリです。日本の首都は東京です。",
    "عاصمة فرنسا هي باريس وعاصمة اليابان هي طوكيو",
    "फ़्रांस की राजधानी पेरिस है।",
    "New York is a city in the United States.",
]


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


def make_tokenizer(size: int = 400) -> Any:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tf.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return make_tokenizer()


@pytest.fixture(scope="session")
def make_model(tokenizer: Any) -> Callable[..., LanguageModel]:
    """A tiny model of an architecture, with weights drawn from a seed."""

    def make(kind: str = "llama", seed: int = 0, **changes: Any) -> LanguageModel:
        torch.manual_seed(seed)
        settings = config(kind, vocab_size=len(tokenizer), **changes)
        model = tf.AutoModelForCausalLM.from_config(settings).eval()
        return wrap(model, tokenizer, kind)

    return make


@pytest.fixture
def saved(tmp_path: Path, make_model: Callable[..., LanguageModel]) -> Callable[..., Path]:
    """Write a tiny model and its tokenizer into a folder of their own."""

    def save(name: str, kind: str = "llama", seed: int = 0, **options: Any) -> Path:
        lm = make_model(kind, seed)
        lm.model.save_pretrained(tmp_path / name, **options)
        lm.tokenizer.save_pretrained(tmp_path / name)
        return tmp_path / name

    return save


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    """A hub without network, into which a test puts repositories."""
    fake = FakeHub(tmp_path / "hub")
    fake.install(monkeypatch)
    return fake


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """An empty cache."""
    return tmp_path / "cache"
