"""From paths, patterns and URLs to shards: files in a fixed order, each a unit of work."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from polylore.corpus.documents.config import DocumentsConfig
from polylore.errors import ConfigError, DataError

FORMATS = {
    ".txt": "txt",
    ".text": "txt",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
}
"""Format by suffix."""
TOKENS = (".bin", ".npy", ".u16", ".u32")
"""Suffixes of token files, which are read if a tokenizer is given."""
COMPRESSIONS = {".gz": "gz", ".zst": "zst", ".xz": "xz"}


@dataclass(frozen=True)
class Shard:
    """One file of documents."""

    name: str
    """Path or URL; names the shard everywhere."""
    format: str
    compression: str | None
    size: int
    """Bytes as stored."""
    first_sequence: int = 0
    """Number of its first training sequence, over all shards; files of tokens only."""

    def __str__(self) -> str:
        return self.name


def find_shards(config: DocumentsConfig) -> list[Shard]:
    """All files that `config.source` names, each once, in order of the sources and of names.

    Raises:
        ConfigError: a source matches nothing, or a named file has an unknown suffix.
        DataError: a folder holds no readable file, or one cannot be looked into.
    """
    found: dict[str, Shard] = {}
    for source in config.source:
        for shard in _of_source(source, config):
            found.setdefault(shard.name, shard)
    return _numbered(list(found.values()), config)


def file_system(url: str) -> tuple[Any, str]:
    """fsspec's file system of a path or URL, and the path within it.

    Raises:
        ConfigError: nothing installed serves such URLs.
    """
    import fsspec

    try:
        fs, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise ConfigError(f"Cannot read {url}: {str(error).rstrip('.')}.") from error
    return fs, path


def _of_source(source: str, config: DocumentsConfig) -> Iterator[Shard]:
    fs, path = file_system(source)
    try:
        if fs.isdir(path):
            yield from _of_folder(source, fs, path, config)
            return
        paths = sorted(fs.glob(path)) if any(c in path for c in "*?[") else [path]
        files = [p for p in paths if fs.isfile(p) and (p == path or not _hidden(p, path))]
        if not files:
            raise ConfigError(f"No file matches {source}; check the path.")
        for name in files:
            shard = _shard(name, source, fs, config)
            if shard is None:
                raise ConfigError(
                    f"The suffix of {name} tells no format of documents; rename it, or say which "
                    "with documents.format (token files need documents.tokenizer)."
                )
            yield shard
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(f"Cannot look into {source}: {reason}.") from error


def _hidden(path: str, pattern: str) -> bool:
    """Whether a pattern found a hidden file without asking for one."""
    return PurePosixPath(path).name.startswith(".") and "/." not in pattern


def _of_folder(source: str, fs: Any, path: str, config: DocumentsConfig) -> Iterator[Shard]:
    root = path.rstrip("/")
    # A composed corpus keeps its design and its facts beside its documents.
    if fs.isfile(f"{root}/manifest.json") and fs.isdir(f"{root}/documents"):
        root = f"{root}/documents"
    shards = []
    for name in sorted(fs.find(root)):
        within = name[len(root) :].strip("/").split("/")
        # Hidden files, and what `datasets` caches beside its data.
        if any(part.startswith((".", "cache-")) for part in within):
            continue
        shard = _shard(name, source, fs, config)
        if shard is not None:
            shards.append(shard)
    if not shards:
        raise DataError(
            f"The folder {source} holds no file of documents; readable are "
            f"{', '.join(FORMATS)}, each also with {', '.join(COMPRESSIONS)}."
        )
    yield from shards


def _shard(path: str, source: str, fs: Any, config: DocumentsConfig) -> Shard | None:
    pure = PurePosixPath(path)
    compression = COMPRESSIONS.get(pure.suffix)
    suffix = PurePosixPath(pure.stem).suffix if compression else pure.suffix
    kind: str | None = config.format
    if config.format == "auto":
        tokens = config.tokenizer is not None and suffix in TOKENS
        kind = "tokens" if tokens else FORMATS.get(suffix)
        # `datasets` keeps its own notes as JSON beside .arrow files.
        if pure.name in ("dataset_info.json", "state.json", "dataset_dict.json"):
            kind = None
    if kind is None:
        return None
    name = fs.unstrip_protocol(path) if "://" in source else path
    return Shard(name, kind, compression, int(fs.size(path)))


def _numbered(shards: Sequence[Shard], config: DocumentsConfig) -> list[Shard]:
    """Give token files the number of their first sequence."""
    if not config.sequence_length:
        return list(shards)
    width = config.sequence_length * (2 if config.dtype == "uint16" else 4)
    numbered, first = [], 0
    for shard in shards:
        if shard.format != "tokens":
            numbered.append(shard)
            continue
        if shard.compression and (config.sequences_per_step or config.order):
            raise ConfigError(
                f"{shard.name} is compressed, so its number of sequences is not known in advance; "
                "uncompress token files whose order of reading matters."
            )
        numbered.append(Shard(shard.name, "tokens", shard.compression, shard.size, first))
        first += shard.size // width
    return numbered
