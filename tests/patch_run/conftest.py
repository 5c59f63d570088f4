"""A toy series: a few random models that share a tokenizer, and a plan for them."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from polylore.studies.patch.config import PatchConfig
from polylore.studies.patch.planning.build import make_plan
from polylore.studies.patch.running.config import PatchRunConfig

# Tests are no package; the toy lexicon of the plans' tests is loaded by its path.
_SPEC = importlib.util.spec_from_file_location(
    "toy_lexicons", Path(__file__).parents[1] / "patch_plan" / "toy_lexicons.py"
)
assert _SPEC
assert _SPEC.loader
toys = sys.modules.get("toy_lexicons") or importlib.util.module_from_spec(_SPEC)
if "toy_lexicons" not in sys.modules:
    sys.modules["toy_lexicons"] = toys
    _SPEC.loader.exec_module(toys)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


def save_model(folder: Path, tokenizer: Any, seed: int) -> None:
    """A random Llama in which patches change much."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=3,
        num_attention_heads=2,
        max_position_embeddings=96,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight *= 8
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.fixture(scope="session")
def words() -> Any:
    return toys.lexicon_of(
        {
            (f"c{n:02d}", lang): [toys.word(n, lang)]
            for lang in toys.LANGS
            for n in range(toys.WORDS)
        }
    )


@pytest.fixture(scope="session")
def tokenizer(words: Any) -> Any:
    """Most words are one token, the others two."""
    whole = [toys.word(n, lang) for n in range(30) for lang in toys.LANGS]
    return toys.tokenizer_of(words, merged=whole)


@pytest.fixture(scope="session")
def series(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints of steps 10 and 100."""
    folder = tmp_path_factory.mktemp("series")
    for step in (10, 100):
        save_model(folder / f"step{step}", tokenizer, step)
    return folder


@pytest.fixture(scope="session")
def plan_folder(words: Any, tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    values = {
        "pairs": ["fr-en", "de-fr"],
        "seen": list(toys.LANGS),
        "n_pairs": 6,
        "n_shots": 1,
        "allow_small_k": True,
        "samek": [1],
        "samek_draws": 2,
    }
    config = PatchConfig.parse({"model": "toy", "plan": values})
    folder = tmp_path_factory.mktemp("plan") / "plan"
    make_plan(config, tokenizer, words).save(folder)
    return folder


@pytest.fixture(scope="session")
def config(series: Path, plan_folder: Path) -> Callable[..., PatchRunConfig]:
    def make(**changes: Any) -> PatchRunConfig:
        values: dict[str, Any] = {
            "model": str(series),
            "plan": str(plan_folder),
            "ask": {"max_new_tokens": 4},
        }
        return PatchRunConfig.parse(values | changes)

    return make


@pytest.fixture(scope="session")
def other_tokenizer(words: Any) -> Any:
    return toys.tokenizer_of(words, merged=["English:"])


@pytest.fixture(scope="session")
def save() -> Callable[[Path, Any, int], None]:
    return save_model
