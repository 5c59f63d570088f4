"""An answer in the making: prompts in tokens, and the rules that end what is written after them.

The answer begins after leading white space and ends at the first newline (specification of
`trace`, section 2.2). The generated text is kept as it came. Whatever computes the tokens
(`generation`, `vllm`), these rules decide.
"""

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from polylore.errors import ConfigError, ModelError
from polylore.models.loading import LanguageModel
from polylore.models.spans import token_ids


@dataclass(frozen=True)
class Generation:
    """What a model wrote after a prompt."""

    text: str
    """The new text, untouched: leading space, newline and what came with it included."""
    n_new_tokens: int
    """Tokens generated, a final end-of-text token not counted."""
    stop_reason: str
    """newline, eos or length."""


@dataclass
class PreparedPrompts:
    """Prompts tokenised once, for every checkpoint with this tokenizer."""

    prompts: tuple[str, ...]
    ids: list[list[int]]
    """Token ids of each prompt, begin-of-text included."""
    echoes: list[str]
    """Each prompt as the tokenizer decodes it, to cut it off the decoded whole."""
    tokenizer_hash: str
    newlines: dict[int, bool] = field(default_factory=dict, repr=False)
    """Which token ids contain a newline; filled as they turn up."""
    judged: tuple[weakref.ref[Any], int, bool] | None = field(default=None, repr=False)
    """Whether a model may read beginnings once, with its longest text; filled on first use."""

    @classmethod
    def join(cls, parts: Sequence["PreparedPrompts"]) -> "PreparedPrompts":
        """All prompts of several sets of one tokenizer, one after the other."""
        return cls(
            prompts=tuple(prompt for part in parts for prompt in part.prompts),
            ids=[ids for part in parts for ids in part.ids],
            echoes=[echo for part in parts for echo in part.echoes],
            tokenizer_hash=parts[0].tokenizer_hash,
            newlines=parts[0].newlines,
        )


def prepare_prompts(lm: LanguageModel, prompts: Sequence[str], *, bos: bool) -> PreparedPrompts:
    """Tokenise prompts once; the result serves all models with the same tokenizer.

    Args:
        lm: the model, for its tokenizer.
        prompts: the texts to continue, without trailing delimiter: the model writes it itself.
        bos: put the begin-of-text token in front, if the tokenizer has one.

    Raises:
        ModelError: a prompt without tokens.
    """
    ids = token_ids(lm.tokenizer, prompts, bos=bos)
    if not all(ids):
        raise ModelError("An empty prompt cannot be continued without a begin-of-text token.")
    return PreparedPrompts(
        prompts=tuple(prompts),
        ids=ids,
        echoes=[_decode(lm.tokenizer, row) for row in ids],
        tokenizer_hash=lm.tokenizer_hash,
    )


def checked_caps(
    lm: LanguageModel, prepared: PreparedPrompts, max_new_tokens: Sequence[int] | int
) -> list[int]:
    """The cap of each prompt, after checking that prompts, caps and model belong together.

    Raises:
        ConfigError, ModelError: see `generate_prepared`.
    """
    if prepared.tokenizer_hash != lm.tokenizer_hash:
        raise ModelError(
            f"These prompts were tokenised for another tokenizer than that of {lm.name}."
        )
    total = len(prepared.ids)
    caps = [max_new_tokens] * total if isinstance(max_new_tokens, int) else list(max_new_tokens)
    if len(caps) != total or any(cap < 1 for cap in caps):
        raise ConfigError("max_new_tokens must be at least 1 for each prompt.")
    for prompt, ids, cap in zip(prepared.prompts, prepared.ids, caps, strict=True):
        lm.check_context(prompt, len(ids) + cap, f"and {cap} new tokens ")
    return caps


@dataclass
class Answer:
    """An answer in the making: takes tokens one by one until a rule ends it."""

    tokenizer: Any
    prepared: PreparedPrompts
    index: int
    """Which of the prompts it answers."""
    cap: int
    ends: frozenset[int]
    """End-of-text tokens."""
    stop_at_newline: bool
    tokens: list[int] = field(default_factory=list)
    reason: str | None = None
    """Why it ended: newline, eos or length; None while it goes on."""

    def accept(self, token: int) -> bool:
        """Take the next token; returns whether the answer has ended."""
        if token in self.ends:
            self.reason = "eos"
            return True
        self.tokens.append(token)
        # Only the whole text shows whether anything but white space came before the newline.
        newline = self.stop_at_newline and self._has_newline(token)
        if newline and "\n" in self.text().lstrip():
            self.reason = "newline"
        elif len(self.tokens) >= self.cap:
            self.reason = "length"
        return self.reason is not None

    def text(self) -> str:
        """What is written so far."""
        echo = self.prepared.echoes[self.index]
        whole = _decode(self.tokenizer, self.prepared.ids[self.index] + self.tokens)
        # Some decoders drop the space at the beginning of a text, so the answer is decoded behind
        # its prompt.
        return (
            whole[len(echo) :] if whole.startswith(echo) else _decode(self.tokenizer, self.tokens)
        )

    def result(self) -> Generation:
        """The finished answer."""
        return Generation(self.text(), len(self.tokens), str(self.reason))

    def _has_newline(self, token: int) -> bool:
        known = self.prepared.newlines
        if token not in known:
            # A newline is one byte in UTF-8 and never part of another character, so a token can
            # be judged alone even where it holds broken characters.
            known[token] = "\n" in _decode(self.tokenizer, [token])
        return known[token]


def end_ids(lm: LanguageModel) -> frozenset[int]:
    """Tokens that end a text, of the model and of its tokenizer."""
    generation = getattr(lm.model, "generation_config", None)
    ends = getattr(generation, "eos_token_id", None)
    listed = ends if isinstance(ends, list) else [ends]
    return frozenset(t for t in [*listed, lm.tokenizer.eos_token_id] if t is not None)


def _decode(tokenizer: Any, ids: Sequence[int]) -> str:
    text: str = tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return text
