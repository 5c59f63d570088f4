"""Broken checkpoints and unreadable folders, as a user meets them: one sentence, exit code 2."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers as tf
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from polylore.cli.main import main
from polylore.models import weights

Run = Callable[..., str]
ASK = [
    "--facts.languages",
    "en",
    "--facts.limit",
    "2",
    "--ask.n-shot",
    "0",
    "--ask.generate",
    "false",
    "--ask.content-free",
    "false",
    "--analyse.draws",
    "0",
    "--out",
    "out",
    "-q",
]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that can be asked."""
    folder = tmp_path_factory.mktemp("good") / "step1000"
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: n for n, token in enumerate(["<s>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = tf.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="<s>")
    fast.save_pretrained(folder)
    config = tf.LlamaConfig(
        vocab_size=260,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=512,
        bos_token_id=0,
        eos_token_id=0,
    )
    torch.manual_seed(0)
    tf.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


@pytest.fixture
def ask(
    good: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[[Callable[[Path], object]], str]:
    """Break a copy of the model, ask it, and return what is said."""

    def call(damage: Callable[[Path], object], *words: str) -> str:
        folder = tmp_path / "series" / good.name
        folder.mkdir(parents=True)
        for path in good.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        damage(folder)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("sys.argv", ["polylore", "trace", "series", *ASK, *words])
        with pytest.raises(SystemExit) as stopped:
            main()
        said = capsys.readouterr().err.strip()
        assert stopped.value.code == 2, said
        assert said.startswith("polylore: ")
        assert "\n" not in said
        return said

    return call


def not_numbers(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"][0] = float("nan")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def cut_short(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def larger_vocabulary(folder: Path) -> None:
    tokenizer = tf.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([f"<extra{n}>" for n in range(10)])
    tokenizer.save_pretrained(folder)


def without_offsets(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    settings = {"tokenizer_class": "ByT5Tokenizer", "extra_ids": 0}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def without_tokenizer(folder: Path) -> None:
    for path in folder.glob("*token*"):
        path.unlink()


def without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (not_numbers, "values that are not numbers (in model.norm.weight)"),
        (cut_short, "is damaged or cut short"),
        (larger_vocabulary, "token ids up to 266, but the model only has 260 embeddings"),
        (without_offsets, "reports no character offsets"),
        (without_tokenizer, "holds no tokenizer"),
        (without_weights, "no checkpoint with weights in series; left out: step1000"),
        (lambda folder: (folder / "config.json").write_text("{"), "not a valid JSON file"),
    ],
)
def test_broken_models(ask: Run, damage: Callable[[Path], object], named: str) -> None:
    assert named in ask(damage)


def test_what_is_asked_for_and_not_there(ask: Run) -> None:
    said = ask(lambda _: None, "--series.schedule", "step1500")
    assert "no checkpoint or revision 'step1500'; the closest names are step1000." in said


def test_weights_that_may_not_be_read(ask: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights.os, "access", lambda path, mode: mode != os.R_OK)
    assert "model.safetensors may not be read; change its rights" in ask(lambda _: None)


def test_a_folder_that_may_not_be_read(ask: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied", "series")

    def damage(_: Path) -> None:
        monkeypatch.setattr(Path, "iterdir", refuse)

    assert ask(damage).startswith("polylore: No permission for series; change its rights")
