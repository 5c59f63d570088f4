"""A toy lexicon and toy tokenizers."""

from collections.abc import Sequence
from typing import Any

import polars as pl
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from polylore.facts.lexicon import Lexicon
from polylore.tables.lexicon import LEXICON

LANGS = ("en", "fr", "de", "es", "it")
WORDS = 40
NAMES = {"en": "English", "fr": "Français", "de": "Deutsch", "es": "Español", "it": "Italiano"}
PIECES = ['"', " ", "-", ":", "\n", *NAMES.values()]


def word(concept: int, lang: str) -> str:
    """A made-up word whose first two letters say which concept and language it is of."""
    return f"{chr(0x4E00 + concept)}{lang}"


def lexicon_of(forms: dict[tuple[str, str], Sequence[str]]) -> Lexicon:
    rows = [
        {
            "concept_id": concept,
            "lang": lang,
            "rank": rank,
            "form": form,
            "aliases": [],
            "senses": [],
            "n_slots": 1,
            "erratum": False,
            "flags": [],
            "source": "toy",
        }
        for (concept, lang), listed in forms.items()
        for rank, form in enumerate(listed)
    ]
    return Lexicon("toy", LEXICON.build(rows))


def tokenizer_of(lexicon: Lexicon, merged: Sequence[str] = (), **changes: str) -> Any:
    """One token per first letter and per rest of a word; `merged` pieces win over both.

    Args:
        lexicon: its words become tokens.
        merged: strings that are one token wherever they occur.
        changes: first letter -> the token it becomes instead, by normalisation of the vocabulary.
    """
    letters = {form[0] for form in lexicon.frame["form"]}
    rests = {form[1:] for form in lexicon.frame["form"]} - {""}
    pieces = [*merged, *PIECES, *sorted(letters), *sorted(rests)]
    vocab = {"<s>": 0, "<unk>": 1}
    for piece in pieces:
        vocab.setdefault(changes.get(piece, piece), len(vocab))
    raw = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    ordered = sorted(pieces, key=len, reverse=True)
    pattern = "|".join(piece.replace("\\", "\\\\") for piece in ordered)
    raw.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), "isolated")
    if changes:
        from tokenizers import normalizers

        raw.normalizer = normalizers.Sequence(
            [normalizers.Replace(old, new) for old, new in changes.items()]
        )
    raw.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", unk_token="<unk>")


def rows(frame: pl.DataFrame, **where: Any) -> list[dict[str, Any]]:
    """Rows of a frame with these values."""
    return frame.filter(**where).to_dicts()
