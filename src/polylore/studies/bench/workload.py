"""The model and the questions of the benchmark, made from a seed."""

import random
from typing import Any

import torch

from polylore.errors import ConfigError
from polylore.models import LanguageModel, Question, wrap
from polylore.studies.bench.config import Size

DEMONSTRATIONS = 60
QUESTION = (8, 20)
CANDIDATES = 10
CANDIDATE = (1, 4)
"""Lengths in tokens, and candidates of one question."""


def make_workload(questions: int, shared: int, vocabulary: int, seed: int = 0) -> list[Question]:
    """Questions of random words, all of which are single tokens of `make_model`'s tokenizer.

    Args:
        questions: how many.
        shared: how many in a row have the same demonstrations.
        vocabulary: of the model, in tokens.
        seed: of the words.
    """
    rng = random.Random(seed)
    content = _content(vocabulary)

    def words(shortest: int, longest: int) -> str:
        return " ".join(rng.choice(content) for _ in range(rng.randint(shortest, longest)))

    made, demonstrations = [], ""
    for number in range(questions):
        if number % shared == 0:
            demonstrations = words(DEMONSTRATIONS, DEMONSTRATIONS)
        # A dictionary rather than a set: the order must not depend on hashes.
        candidates: dict[str, None] = {}
        while len(candidates) < CANDIDATES:
            candidates[words(*CANDIDATE)] = None
        made.append(Question(f"{demonstrations} {words(*QUESTION)}", " ", tuple(candidates)))
    return made


def make_model(name: str, size: Size, dtype: str, device: str) -> LanguageModel:
    """A Llama with random weights and a tokenizer whose words are single tokens.

    Raises:
        ConfigError: there is no such device.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.hidden,
        intermediate_size=size.inner,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.kv_heads,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=1,
    )
    model = LlamaForCausalLM(config).eval()
    try:
        model = model.to(device=torch.device(device), dtype=getattr(torch, dtype))
    except (RuntimeError, AssertionError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise ConfigError(f"The device {device} cannot be used here ({reason}).") from error
    return wrap(model, _tokenizer(size.vocabulary), f"random Llama {name}")


def _content(vocabulary: int) -> list[str]:
    return [f"w{number}" for number in range(vocabulary - 4)]


def _tokenizer(vocabulary: int) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["<s>", "</s>", "<unk>", "<pad>", *_content(vocabulary)]
    raw = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    # As Llama's own tokenizer, it begins a text with <s> wherever special tokens are asked for.
    raw.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
    )
