"""A byte-level BPE in which no token crosses the boundary of a name.

Merges happen inside pre-tokens only. A pre-token is a word with the space before it, with marks
belonging to their letters (Devanagari needs that), or one character where words are not separated:
Han, kana, Hangul (particles follow names without a space), Thai and its neighbours, digits,
punctuation. So a token never holds the end of an object together with what follows.
"""

from collections.abc import Iterator
from pathlib import Path

from tokenizers import Regex, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

from polylore.errors import DataError
from polylore.files import atomic_path
from polylore.training.config import TokenizerConfig
from polylore.training.documents import Documents

BOUNDARY = "<|endoftext|>"
"""Stands before and after every document: both the begin and the end token."""
PADDING = "<|pad|>"

# Scripts without spaces between words, or with particles attached to names. U+30FC and U+FF70 (the
# kana length marks) belong to no script in Unicode.
_ALONE = (
    r"\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
    r"\p{Tibetan}\x{30FC}\x{FF70}"
)
_PATTERN = "|".join(
    (
        rf" ?[\p{{L}}&&[{_ALONE}]]\p{{M}}*",
        rf" ?[[\p{{L}}\p{{M}}]&&[^{_ALONE}]][[\p{{L}}\p{{M}}\x{{200C}}\x{{200D}}]&&[^{_ALONE}]]*",
        r" ?\p{N}",
        r" ?[^\s\p{L}\p{N}]",
        r"\s+(?!\S)",
        r"\s+",
    )
)


def train_tokenizer(documents: Documents, config: TokenizerConfig) -> PreTrainedTokenizerFast:
    """Train the tokenizer on every document of the corpus; the result is deterministic."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = Sequence(
        [
            Split(Regex(_PATTERN), behavior="isolated"),
            ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(
        vocab_size=config.vocab_size,
        min_frequency=config.min_frequency,
        special_tokens=[BOUNDARY, PADDING],
        initial_alphabet=sorted(ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(documents), trainer, length=documents.count)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOUNDARY,
        eos_token=BOUNDARY,
        pad_token=PADDING,
        clean_up_tokenization_spaces=False,
    )


def _texts(documents: Documents) -> Iterator[list[str]]:
    for frame in documents.frames():
        yield frame["text"].to_list()


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Save as an ordinary tokenizer folder, atomically."""
    with atomic_path(folder) as temporary:
        tokenizer.save_pretrained(temporary)


def open_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Open a tokenizer folder.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} holds no readable tokenizer; delete it and start again.") from (
            error
        )


def encode(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> list[list[int]]:
    """Token ids of texts, nothing added; text that looks like a special token stays text."""
    backend = tokenizer.backend_tokenizer
    before = backend.encode_special_tokens
    backend.encode_special_tokens = True
    try:
        return [one.ids for one in backend.encode_batch_fast(texts, add_special_tokens=False)]
    finally:
        backend.encode_special_tokens = before
