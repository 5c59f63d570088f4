"""Draws are those of the softmax, and depend on a prompt's seed and its own text alone."""

from collections.abc import Callable

import pytest
import torch

from polylore.models import (
    LanguageModel,
    PreparedPrompts,
    generate_prepared,
    prepare_prompts,
    writing,
)
from polylore.models.sampling import Sampling
from polylore.models.writing import Request

Make = Callable[..., LanguageModel]
PROMPTS = ["The capital of France is", "The", "La capitale de la France est la ville de"]


def test_draws_follow_the_softmax_above_the_floor() -> None:
    n = 4000
    logits_BV = torch.tensor([[2.0, 1.0, 0.0, -4.0]]).expand(n, -1)
    drawn = Sampling(0.5, range(n)).draw(logits_BV, range(n), [0] * n)
    share = torch.bincount(drawn, minlength=4) / n
    kept = (logits_BV[0, :2] / 0.5).softmax(-1)  # the third is e**-4 of the first, below 0.05
    assert (share[:2] - kept).abs().max() < 0.03
    assert share[2:].sum() == 0


def test_a_text_does_not_depend_on_the_batch(make_model: Make) -> None:
    lm = make_model("llama", seed=1)
    seeds = [7, None, 8]
    together = _continued(lm, PROMPTS, seeds)
    alone = [_continued(lm, [p], [s])[0] for p, s in zip(PROMPTS, seeds, strict=True)]
    assert together == alone
    assert together[1] == _continued(lm, [PROMPTS[1]], None)[0]
    assert _continued(lm, [PROMPTS[0]] * 2, [7, 9])[1] != together[0]


def _continued(lm: LanguageModel, prompts: list[str], seeds: list[int | None] | None) -> list[str]:
    found = generate_prepared(
        lm,
        prepare_prompts(lm, prompts, bos=True),
        max_new_tokens=12,
        sampling=None if seeds is None else Sampling(1.0, seeds),
        token_budget=4096,
    )
    return [one.text for one in found]


def test_a_request_takes_the_chat_template_or_plain_lines(
    make_model: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = make_model("llama", seed=1)
    lm.context = 512
    seen: list[tuple[str, bool]] = []

    def spy(lm: LanguageModel, prompts: list[str], *, bos: bool) -> PreparedPrompts:
        seen.append((prompts[0], bos))
        return prepare_prompts(lm, prompts, bos=bos)

    monkeypatch.setattr(writing, "prepare_prompts", spy)
    template = "{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}"
    monkeypatch.setattr(lm.tokenizer, "chat_template", template)
    request = Request("Say it.", "Paris.", ("Text", "Again"), 3, (("Rome.", "It is Rome."),))
    for chat in (False, True):
        writing.write(lm, [request], chat=chat, temperature=1.0, token_budget=4096)
    assert seen == [
        ("Say it.\n\nText: Rome.\nAgain: It is Rome.\n\nText: Paris.\nAgain:", True),
        ("[user] Say it. Answer with the text alone.\n\nParis.", False),
    ]
