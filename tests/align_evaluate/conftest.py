"""Tiny random models, and a small parallel set in two languages."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from polylore.studies.align.asking.config import AlignEvaluateConfig

TEXTS = [
    "Answer the question with the letter of the right option.",
    "Question: What is the capital of France?\nA. Paris\nB. Rome\nAnswer: A",
    "Frage: Was ist die Hauptstadt von Italien?\nA. Rom\nB. Paris\nAntwort: B",
]
CITIES = {"en": ["Paris", "Rome", "Vienna", "Lisbon"], "de": ["Paris", "Rom", "Wien", "Lissabon"]}
WORDS = {"en": "Which city is number {}?", "de": "Welche Stadt hat die Nummer {}?"}


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=360,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    made.train_from_iterator(TEXTS, trainer)
    return tf.PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>")


def write_model(folder: Path, tokenizer: Any, seed: int) -> Path:
    torch.manual_seed(seed)
    config = tf.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=1024,
        initializer_range=0.2, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    tf.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def save_model() -> Callable[..., Path]:
    """Write a tiny random model with a tokenizer into a folder."""
    return write_model


@pytest.fixture(scope="session")
def series(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """A folder with two checkpoints."""
    folder = tmp_path_factory.mktemp("series") / "tiny"
    for step in (10, 20):
        write_model(folder / f"step_{step}", tokenizer, step)
    return folder


@pytest.fixture(scope="session")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve items with four options in two languages, in a published layout."""
    folder = tmp_path_factory.mktemp("sets")
    for lang, cities in CITIES.items():
        rows = [
            {
                "id": item,
                "questions": WORDS[lang].format(item),
                "answers": [cities[(item + at) % 4] for at in range(4)],
                "label": item % 4,
            }
            for item in range(12)
        ]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"city.{lang}.jsonl").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def make(series: Path, sets: Path) -> Callable[..., AlignEvaluateConfig]:
    """A function that makes a small configuration, with changes."""

    def build(**changes: Any) -> AlignEvaluateConfig:
        values: dict[str, Any] = {
            "models": [str(series)],
            "sets": {"sources": [str(sets)]},
            "ask": {"modes": ["letter_ll", "text_ll", "generate"]},
            "score": {"draws": 50, "pairs": "all"},
        }
        return AlignEvaluateConfig.parse(values | changes)

    return build
