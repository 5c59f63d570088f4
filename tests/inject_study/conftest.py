"""A tiny model, a background in two languages, and a study on them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from polylore.facts.people import FictionConfig, load_pack, make_fiction
from polylore.studies.inject.config import InjectConfig

LANGS = ("en", "de")
MADE = FictionConfig(n=8, n_control=4, facts=2, paraphrases=3)
STUDY: dict[str, Any] = {
    "items": {"languages": list(LANGS), "made": MADE.plain()},
    "background": {"length": 128, "batch_size": 16},
    "arms": [
        {"name": "duplication", "n": 2, "interval": 6},
        {"name": "paraphrase", "texts": "variants", "n": 2, "interval": 6},
        {"name": "never", "n": 0},
    ],
    "plan": {"first": 2, "tail": 4, "allow_dose": True},
    "train": {"optimizer": "fresh", "rate": {"learning_rate": 1e-3}, "threads": 1},
    "probes": {"at": "every:2", "extras_every": 3, "token_budget": 2048},
    "controls": {"fewest": 4, "sham": False, "background_only": False},
    "seeds": 1,
    "execution": {"calibrate": False},
}


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Background documents: sentences about other people, in two languages."""
    others = FictionConfig(n=150, n_control=0, facts=2, paraphrases=2, seed=7)
    fiction = make_fiction([load_pack(lang) for lang in LANGS], others)
    path = tmp_path_factory.mktemp("background") / "documents.jsonl"
    rows = fiction.passages.select("text", "lang").iter_rows(named=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory, documents: Path) -> Path:
    """A model with random weights and a tokenizer of its own."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<eos>", "<pad>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    texts = [json.loads(line)["text"] for line in documents.read_text("utf-8").splitlines()]
    tokenizer.train_from_iterator(texts, trainer)
    fast = tf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<pad>"
    )
    torch.manual_seed(0)
    config = tf.LlamaConfig(
        vocab_size=len(fast),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=True,
    )
    folder = tmp_path_factory.mktemp("model")
    tf.LlamaForCausalLM(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@pytest.fixture
def moved() -> Callable[[Path], None]:
    """Changes the weights of a model folder."""

    def move(folder: Path) -> None:
        lm = tf.LlamaForCausalLM.from_pretrained(folder)
        with torch.no_grad():
            for weight in lm.parameters():
                weight.mul_(1.5)
        lm.save_pretrained(folder)

    return move


@pytest.fixture
def settings(model: Path, documents: Path) -> dict[str, Any]:
    """Settings of a study of a few seconds; a copy that may be changed."""
    plain: dict[str, Any] = json.loads(json.dumps(STUDY))
    plain["model"] = str(model)
    plain["background"]["source"] = [str(documents)]
    return plain


@pytest.fixture
def config(settings: dict[str, Any]) -> InjectConfig:
    """The same as a configuration."""
    return InjectConfig.parse(settings)


@pytest.fixture(scope="module")
def module_settings(model: Path, documents: Path) -> dict[str, Any]:
    """The same for what a whole module shares."""
    plain: dict[str, Any] = json.loads(json.dumps(STUDY))
    plain["model"] = str(model)
    plain["background"]["source"] = [str(documents)]
    return plain
