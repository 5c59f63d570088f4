"""First tokens and boundaries with tokenizers of other kinds."""

from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from polylore.studies.patch.planning.tokens import first_ids, locate

SPACE = "\u2581"
VOCAB = ["<s>", "</s>", "<unk>", SPACE, "猫", f"{SPACE}cat", "cat", 's"', '"', *"ABab:-"]


def pieces_tokenizer(*, ends: bool = False) -> Any:
    """A tokenizer that puts a space in front of everything, as SentencePiece ones do."""
    vocab = {piece: number for number, piece in enumerate([*VOCAB, "s"])}
    # Merges win in this order, so `s"` is one token and a lone space stays alone before 猫.
    merges = [("c", "a"), ("ca", "t"), (SPACE, "cat"), ("s", '"')]
    for piece in ("c", "a", "t", "ca"):
        vocab.setdefault(piece, len(vocab))
    raw = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    raw.decoder = decoders.Metaspace(prepend_scheme="always", split=False)
    after = "<s> $A </s>" if ends else "<s> $A"
    raw.post_processor = processors.TemplateProcessing(
        single=after, special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def test_the_bare_space_is_nobodys_first_token() -> None:
    found = first_ids(pieces_tokenizer(), ["猫", "cat"])
    assert found == {"猫": frozenset({VOCAB.index("猫")}), "cat": frozenset({5})}


@pytest.mark.parametrize("boundary", ["repair", "split"])
def test_an_end_of_text_token_is_no_part_of_a_prompt(boundary) -> None:
    text = 'A: "cat" - B: "'
    [plain] = locate(pieces_tokenizer(), [text], [(4, 7)], boundary)
    [ended] = locate(pieces_tokenizer(ends=True), [text], [(4, 7)], boundary)
    assert ended == plain
    assert plain.ids[0] == 0
    assert 1 not in plain.ids


def test_a_repaired_prompt_is_both_parts_joined() -> None:
    tokenizer = pieces_tokenizer()
    text = 'A: "cats" - B: "'
    [found] = locate(tokenizer, [text], [(4, 8)])
    assert found.boundary == "repaired"
    pieces = tokenizer.convert_ids_to_tokens(found.ids)
    assert pieces[found.object_start : found.o + 1] == ["cat", "s"]
    assert found.ids[: found.o + 1] == tokenizer(text[:8])["input_ids"]
    assert pieces[-1] == '"'
    [clean] = locate(tokenizer, ['A: "cat" - B: "'], [(4, 7)])
    assert clean.boundary == "clean"
