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

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "initializer_range": 0.2,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
GROUPED = {**SMALL, "intermediate_size": 48, "num_key_value_heads": 2}


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


def config(kind: str, vocab: int) -> Any:
    """A tiny configuration of each architecture."""
    v: dict[str, Any] = {"vocab_size": vocab}
    if kind == "gemma2":
        return tf.Gemma2Config(
            **GROUPED,
            **v,
            head_dim=8,
            query_pre_attn_scalar=8,
            sliding_window=16,
            final_logit_softcapping=3.0,
        )
    if kind == "bloom":
        return tf.BloomConfig(**v, hidden_size=32, n_layer=2, n_head=4, initializer_range=0.2)
    if kind == "opt":
        return tf.OPTConfig(**SMALL, **v, ffn_dim=48, word_embed_proj_dim=32, init_std=0.2)
    if kind == "mamba":
        return tf.MambaConfig(**v, hidden_size=32, num_hidden_layers=2, state_size=4)
    if kind == "mistral":
        return tf.MistralConfig(**GROUPED, **v, sliding_window=8)
    if kind == "gpt2":
        return tf.GPT2Config(**SMALL, **v)
    if kind == "neox":
        return tf.GPTNeoXConfig(**SMALL, **v, intermediate_size=48)
    classes = {
        "llama": tf.LlamaConfig,
        "qwen3": tf.Qwen3Config,
        "cohere": tf.CohereConfig,
        "granite": tf.GraniteConfig,
        "olmo2": tf.Olmo2Config,
    }
    extra = {"granite": {"logits_scaling": 4.0}, "cohere": {"logit_scale": 0.5}}
    return classes[kind](**GROUPED, **v, **extra.get(kind, {}))


@pytest.fixture(scope="session")
def make_model(tokenizer: Any) -> Callable[..., LanguageModel]:
    """A tiny model of an architecture, with weights drawn from a seed."""

    def make(kind: str = "llama", seed: int = 0) -> LanguageModel:
        torch.manual_seed(seed)
        model = tf.AutoModelForCausalLM.from_config(config(kind, len(tokenizer))).eval()
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
