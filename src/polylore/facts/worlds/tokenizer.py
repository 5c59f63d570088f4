"""The tokenizer of a world: one token per word, words separated by one space, nothing added."""

from collections.abc import Sequence
from pathlib import Path

from polylore.facts.worlds.vocabulary import PADDING, UNKNOWN
from polylore.files import atomic_path, write_json


def write_tokenizer(words: Sequence[str], folder: str | Path) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json`, as `AutoTokenizer` reads them.

    Args:
        words: the vocabulary, in the order of ids.
        folder: where to write; other files there are left alone.
    """
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit

    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    folder = Path(folder)
    with atomic_path(folder / "tokenizer.json") as temporary:
        tokenizer.save(str(temporary))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": PADDING,
        "unk_token": UNKNOWN,
        "bos_token": None,
        "eos_token": None,
        "clean_up_tokenization_spaces": False,
    }
    write_json(settings, folder / "tokenizer_config.json")
