"""Greedy text equals one-by-one decoding and does not depend on the batch."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from polylore.errors import ConfigError, ModelError
from polylore.models import (
    Generation,
    LanguageModel,
    generate,
    generate_prepared,
    prepare_prompts,
)
from polylore.models import generation as module

PROMPTS = [
    "The capital of France is",
    "The",
    "法国的首都是",
    "日本の首都は",
    "عاصمة فرنسا هي",
    "फ़्रांस की राजधानी",
    "La capitale de la France est la ville de",
]
CAPS = [5, 12, 8, 3, 10, 1, 7]

Make = Callable[..., LanguageModel]


def naive(lm: LanguageModel, prompt: str, cap: int) -> tuple[list[int], str]:
    ids = [lm.tokenizer.bos_token_id, *lm.tokenizer(prompt)["input_ids"]]
    new: list[int] = []
    while len(new) < cap:
        with torch.inference_mode():
            token = int(lm.model(torch.tensor([ids + new])).logits[0, -1].argmax())
        if token == lm.tokenizer.eos_token_id:
            return new, "eos"
        new.append(token)
        if "\n" in lm.tokenizer.decode(new).lstrip():
            return new, "newline"
    return new, "length"


class Script:
    """Replaces a model by one that writes given token ids after each prompt length."""

    def __init__(self, lm: LanguageModel, tokens: list[int]) -> None:
        self.tokens = tokens
        head = lm.model.get_output_embeddings()
        self.step = 0

        def write(_: Any, __: Any, output: torch.Tensor) -> torch.Tensor:
            forced = torch.full_like(output, -1.0)
            forced[..., self.tokens[self.step]] = 1.0
            self.step += 1
            return forced

        head.register_forward_hook(write)


def ids(lm: LanguageModel, text: str) -> list[int]:
    return list(lm.tokenizer(text)["input_ids"])


def test_equal_to_one_by_one_for_every_batch_size(make_model: Make) -> None:
    lm = make_model("gpt2", seed=3)
    expected = [naive(lm, prompt, cap) for prompt, cap in zip(PROMPTS, CAPS, strict=True)]
    width = 40
    for rows in (1, 3, 32):
        found = generate(lm, PROMPTS, max_new_tokens=CAPS, bos=True, token_budget=rows * width)
        for generation, (tokens, reason) in zip(found, expected, strict=True):
            assert generation.text == lm.tokenizer.decode(tokens)
            assert generation.n_new_tokens == len(tokens)
            assert generation.stop_reason == reason


def test_finished_rows_leave_the_batch(make_model: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    lm = make_model()
    sizes: list[int] = []
    real = lm.model.forward

    def watched(*args: Any, **kwargs: Any) -> Any:
        sizes.append(len(kwargs["input_ids"]))
        return real(*args, **kwargs)

    monkeypatch.setattr(lm.model, "forward", watched)
    monkeypatch.setattr(module, "may_share", lambda *_: False)
    caps = [1, 1, 2, 2, 4, 4, 8]
    generate(lm, PROMPTS, max_new_tokens=caps, bos=True, stop_at_newline=False, token_budget=10_000)
    assert sizes[0] == 7
    assert sizes[-1] == 1
    assert sizes == sorted(sizes, reverse=True)


def test_demonstrations_are_read_once(make_model: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    lm = make_model()
    demonstrations = "The capital of Germany is Berlin. La capitale de la France est Paris."
    prompts = [f"{demonstrations} {subject}" for subject in ("Japan is", "X", "日本", "A b c")] * 5
    lengths = [1 + len(ids(lm, prompt)) for prompt in prompts]
    read: list[int] = []
    real = lm.model.forward

    def watched(*args: Any, **kwargs: Any) -> Any:
        read.append(kwargs["input_ids"].numel())
        return real(*args, **kwargs)

    monkeypatch.setattr(lm.model, "forward", watched)
    prepared = prepare_prompts(lm, prompts, bos=True)
    options: dict[str, Any] = {"max_new_tokens": 1, "token_budget": 10_000}
    found = generate_prepared(lm, prepared, **options)
    read.clear()  # the first time, both ways were compared
    assert generate_prepared(lm, prepared, **options) == found
    assert sum(read) < sum(lengths) / 2
    alone = [generate(lm, [p], max_new_tokens=1, bos=True, token_budget=100)[0] for p in prompts]
    assert found == alone


def test_stops_at_the_first_newline_after_text(make_model: Make) -> None:
    lm = make_model()
    tokens = [*ids(lm, "\n"), *ids(lm, " "), *ids(lm, "\n"), *ids(lm, "Pa"), *ids(lm, "\n"), 5, 5]
    Script(lm, tokens)
    (found,) = generate(lm, ["The"], max_new_tokens=20, bos=True, token_budget=100)
    assert found == Generation("\n \nPa\n", len(tokens) - 2, "newline")


def test_a_newline_is_only_a_stop_if_asked_for(make_model: Make) -> None:
    lm = make_model()
    tokens = [*ids(lm, "P"), *ids(lm, "\n"), *ids(lm, "Q"), lm.tokenizer.eos_token_id]
    Script(lm, tokens)
    (found,) = generate(
        lm, ["The"], max_new_tokens=20, bos=True, stop_at_newline=False, token_budget=100
    )
    assert found == Generation("P\nQ", 3, "eos")


def test_characters_split_over_tokens_come_out_whole(make_model: Make) -> None:
    lm = make_model()
    text = "巴黎é👍"
    tokens = ids(lm, text)
    assert len(tokens) > len(text)
    Script(lm, [*tokens, lm.tokenizer.eos_token_id])
    (found,) = generate(lm, ["法国的首都是"], max_new_tokens=30, bos=True, token_budget=100)
    assert found == Generation(text, len(tokens), "eos")


def test_a_character_cut_by_the_cap_does_not_spoil_the_rest(make_model: Make) -> None:
    lm = make_model()
    tokens = ids(lm, "é👍")
    Script(lm, tokens)
    (found,) = generate(lm, ["The"], max_new_tokens=len(tokens) - 1, bos=True, token_budget=100)
    assert found.text.startswith("é")
    assert "👍" not in found.text
    assert found.stop_reason == "length"


def test_memory_that_runs_out_halves_the_batch(
    make_model: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = make_model()
    expected = generate(lm, PROMPTS, max_new_tokens=4, bos=True, token_budget=10_000)
    real, refused = lm.model.forward, []

    def scarce(*args: Any, **kwargs: Any) -> Any:
        if len(kwargs["input_ids"]) > 2:
            refused.append(len(kwargs["input_ids"]))
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(*args, **kwargs)

    monkeypatch.setattr(lm.model, "forward", scarce)
    assert generate(lm, PROMPTS, max_new_tokens=4, bos=True, token_budget=200) == expected
    assert refused


def test_refusals(make_model: Make) -> None:
    lm = make_model()
    with pytest.raises(ModelError, match=r"and 70 new tokens needs \d+ tokens"):
        generate(lm, ["The"], max_new_tokens=70, bos=True, token_budget=100)
    with pytest.raises(ConfigError, match="at least 1"):
        generate(lm, ["The"], max_new_tokens=0, bos=True, token_budget=100)
    with pytest.raises(ModelError, match="empty prompt"):
        generate(lm, [""], max_new_tokens=3, bos=False, token_budget=100)
    with pytest.raises(ModelError, match="keeps no key/value cache"):
        generate(make_model("mamba"), ["The"], max_new_tokens=3, bos=True, token_budget=100)


def test_no_prompts_no_text(make_model: Make) -> None:
    assert generate(make_model(), [], max_new_tokens=3, bos=True, token_budget=100) == []


def test_compaction_changes_nothing(make_model: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    lm = make_model()
    results = []
    for share in (0.0, 2.0):
        monkeypatch.setattr(module, "COMPACT", share)
        results.append(generate(lm, PROMPTS, max_new_tokens=CAPS, bos=True, token_budget=500))
    assert results[0] == results[1]
