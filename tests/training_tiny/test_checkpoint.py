"""Checkpoints are ordinary folders; what is not a tiny Llama is refused."""

import json
from pathlib import Path

import pytest
import torch
from synthetic import VOCABULARY, Facts
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from polylore.errors import ModelError
from polylore.training.checkpoint import save_checkpoint
from polylore.training.tiny.config import Recipe
from polylore.training.tiny.measure import states
from polylore.training.tiny.sizes import Sizes
from polylore.training.tiny.stack import TinyModel


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    words = {f"w{k}": k for k in range(VOCABULARY)}
    made = Tokenizer(models.WordLevel(words, unk_token="w0"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=made).save_pretrained(tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


def test_a_checkpoint_is_an_ordinary_folder(tmp_path: Path, tokenizer: Path) -> None:
    model = TinyModel.fresh(Sizes.of(Recipe(hidden=32), VOCABULARY), 4)
    about = {"run_hash": "abc", "world_hash": "def"}
    save_checkpoint(tmp_path, model.transformers(), tokenizer, 300, 9600, about)
    folder = tmp_path / "step-000300"
    assert json.loads((folder / "polylore.json").read_text()) == {
        "run_hash": "abc",
        "world_hash": "def",
        "step": 300,
        "tokens": 9600,
    }
    prompts = Facts().rows[:5, :3]
    standard = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        hidden = standard(torch.from_numpy(prompts), output_hidden_states=True).hidden_states
    found = torch.from_numpy(states(model, prompts))
    torch.testing.assert_close(found, torch.stack(hidden, 1), atol=1e-5, rtol=1e-5)
    again = TinyModel.load(folder)
    assert again.sizes == model.sizes
    assert torch.equal(again.row, model.row)


@pytest.mark.parametrize(
    "other",
    [
        {"num_key_value_heads": 1},
        {"tie_word_embeddings": True},
        {"attention_bias": True},
        {"rms_norm_eps": 1e-5},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}},
    ],
)
def test_other_models_are_refused(other: dict[str, object]) -> None:
    settings = {"vocab_size": 20, "hidden_size": 16, "intermediate_size": 24}
    settings |= {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2}
    assert TinyModel.of(LlamaForCausalLM(LlamaConfig(**settings))).sizes.heads == 2
    with pytest.raises(ModelError, match="no tiny Llama"):
        TinyModel.of(LlamaForCausalLM(LlamaConfig(**{**settings, **other})))
