"""Packed models: unpacked once, whole or not at all, with the numbers of the packed file."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from polylore.errors import ModelError
from polylore.models import gguf
from polylore.models.loading import load_model
from polylore.models.series import read_series

TEXT = "Öl, العربية, 日本語"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of our own."""
    monkeypatch.setenv(gguf.CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """Something with the name of a GGUF file."""
    file = tmp_path / "tiny.gguf"
    file.write_bytes(b"packed")
    return file


class Converter:
    """Stands for the long conversion; counts its calls and can be interrupted."""

    def __init__(self, interrupted: bool = False) -> None:
        self.calls, self.interrupted = 0, interrupted

    def __call__(self, file: Path, folder: Path, progress: gguf.Progress) -> None:
        self.calls += 1
        progress(0, 1, "unpacking")
        (folder / "config.json").write_text(file.read_text())
        if self.interrupted:
            raise KeyboardInterrupt
        progress(1, 1, "unpacking")


def test_made_once_and_then_only_found(packed: Path, cache: Path) -> None:
    convert, shown = Converter(), []
    for _ in range(2):
        folder = gguf.unpack(
            str(packed), convert=convert, progress=lambda *step: shown.append(step)
        )
        assert folder == cache / "tiny"
        assert (folder / "config.json").read_text() == "packed"
    assert convert.calls == 1
    assert shown == [(0, 1, "unpacking"), (1, 1, "unpacking")]


def test_another_file_of_the_name_is_unpacked_anew(packed: Path) -> None:
    convert = Converter()
    gguf.unpack(str(packed), convert=convert)
    packed.write_bytes(b"other")
    folder = gguf.unpack(str(packed), convert=convert)
    assert convert.calls == 2
    assert (folder / "config.json").read_text() == "other"


def test_an_interrupted_conversion_leaves_nothing(packed: Path, cache: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        gguf.unpack(str(packed), convert=Converter(interrupted=True))
    assert [p.name for p in cache.iterdir() if not p.name.endswith(".lock")] == []
    assert gguf.unpack(str(packed), convert=Converter()).is_dir()


def test_what_a_killed_conversion_left_is_cleared(packed: Path, cache: Path) -> None:
    for name in (".tmp-1-tiny", ".tmp-1-other"):
        (cache / name).mkdir(parents=True)
    gguf.unpack(str(packed), convert=Converter())
    assert not (cache / ".tmp-1-tiny").exists()
    assert (cache / ".tmp-1-other").exists()  # somebody may be at work on it


def test_a_folder_with_something_else_is_refused(packed: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letter.txt").write_text("dear")
    with pytest.raises(ModelError, match="holds something else"):
        gguf.unpack(str(packed), mine, convert=Converter())
    assert (mine / "letter.txt").read_text() == "dear"
    out = gguf.unpack(str(packed), tmp_path / "new", convert=Converter())
    assert out == tmp_path / "new"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("gemma4", r"neither a packed model \(gemma3-270m, smollm2-135m\) nor a .gguf file"),
        ("absent.gguf", "There is no file absent.gguf"),
    ],
)
def test_unknown_sources(source: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        gguf.unpack(source)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = gguf.Packed("no-such-package", "no_such_package", "pip install no-such-package")
    monkeypatch.setitem(gguf.PACKED, "absent", absent)
    with pytest.raises(ModelError, match="no-such-package, which holds absent, is not installed"):
        gguf.unpack("absent")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package called `boxed`, for PACKED to name."""
    root = tmp_path / "site" / "boxed"
    root.mkdir(parents=True)
    monkeypatch.syspath_prepend(root.parent)
    monkeypatch.setattr(gguf.metadata, "version", lambda name: "1.0")
    monkeypatch.setitem(gguf.PACKED, "boxed", gguf.Packed("boxed", "boxed", "pip install boxed"))
    yield root
    sys.modules.pop("boxed", None)


def test_a_file_inside_a_package_is_used_where_it_lies(package: Path) -> None:
    # Importing would fail, as it does where the package's own dependencies are absent.
    (package / "__init__.py").write_text("raise ImportError('no llama.cpp')")
    (package / "model.gguf").write_bytes(b"whole")
    folder = gguf.unpack("boxed", convert=Converter())
    assert folder.name == "boxed"
    assert (folder / "config.json").read_text() == "whole"


def test_a_file_in_parts_is_put_together_meanwhile(package: Path) -> None:
    (package / "__init__.py").write_text(
        "from pathlib import Path\n"
        "def assemble(path):\n    Path(path).write_bytes(b'to' + b'gether')\n    return path\n"
    )
    folder = gguf.unpack("boxed", convert=Converter())
    assert (folder / "config.json").read_text() == "together"
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", gguf.MARKER]


def test_a_damaged_package_is_named(package: Path) -> None:
    (package / "__init__.py").write_text("def assemble(path):\n    raise ValueError('sha256')\n")
    with pytest.raises(ModelError, match=r"boxed is damaged \(sha256\)"):
        gguf.unpack("boxed", convert=Converter())


def test_a_file_that_is_no_gguf(packed: Path) -> None:
    pytest.importorskip("gguf", reason="needs the extra realmodels")
    with pytest.raises(ModelError, match="cannot be read"):
        gguf.unpack(str(packed))


def _write(path: Path, model: torch.nn.Module) -> None:
    """A Llama as llama.cpp's converter writes it, in float32, with one token per byte."""
    writer_of = pytest.importorskip("gguf", reason="needs the extra realmodels")
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    c = model.config
    w = writer_of.GGUFWriter(path, "llama")
    w.add_block_count(c.num_hidden_layers)
    w.add_context_length(c.max_position_embeddings)
    w.add_embedding_length(c.hidden_size)
    w.add_feed_forward_length(c.intermediate_size)
    w.add_head_count(c.num_attention_heads)
    w.add_head_count_kv(c.num_key_value_heads)
    w.add_layer_norm_rms_eps(c.rms_norm_eps)
    w.add_rope_freq_base(10000.0)
    w.add_vocab_size(c.vocab_size)
    w.add_tokenizer_model("gpt2")
    w.add_token_list(["<s>", "<|endoftext|>", *bytes_to_unicode().values(), "ab"])
    w.add_token_types([3, 3, *[1] * 257])
    w.add_token_merges(["a b"])
    w.add_bos_token_id(0)
    w.add_eos_token_id(1)
    state = {k: v.float().numpy() for k, v in model.state_dict().items()}

    def interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
        halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, weight.shape[1])
        return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(weight.shape))

    w.add_tensor("token_embd.weight", state["model.embed_tokens.weight"])
    w.add_tensor("output_norm.weight", state["model.norm.weight"])
    for n in range(c.num_hidden_layers):
        own, at = f"model.layers.{n}.", f"blk.{n}."
        q, k = (state[f"{own}self_attn.{x}_proj.weight"] for x in "qk")
        w.add_tensor(f"{at}attn_q.weight", interleaved(q, c.num_attention_heads))
        w.add_tensor(f"{at}attn_k.weight", interleaved(k, c.num_key_value_heads))
        for there, here in {
            "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
            "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
            "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
        }.items():  # fmt: skip
            w.add_tensor(f"{at}{there}.weight", state[f"{own}{here}.weight"])
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def test_numbers_are_those_of_the_packed_file(tmp_path: Path, cache: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=259, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
        tie_word_embeddings=True, initializer_range=0.2,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    _write(tmp_path / "byte-llama.gguf", model)
    steps: list[tuple[int, int]] = []
    folder = gguf.unpack(
        str(tmp_path / "byte-llama.gguf"), progress=lambda n, of, what: steps.append((n, of))
    )
    assert steps == [(n, 4) for n in range(5)]
    lm = load_model(folder)
    ids = lm.tokenizer(TEXT, add_special_tokens=False, return_tensors="pt")["input_ids"]
    assert lm.tokenizer.is_fast
    assert lm.tokenizer.decode(ids[0]) == TEXT
    assert lm.tokenizer.bos_token == "<s>"
    assert lm.model.get_output_embeddings().weight is lm.model.get_input_embeddings().weight
    with torch.inference_mode():
        torch.testing.assert_close(lm.model(ids).logits, model(ids).logits, atol=1e-5, rtol=0)
    row = read_series(folder).row(0, named=True)
    assert (row["ckpt_id"], row["final"]) == ("byte-llama", True)


@pytest.mark.parametrize("name", list(gguf.PACKED))
def test_the_real_models(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the packed file itself: some of its tensors, unpacked by another library."""
    reader = pytest.importorskip("gguf", reason="needs the extra realmodels")
    monkeypatch.delenv(gguf.CACHE_VARIABLE)
    folder = gguf.cache_folder() / name
    if not (folder / gguf.MARKER).is_file():
        pytest.skip(f"{name} was not unpacked here; run `polylore unpack {name}`")
    with gguf._file(gguf.PACKED[name], name, folder.parent) as file:
        tensors = {t.name: t for t in reader.GGUFReader(file).tensors}
        lm = load_model(folder)
        state = lm.model.state_dict()
        for there, here in (
            ("token_embd", "model.embed_tokens"),
            ("blk.0.ffn_down", "model.layers.0.mlp.down_proj"),
            ("blk.1.attn_v", "model.layers.1.self_attn.v_proj"),
        ):
            tensor = tensors[f"{there}.weight"]
            wanted = reader.dequantize(tensor.data, tensor.tensor_type)
            torch.testing.assert_close(state[f"{here}.weight"], torch.from_numpy(wanted.copy()))
    with torch.inference_mode():
        bos = [lm.tokenizer.bos_token_id] if name.startswith("gemma") else []
        text = "The capital of France is Paris, and the capital of Germany is Berlin."
        ids = torch.tensor([bos + lm.tokenizer(text, add_special_tokens=False)["input_ids"]])
        loss = lm.model(ids, labels=ids).loss
    assert loss < 2.5  # nats per token; random weights would give 10 and more
