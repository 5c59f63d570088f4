"""What to read, and how."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from polylore.config import Config


class DocumentsConfig(Config):
    """Which documents are read, and what is known of them.

    Formats, by suffix: .txt, .jsonl (.ndjson, .json), .csv, .tsv, .parquet, .arrow (and folders of
    `datasets`), each plain or .gz, .zst or .xz; files of token numbers if a tokenizer is given.
    """

    source: list[str] = Field(default=[], min_length=1)
    """Files, folders, glob patterns or fsspec URLs; a folder is searched at any depth."""
    format: Literal["auto", "txt", "jsonl", "csv", "tsv", "parquet", "arrow", "tokens"] = "auto"
    """Format of all files, if their suffixes do not tell."""
    txt: Literal["paragraph", "line", "file"] = "paragraph"
    """A document of a .txt file: what stands between empty lines, a line, or the whole file."""
    text: str = "text"
    """Field or column with the text."""
    id: str = "id"
    """Field or column with the identity of a document, if there is one."""
    lang: str = "lang"
    """Field or column with the language of a document, if there is one."""
    step: str | None = None
    """Field or column with the training step at which a document was read."""
    order: str | None = None
    """Table of the order of reading: columns (doc_id, step), (shard, first, last, step) or
    (sequence_id, step)."""
    langid: bool = False
    """Identify the language of documents that do not give one (extra `langid`)."""
    partial: bool = False
    """Count the readable part of damaged files instead of refusing them."""
    tokenizer: str | None = None
    """Tokenizer (tokenizer.json, or a folder with it) of files of token numbers."""
    dtype: Literal["uint16", "uint32"] = "uint16"
    """Number format of the tokens."""
    end_of_document: int | None = Field(default=None, ge=0)
    """Token that ends a document; without it every sequence is a document."""
    sequence_length: int | None = Field(default=None, ge=1)
    """Tokens of a training sequence; they follow each other in every file, a rest is not read."""
    sequences_per_step: int | None = Field(default=None, ge=1)
    """Sequences of a training step, if files and sequences were read in their order."""
    first_step: int = Field(default=1, ge=1)
    """Step that read the first sequence."""

    @field_validator("source", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.sequences_per_step and not self.sequence_length:
            raise ValueError("sequences_per_step needs sequence_length")
        if self.sequences_per_step and self.order:
            raise ValueError("give the order of reading once: order or sequences_per_step")
        if self.step and self.order:
            raise ValueError("give the steps once: order or step")
        if self.tokenizer and self.end_of_document is None and not self.sequence_length:
            raise ValueError("files of tokens need end_of_document or sequence_length")
        return self

    def identity(self) -> dict[str, object]:
        """The part that decides counts, as plain values.

        What is left of a damaged file is noted in the table `shards`, so asking for it later goes
        on with the same run.
        """
        return {key: value for key, value in self.plain().items() if key != "partial"}
