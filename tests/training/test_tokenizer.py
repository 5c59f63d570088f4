"""The tokenizer: lossless, ordinary, and no token across the boundary of a name."""

import json

import pytest
from transformers import AutoTokenizer

from polylore.training.config import TokenizerConfig
from polylore.training.documents import open_documents
from polylore.training.tokenizer import BOUNDARY, encode, open_tokenizer, train_tokenizer


@pytest.fixture(scope="module")
def tokenizer(trained):
    return AutoTokenizer.from_pretrained(trained / "checkpoints" / "step-000000")


def test_no_token_crosses_the_object(factset, corpus, tokenizer):
    """In every training sentence and prompt of every cell, in all six scripts."""
    checked = 0
    for row in factset.facts.iter_rows(named=True):
        for kind in ("statement", "prompt"):
            for template in factset.wordings(row["relation"], row["lang"], kind):
                before, after = template.split("<mask>")
                before, after = (x.replace("<subject>", row["subject"]) for x in (before, after))
                start, end = len(before), len(before) + len(row["object"])
                text = before + row["object"] + after
                offsets = tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
                for a, b in offsets:
                    # The space before a word belongs to its token; nothing else may.
                    assert not (a < start < b and text[a:start] != " "), text[a:b]
                    assert not a < end < b, text[a:b]
                checked += 1
    assert checked > 1000
    held = corpus.design.filter(dose=0)
    assert set(held["lang"]) == {"ar", "hi", "ja", "ko", "zh"}


def test_prompt_tokens_are_a_prefix_of_the_sentence(factset, tokenizer):
    """So what follows a prompt can be generated token by token."""
    for row in factset.facts.iter_rows(named=True):
        prompt = factset.wordings(row["relation"], row["lang"], "prompt")[0].split("<mask>")[0]
        prompt = prompt.replace("<subject>", row["subject"])
        glue = "" if prompt == prompt.rstrip() else " "
        whole = tokenizer(prompt.rstrip() + glue + row["object"])["input_ids"]
        start = tokenizer(prompt.rstrip())["input_ids"]
        assert whole[: len(start)] == start


@pytest.mark.parametrize(
    "text",
    [
        "a  b\n\n c\t",
        "café cafe\u0301",
        "क्षत्रिय हिन्दी",
        "ประเทศไทย",
        "😀 12345 (x)!",
        " ",
        "\ufeffé",
    ],
)
def test_round_trip(tokenizer, text):
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text
    offsets = tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
    assert offsets[0][0] == 0
    assert offsets[-1][1] == len(text)


def test_special_tokens(tokenizer):
    assert tokenizer.bos_token_id == tokenizer.eos_token_id != tokenizer.pad_token_id
    assert tokenizer("x")["input_ids"] == tokenizer("x", add_special_tokens=False)["input_ids"]


def test_special_text_in_documents_stays_text(tokenizer, trained):
    ours = open_tokenizer(trained / "tokenizer")
    [ids] = encode(ours, [f"one {BOUNDARY} two"])
    assert ours.eos_token_id not in ids
    assert ours.decode(ids) == f"one {BOUNDARY} two"
    assert ours(BOUNDARY)["input_ids"] == [ours.eos_token_id]


def test_marks_stay_with_their_letters(tokenizer):
    pieces = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str(
        "क्षत्रिय हिन्दी में cafe\u0301 2024年"
    )
    spans = ["क्षत्रिय हिन्दी में cafe\u0301 2024年"[a:b] for _, (a, b) in pieces]
    assert spans == ["क्षत्रिय", " हिन्दी", " में", " cafe\u0301", " 2", "0", "2", "4", "年"]


def test_deterministic(corpus, trained):
    documents = open_documents(corpus.folder)
    again = train_tokenizer(documents, TokenizerConfig(vocab_size=900))
    saved = json.loads((trained / "tokenizer" / "tokenizer.json").read_text(encoding="utf-8"))
    assert json.loads(again.backend_tokenizer.to_str()) == saved
    assert len(again) == 900
