"""LoRA: layers are found by architecture, merging changes nothing (`align`, 4.5 and 9.7.13)."""

from typing import Any

import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
)

from polylore.errors import ConfigError
from polylore.training.adapters.config import LoraConfig
from polylore.training.adapters.lora import Lora
from polylore.training.adapters.targets import find_targets


def llama() -> Any:
    return LlamaForCausalLM(
        LlamaConfig(vocab_size=32, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                    num_attention_heads=2, num_key_value_heads=2)
    )  # fmt: skip


def neox() -> Any:
    """Query, key and value in one layer."""
    return GPTNeoXForCausalLM(
        GPTNeoXConfig(vocab_size=32, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                      num_attention_heads=2, max_position_embeddings=32)
    )  # fmt: skip


def gpt2() -> Any:
    """The same, transposed."""
    return GPT2LMHeadModel(
        GPT2Config(vocab_size=32, n_embd=16, n_layer=2, n_head=2, n_positions=32,
                   resid_pdrop=0, embd_pdrop=0, attn_pdrop=0)
    )  # fmt: skip


PAPER = {
    llama: {f"model.layers.{n}.self_attn.{p}_proj" for n in (0, 1) for p in "qv"},
    neox: {f"gpt_neox.layers.{n}.attention.query_key_value" for n in (0, 1)},
    gpt2: {f"transformer.h.{n}.attn.c_attn" for n in (0, 1)},
}
IN_A_BLOCK = {llama: 7, neox: 4, gpt2: 4}


@pytest.mark.parametrize("make", [llama, neox, gpt2], ids=lambda make: make.__name__)
def test_layers_are_found_by_architecture(make: Any) -> None:
    model = make()
    assert set(find_targets(model, "paper")) == PAPER[make]
    everything = find_targets(model, "auto")
    assert len(everything) == 2 * IN_A_BLOCK[make]
    assert set(everything) >= PAPER[make]
    assert not any("head" in name or "embed" in name for name in everything)


def test_a_wrong_name_is_refused_with_the_layers_there_are() -> None:
    with pytest.raises(ConfigError, match=r"W_pack.*down_proj, gate_proj, k_proj"):
        find_targets(llama(), ["W_pack"])
    with pytest.raises(ConfigError, match="no_such"):
        find_targets(llama(), ["q_proj", "no_such"])


@pytest.mark.parametrize("make", [llama, neox, gpt2], ids=lambda make: make.__name__)
def test_only_adapters_learn_and_merging_changes_no_answer(make: Any) -> None:
    pytest.importorskip("peft", reason="needs the extra lora")
    torch.manual_seed(0)
    model = make()
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    rows = torch.randint(0, 32, (3, 9))
    plain = model.eval()(rows).logits
    lora = Lora(LoraConfig(targets="paper", rank=4, alpha=8, dropout=0.0), seed=1)
    adapted = lora.adapt(model).train()
    trainable = [name for name, weight in adapted.named_parameters() if weight.requires_grad]
    assert trainable
    assert all("lora_" in name for name in trainable)
    torch.testing.assert_close(adapted(rows).logits, plain)  # adapters begin at zero
    optimizer = torch.optim.AdamW([w for w in adapted.parameters() if w.requires_grad], lr=0.1)
    for _ in range(3):
        adapted(input_ids=rows, labels=rows).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    adapted.eval()
    learned = adapted(rows).logits
    assert (learned - plain).abs().max() > 0.01
    frozen = {name: weight.detach().clone() for name, weight in adapted.named_parameters()}
    merged = lora.merged(adapted)
    assert type(merged) is type(make())
    assert {name for name, _ in merged.named_parameters()} == set(before)
    torch.testing.assert_close(merged.eval()(rows).logits, learned, atol=1e-5, rtol=1e-4)
    for name, weight in adapted.named_parameters():
        assert torch.equal(weight, frozen[name]), name  # merging left the model alone
    for name, weight in before.items():
        inner = next(w for n, w in frozen.items() if n.replace(".base_layer", "") == name)
        assert torch.equal(weight, inner), name


def test_first_weights_follow_from_the_seed() -> None:
    pytest.importorskip("peft", reason="needs the extra lora")
    base = llama()

    def first(seed: int) -> torch.Tensor:
        model = llama()
        model.load_state_dict(base.state_dict())
        adapted = Lora(LoraConfig(rank=2), seed).adapt(model)
        return next(w for n, w in adapted.named_parameters() if "lora_A" in n).detach()

    state = torch.random.get_rng_state()
    assert torch.equal(first(3), first(3))
    assert not torch.equal(first(3), first(4))
    torch.random.set_rng_state(state)
