"""Weights in memory have the fingerprint of the folder they are saved to."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from polylore.errors import ModelError
from polylore.models import LanguageModel, fingerprint, weight_hash
from polylore.models.fingerprint import fingerprint_model

KINDS = ["llama", "gemma2", "bloom", "opt", "gpt2", "neox", "mamba", "mistral", "cohere", "olmo2"]


@pytest.mark.parametrize("kind", KINDS)
def test_memory_and_folder_agree(
    make_model: Callable[..., LanguageModel], tmp_path: Path, kind: str
) -> None:
    model = make_model(kind).model
    model.save_pretrained(tmp_path / "model")
    assert fingerprint_model(model) == fingerprint(tmp_path / "model")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tied_or_not_in_any_format(
    make_model: Callable[..., LanguageModel], tmp_path: Path, dtype: torch.dtype
) -> None:
    hashes = set()
    for tied in (True, False):
        model = make_model("llama").model.to(dtype)
        model.config.tie_word_embeddings = tied
        if tied:
            model.tie_weights()
        folder = tmp_path / str(tied)
        model.save_pretrained(folder)
        hashes.add(weight_hash(fingerprint_model(model)))
        assert weight_hash(fingerprint_model(model)) == weight_hash(fingerprint(folder))
    assert len(hashes) == 2


def test_not_a_model_of_transformers() -> None:
    with pytest.raises(ModelError, match="Linear is not a model of transformers"):
        fingerprint_model(torch.nn.Linear(2, 2))
