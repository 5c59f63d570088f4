"""Models from folders, swapped weights, fingerprints, and everything that is refused."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf
from safetensors.torch import load_file, save_file

from polylore.errors import ModelError
from polylore.models import (
    LanguageModel,
    Question,
    fingerprint,
    generate,
    load_model,
    score,
    swap_weights,
    weight_hash,
)

Save = Callable[..., Path]
Make = Callable[..., LanguageModel]

QUESTIONS = [Question("The capital of France is", " ", ("Paris", "Berlin"))]


def logprobs(lm: LanguageModel) -> list[float]:
    return [s.logprob for s in score(lm, QUESTIONS, token_budget=100, bos=True)[0]]


def edit(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def edit_config(folder: Path, **values: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))


def test_load_gives_the_model_back(saved: Save, make_model: Make) -> None:
    lm = load_model(saved("a"))
    assert logprobs(lm) == pytest.approx(logprobs(make_model()), abs=1e-6)
    assert (lm.context, lm.dtype, str(lm.device)) == (64, "float32", "cpu")
    assert not lm.model.training
    assert lm.tokenizer_hash == make_model().tokenizer_hash


def test_load_in_another_format(saved: Save) -> None:
    lm = load_model(saved("a"), dtype="bfloat16")
    assert lm.dtype == "bfloat16"
    assert logprobs(lm) == pytest.approx(logprobs(load_model(saved("b"))), rel=0.05)
    with pytest.raises(ModelError, match="'int3' is not a number format"):
        load_model(saved("c"), dtype="int3")


def test_loading_is_quiet_and_leaves_settings_alone(
    saved: Save, capfd: pytest.CaptureFixture[str]
) -> None:
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    folder = saved("a")
    capfd.readouterr()
    lm = load_model(folder)
    swap_weights(lm, saved("b", seed=1))
    capfd.readouterr()
    load_model(folder)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


@pytest.mark.parametrize("kind", ["llama", "gpt2", "neox", "gemma2", "qwen3", "bloom", "olmo2"])
def test_swapped_weights_are_loaded_weights(saved: Save, kind: str) -> None:
    lm = load_model(saved("a", kind))
    pointers = [p.data_ptr() for p in lm.model.parameters()]
    other = saved("b", kind, seed=1)
    before = logprobs(lm)
    swap_weights(lm, other)
    assert logprobs(lm) == logprobs(load_model(other)) != before
    assert [p.data_ptr() for p in lm.model.parameters()] == pointers
    assert lm.name == str(other)


def test_swap_reads_shards(saved: Save) -> None:
    lm = load_model(saved("a"))
    swap_weights(lm, saved("b", seed=1, max_shard_size="20KB"))
    assert logprobs(lm) == logprobs(load_model(saved("c", seed=1)))


def test_swap_keeps_tied_weights_tied(saved: Save) -> None:
    lm = load_model(saved("a", "gpt2"))
    swap_weights(lm, saved("b", "gpt2", seed=1))
    model = lm.model
    assert model.lm_head.weight.data_ptr() == model.transformer.wte.weight.data_ptr()


def test_swap_translates_stored_names(saved: Save) -> None:
    # The original GPT-2 files have no "transformer." prefix; transformers' loader knows that.
    lm = load_model(saved("a", "gpt2"))
    other = saved("b", "gpt2", seed=1)
    expected = logprobs(load_model(other))

    def strip(tensors: dict[str, torch.Tensor]) -> None:
        for name in list(tensors):
            tensors[name.removeprefix("transformer.")] = tensors.pop(name)

    edit(other, strip)
    swap_weights(lm, other)
    assert logprobs(lm) == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("model.norm.weight"), "lack tensor model.norm.weight"),
        (lambda t: t.update(extra=torch.ones(3)), "have the unexpected tensor extra"),
        (
            lambda t: t.update({"model.norm.weight": torch.full((32,), torch.nan)}),
            r"not numbers \(in model.norm.weight\)",
        ),
        (
            lambda t: t.update({"model.norm.weight": torch.ones(31)}),
            r"model.norm.weight in .* does not fit the model",
        ),
    ],
)
def test_wrong_tensors_are_refused(
    saved: Save, change: Callable[[dict[str, torch.Tensor]], None], message: str
) -> None:
    lm = load_model(saved("a"))
    before = logprobs(lm)
    wrong = saved("b", seed=1)
    edit(wrong, change)
    with pytest.raises(ModelError, match=message):
        swap_weights(lm, wrong)
    assert logprobs(lm) == before  # nothing was copied
    with pytest.raises(ModelError, match=message):
        load_model(wrong)


def test_swap_refuses_another_model_or_tokenizer(saved: Save) -> None:
    lm = load_model(saved("a"))
    other = saved("b")
    edit_config(other, rope_parameters={"rope_type": "default", "rope_theta": 5.0})
    with pytest.raises(ModelError, match=r"another configuration.*rope"):
        swap_weights(lm, other)
    other = saved("c")
    text = json.loads((other / "tokenizer.json").read_text())
    text["model"]["merges"] = text["model"]["merges"][:-1]
    (other / "tokenizer.json").write_text(json.dumps(text))
    with pytest.raises(ModelError, match="another tokenizer"):
        swap_weights(lm, other)


def test_folders_that_are_not_models(saved: Save, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="There is no folder"):
        load_model(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"no config.json"):
        load_model(tmp_path / "empty")
    folder = saved("a")
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="holds no weights"):
        load_model(folder)
    whole = load_model(saved("whole"))
    for length in (len(weights) // 2, 100, 0):
        (folder / "model.safetensors").write_bytes(weights[:length])
        for refused in (load_model, lambda path: swap_weights(whole, path)):
            with pytest.raises(ModelError, match=r"model.safetensors is damaged or cut short .*;"):
                refused(folder)


def test_a_missing_shard_is_named(saved: Save) -> None:
    folder = saved("a", max_shard_size="20KB")
    next(folder.glob("model-00002*")).unlink()
    with pytest.raises(ModelError, match="lacks the weight file model-00002"):
        load_model(folder)


def test_other_kinds_of_models(saved: Save) -> None:
    folder = saved("a")
    edit_config(folder, architectures=["LlamaForSequenceClassification"])
    with pytest.raises(ModelError, match="SequenceClassification, which is not a causal"):
        load_model(folder)
    edit_config(folder, architectures=["T5Model"], model_type="t5")
    with pytest.raises(ModelError, match="not a causal language model"):
        load_model(folder)
    edit_config(folder, model_type="mystery", auto_map={"AutoModelForCausalLM": "evil.Model"})
    (folder / "evil.py").write_text("raise SystemExit")
    with pytest.raises(ModelError, match="runs no code from model folders"):
        load_model(folder)


def test_tokenizer_that_does_not_fit(saved: Save) -> None:
    folder = saved("a")
    tokenizer = tf.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([f"<{k}>" for k in range(9)])
    tokenizer.save_pretrained(folder)
    with pytest.raises(ModelError, match="do not belong together"):
        load_model(folder)
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match=r"tokenizer in .* cannot be loaded"):
        load_model(folder)


def test_a_tokenizer_without_offsets_can_generate_but_not_score(saved: Save) -> None:
    folder = saved("a")
    (folder / "tokenizer.json").unlink()
    tf.ByT5Tokenizer(extra_ids=0).save_pretrained(folder)  # in Python, without offsets
    lm = load_model(folder)
    with pytest.raises(ModelError, match=r"ByT5Tokenizer reports no character offsets.*; save a"):
        score(lm, QUESTIONS, token_budget=100, bos=False)
    (written,) = generate(lm, ["Paris"], max_new_tokens=3, bos=False, token_budget=100)
    assert written.n_new_tokens > 0


def test_pickled_weights_are_read_without_running_them(saved: Save, make_model: Make) -> None:
    folder = saved("a", seed=1)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    expected = logprobs(make_model(seed=1))
    assert logprobs(load_model(folder)) == pytest.approx(expected, abs=1e-6)
    lm = load_model(saved("b"))
    swap_weights(lm, folder)
    assert logprobs(lm) == pytest.approx(expected, abs=1e-6)

    class Evil:
        def __reduce__(self) -> Any:
            return (warnings.warn, ("ran code",))

    torch.save({"model.norm.weight": Evil()}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="damaged"):
        swap_weights(lm, folder)


def test_fingerprint_does_not_depend_on_sharding(saved: Save) -> None:
    whole, parts = saved("a"), saved("b", max_shard_size="20KB")
    assert len(list(parts.glob("model-*.safetensors"))) > 1
    assert fingerprint(whole) == fingerprint(parts)
    first = weight_hash(fingerprint(whole))
    assert weight_hash(fingerprint(parts)) == first

    def one_value(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.norm.weight"][7] += 1e-3

    edit(whole, one_value)
    assert weight_hash(fingerprint(whole)) != first


def test_fingerprint_says_what_it_should(saved: Save) -> None:
    folder = saved("a")
    tensors = load_file(folder / "model.safetensors")
    prints = {p.name: p for p in fingerprint(folder)}
    assert sorted(prints) == sorted(tensors)
    name = "model.embed_tokens.weight"
    found, tensor = prints[name], tensors[name]
    assert found.shape == tuple(tensor.shape)
    assert found.dtype == "float32"
    assert found.sum == pytest.approx(float(tensor.double().sum()))
    assert found.first == tuple(tensor.flatten()[:8].tolist())
    assert len(found.sha256) == 64


def test_fingerprint_folds_tied_weights(saved: Save) -> None:
    folder = saved("a", "gpt2")
    first = weight_hash(fingerprint(folder))

    def untie(tensors: dict[str, torch.Tensor]) -> None:
        tensors["lm_head.weight"] = tensors["transformer.wte.weight"].clone()

    edit(folder, untie)
    assert weight_hash(fingerprint(folder)) == first
