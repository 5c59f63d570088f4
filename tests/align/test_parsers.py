"""From text to option."""

import polars as pl
import pytest

from polylore.metrics.align.parsed import parse_answers
from polylore.metrics.align.parsers import Parsed, first_char, head, lenient, robust
from polylore.tables.align import ANSWERS, ITEMS

OK, NONE = "ok", None


@pytest.mark.parametrize(
    ("text", "option", "status"),
    [
        ("А.", 0, "lookalike"),  # Cyrillic
        ("Ｂ", 1, OK),  # full width
        ("b", 1, "lookalike"),
        ("b.", 1, "lookalike"),
        ("Because", NONE, "word_start"),
        ("(C) x", 2, OK),
        ("（C）", 2, OK),
        ("Answer: D.", 3, "late"),
        ("The answer is D", 3, "late"),
        ("答案是 B", 1, "late"),
        ("Answer: 1 2 D", NONE, "word_start"),
        ("Options 1 to 4: D", NONE, "unparsed"),
        ("E", NONE, "out_of_range"),
        ("E. The answer is B", 1, "late"),
        ("", NONE, "empty"),
        ("  </s> ", NONE, "empty"),
        ("</s>A", 0, OK),
        ("<|im_end|>A", 0, OK),
        ("options: A, B, C", 0, "late"),
        ("42", NONE, "unparsed"),
    ],
)
def test_robust(text, option, status):
    assert robust(text, 4) == Parsed(option, status)


def test_first_char():
    assert first_char(" A.", 4) == 0
    assert first_char("Because", 4) == 1
    assert first_char("А", 4) is None  # Cyrillic
    assert first_char("E", 4) is None
    assert head("  ") == "F"


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("options: A, B, C", None),
        ("options A/B", None),
        ("Answer: B", 1),
        ("ג", 2),
        ("(ب)", 1),
        ("ه", None),  # the fifth letter, with four options
        ("cairo", 1),
        ("Alex", 0),
        ("Ale", None),
        ("Port", None),  # begins two options
        ("Port Said", 2),
    ],
)
def test_lenient(text, option):
    found = lenient(text, 4, ["Alexandria", "Cairo", "Port Said", "Port Sudan"])
    assert found.option == option


def test_rotated_letters_name_contents():
    items = ITEMS.build(
        [{"dataset": "s", "item": 0, "fact_id": "s:0", "cluster": "0", "n_options": 3,
          "gold_index": 0}]
    )  # fmt: skip
    row = {"model": "m", "mode": "generate", "variant": "v", "dataset": "s", "item": 0, "lang": "x"}
    answers = ANSWERS.build(
        [row | {"rotation": turn, "raw_output": "C"} for turn in range(3)]
        + [row | {"answer_index": 1}]
    )
    parsed = parse_answers(answers, items)
    assert parsed["robust"].to_list() == [2, 0, 1, 1]
    assert parsed["status"].to_list() == ["ok", "ok", "ok", "scored"]
    with pytest.raises(Exception, match="not among the items"):
        parse_answers(answers.with_columns(item=pl.lit(7, pl.Int32())), items)
