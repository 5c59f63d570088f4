"""Documents laid into rows once: most to be trained on, some of the study's languages held out."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from itertools import islice
from pathlib import Path

import polars as pl

from polylore.corpus.documents.languages import canonical
from polylore.corpus.draw import number
from polylore.corpus.injection import RowFormat
from polylore.corpus.injection.format import Encode
from polylore.errors import ConfigError, DataError
from polylore.files import atomic_path, read_json, read_parquet, write_json, write_parquet
from polylore.studies.inject.config import BackgroundConfig
from polylore.training.continued.packs import contents, open_rows, pack_texts

Progress = Callable[[int, int, str], None]
SHARE = 16
"""One in so many texts is held out, until its language has enough of them."""
UNTOLD = "und"
"""Language of text that names none, as ISO 639-2 has it."""


def lay_out(
    config: BackgroundConfig,
    encode: Encode,
    form: RowFormat,
    folder: Path,
    rows: int,
    languages: Collection[str],
    progress: Progress | None = None,
) -> None:
    """Read documents in their order and write rows of them; whole or not at all.

    Which documents are held out depends on their text and on those before them, so a text is
    either held out or trained on, however often it is repeated. No more documents are read than
    make the rows to be trained on.

    Args:
        config: what is read, and how many rows of each language are held out.
        encode: token ids of texts.
        form: what rows look like.
        folder: where to write.
        rows: rows to be trained on.
        languages: languages of which some documents are held out, beside text that names none.
        progress: called with (rows, rows in all, what).

    Raises:
        ConfigError: documents that make fewer rows than are to be trained on.
        DataError: unreadable documents, or not enough for a row.
    """
    reading = _Reading(config, encode, form, rows, languages, progress)
    with atomic_path(folder) as temporary:
        temporary.mkdir(parents=True)
        there = training_rows(temporary)
        made = len(open_rows(pack_texts(reading.texts(), reading, form, there), 1))
        if made < rows:  # and are not kept: the same documents may be more the next time
            raise ConfigError(
                f"The documents of background.source make {made} rows, but the longest run reads "
                f"up to row {rows}; give more text or make fewer updates."
            )
        write_parquet(_languages(reading, form), temporary / "languages.parquet")
        known = {}
        for place, (lang, texts) in enumerate(sorted(reading.held.items())):
            try:
                pack_texts(texts, encode, form, temporary / "heldout" / str(place))
            except DataError:  # less than a row of it
                continue
            known[lang] = place
        write_json(known, temporary / "heldout.json")


def training_rows(folder: Path) -> Path:
    """Where the rows lie that are trained on."""
    return folder / "training"


def held_out_rows(folder: Path) -> dict[str, Path]:
    """Where the rows of each language lie that are not."""
    known = read_json(folder / "heldout.json")
    return {lang: folder / "heldout" / str(int(place)) for lang, place in known.items()}


def language_tokens(folder: Path, first: int, rows: int) -> dict[str, int]:
    """Tokens of every language, boundaries included, in rows that are trained on."""
    own = read_parquet(folder / "languages.parquet").filter(
        pl.col("row").is_between(first, first + rows - 1)
    )
    found = own.group_by("lang").agg(pl.col("n_tokens").sum()).sort("lang")
    return dict(found.iter_rows())


def _languages(reading: "_Reading", form: RowFormat) -> pl.DataFrame:
    """row, lang, n_tokens of what the rows hold."""
    found: dict[str, list[int | str]] = {"row": [], "lang": [], "n_tokens": []}
    for row, parts in enumerate(islice(contents(reading.sizes, form), reading.rows)):
        tokens: Counter[str] = Counter()
        for document, size in parts:
            tokens[reading.langs[document]] += size
        for lang, size in tokens.items():
            found["row"].append(row)
            found["lang"].append(lang)
            found["n_tokens"].append(size)
    schema = {"row": pl.Int64(), "lang": pl.String(), "n_tokens": pl.Int64()}
    return pl.DataFrame(found, schema=schema)


class _Reading:
    """Documents on their way into rows, and what is known of them."""

    def __init__(
        self,
        config: BackgroundConfig,
        encode: Encode,
        form: RowFormat,
        rows: int,
        languages: Collection[str],
        progress: Progress | None,
    ) -> None:
        self.config, self.encode, self.progress, self.rows = config, encode, progress, rows
        self.enough, self.enough_held = rows * form.length, config.heldout * form.capacity
        self.languages = {canonical(lang) or lang for lang in languages} | {UNTOLD}
        self.tokens = 0
        self.langs: list[str] = []
        """Language of every document of the rows."""
        self.sizes: list[int] = []
        """Tokens of every one of them, boundary included."""
        self.held: dict[str, list[str]] = {}
        """Documents held out, by language."""
        self._held_tokens: Counter[str] = Counter()
        self._drawn: dict[int, bool] = {}
        """Texts that were drawn, by number: whether they are held out."""

    def __call__(self, texts: list[str]) -> list[list[int]]:
        """Encode documents of the rows and count their tokens, so that reading can end in time."""
        found = self.encode(texts)
        sizes = [len(ids) + 1 for ids in found]
        self.sizes += sizes
        self.tokens += sum(sizes)
        if self.progress:
            done = min(self.rows, self.tokens * self.rows // self.enough)
            self.progress(done, self.rows, "packing background")
        return found

    def texts(self) -> Iterator[str]:
        """Documents of the rows; on the way, some others are held out."""
        for lang, text in self._documents():
            if self._is_held_out(lang, text):
                continue
            self.langs.append(lang)
            yield text

    def _is_held_out(self, lang: str, text: str) -> bool:
        """Whether it is not for the rows; a text is kept once and decided upon once."""
        drawn = number("held out", text)
        if drawn % SHARE or not self.enough_held:
            return False
        if drawn not in self._drawn:
            held = lang in self.languages and self._held_tokens[lang] < self.enough_held
            self._drawn[drawn] = held
            if held:
                self.held.setdefault(lang, []).append(text)
                self._held_tokens[lang] += len(self.encode([text])[0]) + 1
        return self._drawn[drawn]

    def _documents(self) -> Iterator[tuple[str, str]]:
        """Language and text of every document, until there are enough."""
        from polylore.corpus.documents import DocumentsConfig, find_shards, read_shard

        if not self.config.source:
            raise ConfigError(
                "background.source must name the documents that are read beside items."
            )
        documents = DocumentsConfig(
            source=self.config.source,
            text=self.config.text,
            lang=self.config.lang,
            txt=self.config.txt,
        )
        begun = b""
        for shard in find_shards(documents):
            for batch in read_shard(shard, documents):
                if self.tokens > self.enough:
                    return
                told = batch.langs or [None] * batch.count
                for lang, text in zip(told, batch.texts(), strict=True):
                    begun += text
                    if batch.unfinished:
                        continue
                    yield canonical(lang) or UNTOLD, begun.decode()
                    begun = b""
