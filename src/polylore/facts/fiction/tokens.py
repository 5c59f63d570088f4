"""A tokenizer for invented languages: one token per part, so that names share tokens as parts."""

from collections.abc import Sequence as Many
from pathlib import Path

from polylore.files import atomic_path, write_json

BOUNDARY, PADDING, UNKNOWN = "<|endoftext|>", "<|pad|>", "<|unk|>"


def write_part_tokenizer(vocabulary: Many[str], folder: str | Path) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json`, as `AutoTokenizer` reads them.

    Args:
        vocabulary: parts at the beginning of a word, ##parts within one, and marks.
        folder: where to write; other files there are left alone.
    """
    from tokenizers import Tokenizer
    from tokenizers.decoders import WordPiece as Decoder
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import Lowercase
    from tokenizers.pre_tokenizers import Punctuation, Sequence, WhitespaceSplit

    words = [BOUNDARY, PADDING, UNKNOWN, *vocabulary]
    numbers = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(WordPiece(numbers, unk_token=UNKNOWN))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = Sequence([WhitespaceSplit(), Punctuation()])
    tokenizer.decoder = Decoder(cleanup=False)
    tokenizer.add_special_tokens([BOUNDARY, PADDING, UNKNOWN])
    folder = Path(folder)
    with atomic_path(folder / "tokenizer.json") as temporary:
        tokenizer.save(str(temporary))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOUNDARY,
        "eos_token": BOUNDARY,
        "pad_token": PADDING,
        "unk_token": UNKNOWN,
        "clean_up_tokenization_spaces": False,
    }
    write_json(settings, folder / "tokenizer_config.json")
