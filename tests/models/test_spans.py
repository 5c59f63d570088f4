"""Target tokens by character offsets, in scripts with and without spaces."""

from typing import Any

import pytest
import transformers as tf
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from polylore.errors import ModelError
from polylore.models.spans import encode, target_span, token_ids

CASES = [
    ("The capital of France is", " ", "Paris"),
    ("The largest city is", " ", "New York"),
    ("Столица Франции —", " ", "Париж"),
    ("法国的首都是", "", "巴黎"),
    ("日本の首都は", "", "東京"),
    ("عاصمة فرنسا هي", " ", "باريس"),
    ("फ़्रांस की राजधानी", " ", "पेरिस"),
    ("emoji:", " ", "👩‍👩‍👧‍👦"),
]


def reference(tokenizer: Any, prompt: str, text: str) -> tuple[int, int]:
    """First and last+1 token that hold a byte of the target, by decoding bytes."""
    alphabet = {c: b for b, c in bytes_to_unicode().items()}
    position, held = 0, []
    border = len(prompt.encode())
    for index, token in enumerate(tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"])):
        span = range(position, position + len(token))
        assert all(c in alphabet for c in token)
        if span.stop > border:
            held.append(index)
        position = span.stop
    return held[0], held[-1] + 1


def bytes_to_unicode() -> dict[int, str]:
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {b: chr(b) for b in printable}
    for number, byte in enumerate(b for b in range(256) if b not in table):
        table[byte] = chr(256 + number)
    return table


@pytest.mark.parametrize(("prompt", "delimiter", "target"), CASES)
def test_span_holds_exactly_the_bytes_of_the_target(
    tokenizer: Any, prompt: str, delimiter: str, target: str
) -> None:
    (found,) = encode(tokenizer, [prompt + delimiter], [target], bos=False)
    first, stop = reference(tokenizer, prompt + delimiter, prompt + delimiter + target)
    assert (found.start, found.stop) == (first, stop)
    assert found.stop == len(found.ids)
    decoded = tokenizer.decode(found.ids[found.start : found.stop])
    assert decoded.lstrip().endswith(target) or target.endswith(decoded.lstrip())


def test_straddling_token_counts() -> None:
    # "isParis" as one token: prompt and target share it.
    assert target_span([(0, 3), (3, 8), (8, 10)], 5, 10) == (1, 3)


def test_straddling_token_in_a_real_tokenizer() -> None:
    model = Tokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=300, show_progress=False)
    model.train_from_iterator(["abcd " * 50], trainer)
    tokenizer = tf.PreTrainedTokenizerFast(tokenizer_object=model)
    (found,) = encode(tokenizer, ["ab"], ["cd"], bos=False)
    assert tokenizer.convert_ids_to_tokens(found.ids) == ["abcd"]
    assert (found.start, found.stop) == (0, 1)


def test_tokens_without_characters_between_target_tokens_count() -> None:
    # trim_offsets reports a lone space as (5, 5).
    assert target_span([(0, 2), (2, 2), (3, 5), (5, 5), (6, 9)], 3, 9) == (2, 5)


def test_tokens_after_the_target_do_not_count() -> None:
    assert target_span([(0, 3), (3, 6), (6, 7)], 3, 6) == (1, 2)


def test_target_without_tokens_is_refused() -> None:
    model = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    model.pre_tokenizer = pre_tokenizers.Whitespace()
    model.normalizer = normalizers.Replace("b", "")
    tokenizer = tf.PreTrainedTokenizerFast(tokenizer_object=model)
    with pytest.raises(ModelError, match="'b' after 'a' has no token of its own"):
        encode(tokenizer, ["a "], ["b"], bos=False)


def test_bos_is_put_in_front_once(tokenizer: Any) -> None:
    begin = tokenizer.bos_token_id
    without, with_, given = (
        token_ids(tokenizer, ["Paris"], bos=False)[0],
        token_ids(tokenizer, ["Paris"], bos=True)[0],
        token_ids(tokenizer, ["<s>Paris"], bos=True)[0],
    )
    assert with_ == [begin, *without] == given
    (plain,) = encode(tokenizer, ["Paris "], ["is"], bos=False)
    (shifted,) = encode(tokenizer, ["Paris "], ["is"], bos=True)
    assert shifted == ([begin, *plain.ids], plain.start + 1, plain.stop + 1)


def test_slow_tokenizer_is_refused() -> None:
    class Slow:
        is_fast = False

    with pytest.raises(ModelError, match="reports no character offsets"):
        encode(Slow(), ["a"], ["b"], bos=False)


def test_sentencepiece_like_tokenizer_with_byte_fallback() -> None:
    model = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    model.pre_tokenizer = pre_tokenizers.Metaspace()
    model.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<unk>", *(f"<0x{b:02X}>" for b in range(256))],
        show_progress=False,
    )
    model.train_from_iterator(["the capital is Paris", "the city"], trainer)
    model.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
    tokenizer = tf.PreTrainedTokenizerFast(tokenizer_object=model)
    for prompt, target in (("the city ", "Paris"), ("the capital", "巴黎"), ("the ", "é")):
        (found,) = encode(tokenizer, [prompt], [target], bos=False)
        pieces = tokenizer.convert_ids_to_tokens(found.ids)
        decoded = tokenizer.decode(found.ids[found.start :])
        assert target in decoded, pieces
        assert target not in tokenizer.decode(found.ids[found.start + 1 :]), pieces
