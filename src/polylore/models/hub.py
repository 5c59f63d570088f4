"""The hub of models, through `huggingface_hub` alone: what there is, and fetching it.

Every failure of the hub becomes a `ModelError` of one sentence. Specification of `trace`, 4.1.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polylore.errors import ModelError
from polylore.models.weights import said

REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9_][\w.-]*")
_SHARD = re.compile(r"(?:model|pytorch_model)-\d+-of-(?P<n>\d+)\.(?:safetensors|bin)")
_SMALL = (".json", ".txt", ".model", ".jinja", ".tiktoken")
_NETWORK = {"httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3"}


class UnreachableError(ModelError):
    """The hub cannot be asked: no network, or offline mode."""


@dataclass(frozen=True)
class Revision:
    """A branch or tag of a repository."""

    name: str
    commit: str
    tag: bool = False


@dataclass(frozen=True)
class HubFile:
    """One file of a revision, as the hub describes it."""

    name: str
    size: int
    """Bytes."""
    etag: str
    """SHA-256 of a large file, git's hash of a small one: the name of its blob in the cache."""


def repos_of(model: str) -> list[str] | None:
    """Repositories that a string names (``org/name``, several joined by ``+``), else None."""
    repos = [part.strip() for part in model.split("+")]
    return repos if all(REPO.fullmatch(repo) for repo in repos) else None


def revisions(repo: str) -> list[Revision]:
    """Branches and tags of a repository.

    Raises:
        ModelError: no such repository, or no access to it.
        UnreachableError: the hub cannot be reached.
    """
    import huggingface_hub

    with in_one_sentence(repo):
        refs = huggingface_hub.HfApi().list_repo_refs(repo)
    return [Revision(ref.name, ref.target_commit) for ref in refs.branches] + [
        Revision(ref.name, ref.target_commit, tag=True) for ref in refs.tags
    ]


def files(repo: str, commit: str) -> list[HubFile]:
    """The files at the top of one commit, without downloading any.

    Raises:
        ModelError, UnreachableError: as for `revisions`.
    """
    import huggingface_hub

    with in_one_sentence(repo, commit):
        info = huggingface_hub.HfApi().model_info(repo, revision=commit, files_metadata=True)
    return [
        HubFile(
            file.rfilename,
            int(file.size or 0),
            file.lfs.sha256 if file.lfs is not None else str(file.blob_id),
        )
        for file in info.siblings or []
        if "/" not in file.rfilename
    ]


def weights_among(names: Sequence[str]) -> list[str]:
    """The files that hold the weights, safetensors before pickled ones; empty if incomplete."""
    there = set(names)
    for stem, suffix in (("model", "safetensors"), ("pytorch_model", "bin")):
        if f"{stem}.{suffix}" in there:
            return [f"{stem}.{suffix}"]
        shards = sorted(
            n for n in there if n.startswith(f"{stem}-") and n.endswith(suffix) and _SHARD.match(n)
        )
        index = f"{stem}.{suffix}.index.json"
        if index in there and shards and (match := _SHARD.fullmatch(shards[0])):
            return shards if len(shards) == int(match["n"]) else []
    return []


def needed(listing: Sequence[HubFile]) -> list[HubFile]:
    """The files that a checkpoint folder needs: weights in one format, configuration, tokenizer."""
    weights = weights_among([file.name for file in listing])
    other = "pytorch_model.bin.index.json" if weights and weights[0].endswith("safetensors") else ""
    return [
        file
        for file in listing
        if file.name in weights or (file.name.endswith(_SMALL) and file.name != other)
    ]


def download(
    repo: str,
    commit: str,
    names: Sequence[str],
    *,
    cache_dir: Path,
    folder: Path | None = None,
) -> Path:
    """Fetch files of one commit into the hub's cache, or into a folder of their own.

    Whole files that an interrupted download left are not fetched again.

    Raises:
        ModelError, UnreachableError: as for `revisions`, or the disk is full.
    """
    import huggingface_hub

    with in_one_sentence(repo, commit):
        path = huggingface_hub.snapshot_download(
            repo,
            revision=commit,
            cache_dir=cache_dir,
            local_dir=folder,
            allow_patterns=[re.sub(r"([\[*?])", r"[\1]", name) for name in names],
            tqdm_class=_quiet(),
        )
    return Path(path)


@contextmanager
def in_one_sentence(repo: str, revision: str | None = None) -> Iterator[None]:
    """Turn whatever the hub's library raises into one sentence.

    Raises:
        ModelError, UnreachableError: what went wrong, and how to mend it.
    """
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        known = _translated(error, repo, revision)
        if known is None:
            raise
        raise known from error


def _translated(error: Exception, repo: str, revision: str | None) -> ModelError | None:
    from huggingface_hub import errors

    kinds: list[tuple[type[Exception], str]] = [
        (
            errors.GatedRepoError,
            f"The model {repo} is gated; ask for access at https://huggingface.co/{repo} and log "
            "in with `hf auth login`.",
        ),
        (
            errors.RepositoryNotFoundError,
            f"There is no folder {repo} here and no model {repo} on the hub, or it is private; "
            "check its name, or log in with `hf auth login`.",
        ),
        (errors.RevisionNotFoundError, f"The model {repo} has no revision {revision} on the hub."),
        (errors.DisabledRepoError, f"The model {repo} has been disabled on the hub."),
        (errors.HFValidationError, f"'{repo}' is not a valid name of a model on the hub."),
    ]
    for kind, message in kinds:
        if isinstance(error, kind):
            return ModelError(message)
    if isinstance(error, errors.LocalEntryNotFoundError) or _is_network(error):
        return UnreachableError(
            f"There is no folder {repo} here, and the hub cannot be reached for it; check the "
            "network, or use what is already on this machine (a local folder or the hub's cache)."
        )
    if isinstance(error, errors.HfHubHTTPError):
        return UnreachableError(
            f"The hub refused a request about {repo} ({said(error)}); try again later."
        )
    if isinstance(error, OSError):
        return ModelError(f"Cannot fetch {repo} ({said(error)}); run the same command again.")
    return None


def _is_network(error: BaseException) -> bool:
    from huggingface_hub import errors

    if isinstance(error, errors.HfHubHTTPError):
        return False
    if isinstance(error, (ConnectionError, TimeoutError)):
        return True
    if type(error).__name__ == "XetDownloadError":  # only newer versions of the library have it
        return True
    # The library lets its HTTP client's own errors through; which client depends on its version.
    return type(error).__module__.partition(".")[0] in _NETWORK


def _quiet() -> Any:
    """A progress bar that stays silent: polylore shows its own."""
    from huggingface_hub.utils.tqdm import tqdm

    loud: Any = tqdm

    class Quiet(loud):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": True})

    return Quiet
