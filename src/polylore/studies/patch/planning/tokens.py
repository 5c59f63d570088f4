"""Prompts in the tokens of a model: where the object ends, and first tokens of words.

Nothing here needs the model, only its tokenizer (specification of `patch`, section 4.2).
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

from polylore.errors import ModelError

Boundary = Literal["repair", "drop", "split"]


Span = tuple[int, int]
"""Characters [start, stop)."""
_CHUNK = 512


class Located(NamedTuple):
    """A prompt in tokens."""

    ids: list[int]
    object_start: int
    """Index of the first token of the object."""
    o: int
    """Index of its last token."""
    boundary: str
    """clean, repaired or split."""


class _Piece(NamedTuple):
    ids: list[int]
    offsets: list[Span]


def locate(
    tokenizer: Any,
    texts: Sequence[str],
    spans: Sequence[Span],
    boundary: Boundary = "repair",
) -> list[Located]:
    """Tokenise prompts and find their objects.

    A prompt is clean if the last token of its object covers nothing that follows, and if the text
    up to the object's end gives the same ids alone. Otherwise both parts are tokenised apart and
    joined, so that the source prompt is the beginning of the full one in any case.

    Args:
        tokenizer: a Hugging Face tokenizer.
        texts: full prompts.
        spans: characters [start, stop) of each one's object.
        boundary: `split` tokenises every prompt in two parts, which needs no offsets; `repair` and
            `drop` do so where it is needed, and `drop` leaves it to the caller to drop them.

    Raises:
        ModelError: the tokenizer has no character offsets and `boundary` is not `split`.
    """
    if boundary != "split" and not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            "This tokenizer reports no character offsets, so the object cannot be located; set "
            "plan.boundary=split to tokenise every prompt in two parts."
        )
    way = _split if boundary == "split" else _repaired
    found: list[Located] = []
    # Offsets of a whole plan at once would take gigabytes.
    for at in range(0, len(texts), _CHUNK):
        found += way(tokenizer, texts[at : at + _CHUNK], spans[at : at + _CHUNK])
    return found


def _split(tokenizer: Any, texts: Sequence[str], spans: Sequence[Span]) -> list[Located]:
    """Every prompt in two parts, without offsets."""
    rest = _plain(tokenizer, [t[stop:] for t, (_, stop) in zip(texts, spans, strict=True)], False)
    whole = _plain(tokenizer, [t[:stop] for t, (_, stop) in zip(texts, spans, strict=True)], True)
    before = _plain(tokenizer, [t[:s] for t, (s, _) in zip(texts, spans, strict=True)], True)
    return [
        Located([*a, *b], min(_common(a, c), len(a) - 1), len(a) - 1, "split")
        for a, b, c in zip(whole, rest, before, strict=True)
    ]


def _repaired(tokenizer: Any, texts: Sequence[str], spans: Sequence[Span]) -> list[Located]:
    """Every prompt whole, and in two parts where its object merges with what follows."""
    full = _pieces(tokenizer, texts, True)
    cut = _pieces(tokenizer, [t[:stop] for t, (_, stop) in zip(texts, spans, strict=True)], True)
    found: list[Located | None] = []
    torn: list[int] = []
    for number, (whole, head, (start, stop)) in enumerate(zip(full, cut, spans, strict=True)):
        span = _span(whole.offsets, start, stop)
        if span is None or whole.offsets[span[1]][1] > stop or whole.ids[: span[1] + 1] != head.ids:
            torn.append(number)
            found.append(None)
        else:
            found.append(Located(whole.ids, *span, "clean"))
    tails = _pieces(tokenizer, [texts[n][spans[n][1] :] for n in torn], False)
    for number, tail in zip(torn, tails, strict=True):
        head = cut[number]
        span = _span(head.offsets, *spans[number])
        last = len(head.ids) - 1
        # A token without characters of its own is the space that some tokenizers put in front.
        ids = [one for one, (_, end) in zip(tail.ids, tail.offsets, strict=True) if end > 0]
        start = last if span is None else span[0]
        found[number] = Located([*head.ids, *ids], start, last, "repaired")
    return [one for one in found if one is not None]


def _span(offsets: Sequence[Span], start: int, stop: int) -> tuple[int, int] | None:
    """First and last token that overlap the characters [start, stop)."""
    over = [n for n, (a, b) in enumerate(offsets) if a < stop and b > start and a < b]
    return (over[0], over[-1]) if over else None


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    return next(
        (n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
    )


def _pieces(tokenizer: Any, texts: Sequence[str], special: bool) -> list[_Piece]:
    if not texts:
        return []
    out = tokenizer(
        list(texts),
        add_special_tokens=special,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        return_attention_mask=False,
    )
    return [
        _without_end(_Piece(list(ids), [(a, b) for a, b in offsets]), mask)
        for ids, offsets, mask in zip(
            out["input_ids"], out["offset_mapping"], out["special_tokens_mask"], strict=True
        )
    ]


def _without_end(piece: _Piece, special: Sequence[int]) -> _Piece:
    """Without an end-of-text token that a tokenizer appends: the prompt is to be continued."""
    n = len(piece.ids)
    while n and special[n - 1] and piece.offsets[n - 1][0] == piece.offsets[n - 1][1]:
        n -= 1
    return _Piece(piece.ids[:n], piece.offsets[:n])


def _plain(tokenizer: Any, texts: Sequence[str], special: bool) -> list[list[int]]:
    if not texts:
        return []
    encoded = tokenizer(list(texts), add_special_tokens=special, return_attention_mask=False)
    ends = {getattr(tokenizer, "eos_token_id", None), getattr(tokenizer, "sep_token_id", None)}
    rows = []
    for ids in encoded["input_ids"]:
        row = list(ids)
        while special and row and row[-1] in ends and row[-1] is not None:
            row.pop()
        rows.append(row)
    return rows


def first_ids(tokenizer: Any, words: Iterable[str]) -> dict[str, frozenset[int]]:
    """First-token set of each word: the first id of the word and of the word after a space.

    The bare-space token is never part of it: where a tokenizer puts one in front of a word, the
    token after it counts (specification of `patch`, section 2).
    """
    unique = list(dict.fromkeys(words))
    if not unique:
        return {}
    blank: dict[int, bool] = {}

    def first(ids: Sequence[int]) -> int | None:
        for one in ids:
            if one not in blank:
                blank[one] = not tokenizer.decode([one]).strip()
            if not blank[one]:
                return one
        return None

    both = [_plain(tokenizer, [sign + word for word in unique], False) for sign in ("", " ")]
    result = {}
    for word, alone, spaced in zip(unique, *both, strict=True):
        # After a space, the token of the space itself says nothing of the word.
        after = spaced[0] if spaced and first(spaced[:1]) is not None else None
        result[word] = frozenset(one for one in (first(alone), after) if one is not None)
    return result
