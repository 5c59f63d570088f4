"""Which tokens of a string belong to its target.

Strings are always tokenised whole: prompt and target together, exactly as a model would read them.
The tokens of the target are then found through character offsets, so nothing depends on spaces,
on the direction of the script, or on a prompt being tokenised the same way alone.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from polylore.errors import ModelError

Offsets = Sequence[tuple[int, int]]


class Encoded(NamedTuple):
    """A tokenised string and the tokens of its target."""

    ids: list[int]
    """Token ids of the whole string, the begin-of-text token included."""
    start: int
    """Index of the first target token."""
    stop: int
    """Index after the last target token."""


def tail(prompt: str, length: int = 80) -> str:
    """The end of a prompt on one line, for messages: the question, not its demonstrations."""
    line = " ".join(prompt.split())
    return line if len(line) <= length else f"...{line[-length:]}"


def target_span(offsets: Offsets, start: int, stop: int) -> tuple[int, int] | None:
    """Token span ``[first, last + 1)`` that overlaps the characters ``[start, stop)``.

    A token that straddles the border counts. Tokens without characters of their own (some
    tokenizers report white space so) belong to the target if they stand between two of its tokens.

    Returns:
        None if no token overlaps the characters.
    """
    first = last = None
    for index in range(len(offsets) - 1, -1, -1):
        left, right = offsets[index]
        if left == right:
            continue
        if right <= start:
            break
        if left < stop:
            first = index
            last = index if last is None else last
    if first is None or last is None:
        return None
    return first, last + 1


def token_ids(tokenizer: Any, texts: Sequence[str], *, bos: bool) -> list[list[int]]:
    """Token ids of plain texts, with the begin-of-text token in front if `bos` asks for it."""
    if not texts:
        return []
    ids = _encode(tokenizer, texts, offsets=False)["input_ids"]
    return [_with_bos(tokenizer, row, bos)[0] for row in ids]


def encode(
    tokenizer: Any, prompts: Sequence[str], targets: Sequence[str], *, bos: bool
) -> list[Encoded]:
    """Tokenise each ``prompt + target`` as one string and locate the target's tokens.

    Args:
        tokenizer: a fast Hugging Face tokenizer (slow ones report no offsets).
        prompts: everything in front of the targets, the delimiter included.
        targets: the strings whose tokens are wanted.
        bos: put the tokenizer's begin-of-text token in front, if it has one and the string does
            not already begin with it.

    Raises:
        ModelError: the tokenizer has no offsets, or a target has no token of its own.
    """
    if not prompts:
        return []
    _require_offsets(tokenizer)
    texts = [prompt + target for prompt, target in zip(prompts, targets, strict=True)]
    output = _encode(tokenizer, texts, offsets=True)
    result = []
    for prompt, text, ids, offsets in zip(
        prompts, texts, output["input_ids"], output["offset_mapping"], strict=True
    ):
        span = target_span(offsets, len(prompt), len(text))
        if span is None:
            raise ModelError(
                f"'{text[len(prompt) :]}' after '{tail(prompt)}' has no token of its own in this "
                "tokenizer, so it cannot be scored; remove or correct it."
            )
        row, shift = _with_bos(tokenizer, ids, bos)
        result.append(Encoded(row, span[0] + shift, span[1] + shift))
    return result


def offset_tokens(
    tokenizer: Any, texts: Sequence[str], *, bos: bool
) -> list[tuple[list[int], Offsets, int]]:
    """Token ids of plain texts, the characters of each token, and how many tokens stand in front.

    The offsets are those of the text's own tokens; a begin-of-text token in front has none, so the
    token ``offsets[k]`` belongs to is ``ids[k + shift]``.

    Raises:
        ModelError: the tokenizer has no offsets.
    """
    if not texts:
        return []
    _require_offsets(tokenizer)
    output = _encode(tokenizer, texts, offsets=True)
    result = []
    for ids, offsets in zip(output["input_ids"], output["offset_mapping"], strict=True):
        row, shift = _with_bos(tokenizer, ids, bos)
        result.append((row, offsets, shift))
    return result


def _require_offsets(tokenizer: Any) -> None:
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            f"The tokenizer {type(tokenizer).__name__} reports no character offsets, which are "
            "needed to find answers and subjects; save a fast tokenizer (tokenizer.json) beside "
            "the model."
        )


def _encode(tokenizer: Any, texts: Sequence[str], *, offsets: bool) -> Any:
    # verbose=False: the tokenizer's own length warning is replaced by our check of the context.
    return tokenizer(
        list(texts),
        add_special_tokens=False,
        return_offsets_mapping=offsets,
        return_attention_mask=False,
        padding=False,
        truncation=False,
        verbose=False,
    )


def _with_bos(tokenizer: Any, ids: list[int], bos: bool) -> tuple[list[int], int]:
    begin = tokenizer.bos_token_id
    if not bos or begin is None or ids[:1] == [begin]:
        return ids, 0
    return [begin, *ids], 1
