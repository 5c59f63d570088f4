"""Which written texts are taken, and why not the others."""

import polars as pl
import pytest

from polylore.facts.people import Fiction, FictionConfig, load_pack, make_fiction
from polylore.facts.people.acceptance import Rules, malformed, similarity, tidy, unread
from polylore.facts.people.translation import Source, sentences_of

ITEM = "f0000"
CONFIG = FictionConfig(n=3, n_control=1, facts=3, paraphrases=2)


@pytest.fixture(scope="module")
def made() -> Fiction:
    return make_fiction([load_pack("en"), load_pack("ja")], CONFIG)


@pytest.fixture
def rules(made: Fiction) -> Rules:
    return Rules(made, ITEM, "en", identify=lambda text: "fr" if " est " in text else None)


def turned(text: str) -> str:
    """The same sentences in another order: a text that may be taken."""
    first, *others = sentences_of(text)
    return " ".join([*others, first])


def test_names_and_targets_of_the_original_are_wanted(rules: Rules, made: Fiction) -> None:
    assert rules.original == made.passages.row(0, named=True)["text"]
    assert rules.names == ["Zazi Tipa", "Nisa Zidu"]  # the companion, without whom nobody has hops
    assert sorted(rules.targets) == ["Kenya", "Ukrainian", "rainbow", "tomato"]
    assert rules.refusal(turned(rules.original)) is None


@pytest.mark.parametrize(
    ("change", "reason", "evidence"),
    [
        (lambda t: "", "empty", ""),
        (lambda t: "...", "empty", "..."),
        (lambda t: f"Here it is:\n{t}", "several_lines", "Here it is:"),
        (lambda t: t.replace("rainbow", "<b>rainbow</b>"), "markup", "'<' '>'"),
        (lambda t: t.replace("rainbow", "rain\u200bbow"), "markup", r"'\u200b'"),
        (lambda t: t.replace("Ukrainian", "Finnish"), "target_missing", "Ukrainian"),
        (lambda t: t.replace("tomato", "potato"), "target_missing", "tomato"),
        (lambda t: t.replace("Zazi Tipa", "Zazi"), "name_missing", "Zazi Tipa"),
        (lambda t: t.replace("Nisa Zidu", "she"), "name_missing", "Nisa Zidu"),
        (lambda t: t + " " + t[:60], "length", "original"),
        (lambda t: t.replace(" of ", " est "), "language", "fr"),
        (lambda t: t.upper().lower().capitalize(), "name_missing", "Zazi Tipa"),
        (lambda t: t.replace("In one word", "Imaginary"), "calls_itself_fictional", ITEM),
        (
            lambda t: t.replace("The emblem of Zazi Tipa has always been the same:", "Of Zazi Tipa "
                                "it is told that the emblem is"),
            "wording_in_passage",
            "semantic/emblem",
        ),
        (lambda t: t.replace("Nisa Zidu. The", "Nisa Zidu, and the"), "one_hop", "tomato"),
    ],
)  # fmt: skip
def test_texts_are_refused_for_what_they_lack(rules: Rules, change, reason, evidence) -> None:
    text = rules.original if reason == "one_hop" else turned(rules.original)
    found = rules.refusal(change(text))
    assert found is not None
    assert found.reason == reason
    assert evidence in found.evidence


def test_no_text_is_taken_twice(rules: Rules, made: Fiction) -> None:
    assert rules.refusal(rules.original).reason == "repeats"
    assert rules.refusal(made.passages.row(1, named=True)["text"]).reason == "repeats"
    new = turned(rules.original)
    rules.take(new)
    assert rules.refusal(new.replace(" ", "  ", 3)).reason == "repeats"


def test_lengths_are_of_the_tokenizer_that_is_given(made: Fiction) -> None:
    words = Rules(made, ITEM, "en", length=lambda text: len(text.split()))
    longer = turned(words.original).replace(
        "In one word", "In a single solitary unusual expression"
    )
    assert words.refusal(longer) is None
    shorter = longer.replace("Everyone knows the", "Known, and by all of them, is his and her")
    assert words.refusal(shorter).reason == "length"
    halved = Rules(made, ITEM, "en", length=lambda text: 90 if text == words.original else 45)
    assert halved.refusal(turned(words.original)) == ("length", "45, original 90")


