"""Tasks in words, given to a model by its chat template or in plain lines, and its answers."""

from collections.abc import Sequence
from dataclasses import dataclass

from polylore.models.answers import prepare_prompts
from polylore.models.generation import generate_prepared
from polylore.models.loading import LanguageModel
from polylore.models.sampling import Sampling
from polylore.models.spans import token_ids


@dataclass(frozen=True)
class Request:
    """One text to be written."""

    instruction: str
    """What is to be done, in a sentence or two."""
    text: str
    """The text that it is about, on one line."""
    labels: tuple[str, str]
    """What to call it and the answer where there is no chat template."""
    seed: int | None = None
    """Seed of the draws; None for the likeliest tokens."""
    examples: tuple[tuple[str, str], ...] = ()
    """Texts with good answers, shown where there is no chat template."""
    room: float = 1.5
    """Most tokens of the answer for each token of the text."""


def write(
    lm: LanguageModel,
    requests: Sequence[Request],
    *,
    chat: bool,
    temperature: float,
    token_budget: int,
) -> list[str]:
    """What the model writes, untouched.

    Args:
        lm: the model.
        requests: what is asked.
        chat: use the tokenizer's chat template; else lines with labels, ended by a newline.
        temperature: of requests with a seed.
        token_budget: tokens in memory at once.

    Raises:
        ModelError: a request that is longer than the model's context, or a model that cannot
            generate.
    """
    texts = token_ids(lm.tokenizer, [request.text for request in requests], bos=False)
    prompts = [_chat(lm, request) if chat else _plain(request) for request in requests]
    found = generate_prepared(
        lm,
        prepare_prompts(lm, prompts, bos=not chat),  # a chat template brings its own
        max_new_tokens=[
            int(request.room * len(ids)) + 16 for request, ids in zip(requests, texts, strict=True)
        ],
        stop_at_newline=not chat,
        sampling=Sampling(temperature, [request.seed for request in requests]),
        token_budget=token_budget,
    )
    return [generation.text for generation in found]


def _chat(lm: LanguageModel, request: Request) -> str:
    said = f"{request.instruction} Answer with the text alone.\n\n{request.text}"
    # transformers renders templates in a sandbox.
    made: str = lm.tokenizer.apply_chat_template(
        [{"role": "user", "content": said}], tokenize=False, add_generation_prompt=True
    )
    return made


def _plain(request: Request) -> str:
    before, after = request.labels
    shown = "".join(f"{before}: {a}\n{after}: {b}\n\n" for a, b in request.examples)
    return f"{request.instruction}\n\n{shown}{before}: {request.text}\n{after}:"