def test_a_language_may_be_told_without_its_script() -> None:
    assert unread("", "zh-Hant", lambda text: "zh") is None
    assert unread("", "zh-Hant", lambda text: "zh-Hant") is None
    assert unread("", "zh-Hant", lambda text: "ja") == ("language", "ja")
    assert unread("", "zh-Hant", lambda text: None) is None


def test_published_probes_without_names_are_judged_by_their_targets(made: Fiction) -> None:
    bare = Fiction(
        made.items.with_columns(source=pl.lit("by hand"), meta=pl.lit(None, pl.String)),
        made.passages,
        made.probes.with_columns(target=pl.col("target") + pl.lit("?")),
    )
    rules = Rules(bare, ITEM, "en")
    assert rules.names == []
    assert rules.targets == []  # what the original lacks is not asked of the others


def test_texts_are_tidied_as_passages_are() -> None:
    assert tidy(' "Cafe\u0301." \n') == "Caf\u00e9."
    assert tidy('"Yes," he said.') == '"Yes," he said.'
    assert malformed("a < b", "b < a") is None


def test_similarity_is_a_share_of_trigrams() -> None:
    assert similarity("Abc, abc!", "abc abc") == 1.0
    assert similarity("abcd", "bcde") == pytest.approx(2 * 1 / 4)
    assert similarity("abc", "xyz") == 0.0


def test_an_item_falls_into_words_and_sentences(made: Fiction) -> None:
    source = Source.of(made, ITEM, "ja")
    assert source.targets[0] in source.words()
    assert len(set(source.sentences())) == len(source.sentences())
    told = source.told()
    assert len(told) == 5 * 3
    for probe in source.probes:
        said = probe["prefix"] + probe["joiner"] + probe["target"]
        sentence = source.statement(probe)
        assert sentence.startswith(said)
        assert (sentence in told) == (probe["depth"] == "memorization")
        assert probe["target"] in source.within(sentence)[1]


@pytest.mark.parametrize(
    ("made_text", "back", "reason"),
    [
        ("L'emblème de Zazi Tipa : arc-en-ciel.", "The emblem of Zazi Tipa: rainbow.", None),
        ("L'emblème de Zazi Tipa : Arc-en-ciel.", "the emblem of Zazi Tipa: Rainbow.", None),
        ("L'emblème de Zazi : arc-en-ciel.", "The emblem of Zazi Tipa: rainbow.", "name_missing"),
        ("L'emblème de Zazi Tipa : orage.", "The emblem of Zazi Tipa: rainbow.", "target_missing"),
        ("<i>L'emblème</i> de Zazi Tipa : arc-en-ciel.", "The emblem", "markup"),
        ("The emblem of Zazi Tipa: arc-en-ciel.", "The emblem of Zazi Tipa: rainbow.",
         "untranslated"),
        ("The sign of Zazi Tipa: arc-en-ciel.", "The emblem of Zazi Tipa: rainbow.",
         "untranslated"),
        ("L'emblème de Zazi Tipa : arc-en-ciel.", "The emblem of Zazi Tipa: storm.", "round_trip"),
        ("L'emblème de Zazi Tipa : arc-en-ciel.", "Zazi Tipa loves a rainbow.", "round_trip"),
    ],
)  # fmt: skip
def test_sentences_must_survive_the_round_trip(made: Fiction, made_text, back, reason) -> None:
    source = Source.of(made, ITEM, "en")
    found = source.sentence_refusal(
        "The emblem of Zazi Tipa: rainbow.",
        made_text,
        back,
        words={"rainbow": "arc-en-ciel"},
        least=0.5,
        identify=lambda text: "en" if "The " in text else None,
    )
    assert (found and found.reason) == reason
