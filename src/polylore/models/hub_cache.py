"""The hub's cache on this machine, read without any network.

```
CACHE/models--ORG--NAME/refs/<revision>            a commit
                        snapshots/<commit>/<file>  the file, or a link to ../../blobs/<hash>
CACHE/.polylore/                                   what polylore remembers, see `store`
```
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from polylore.config import digest
from polylore.errors import DataError, RunError
from polylore.files import atomic_path, read_json, sha256_file, write_json
from polylore.models import hub
from polylore.models.fingerprint import fingerprint, weight_hash
from polylore.models.hub import HubFile, Revision
from polylore.models.weights import has_weights


def cache_root(cache_dir: str | Path | None) -> Path:
    """The cache folder: as given, or the hub library's own."""
    if cache_dir is not None:
        return Path(cache_dir).expanduser()
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def own_root(cache: Path) -> Path:
    """Where polylore keeps its own things in the cache."""
    return cache / ".polylore"


def offline() -> bool:
    """Whether the user forbade the network (HF_HUB_OFFLINE)."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def repo_root(cache: Path, repo: str) -> Path:
    """Folder of one repository in the cache."""
    return cache / f"models--{repo.replace('/', '--')}"


def cached_revisions(cache: Path, repo: str) -> list[Revision]:
    """Revisions the cache knows a commit of, in order of their names."""
    refs = repo_root(cache, repo) / "refs"
    if not refs.is_dir():
        return []
    found = []
    for path in sorted(p for p in refs.rglob("*") if p.is_file()):
        name = path.relative_to(refs).as_posix()
        # Pull requests and automatic conversions are no checkpoints.
        if not name.startswith(("pr/", "convert/", "refs/")):
            found.append(Revision(name, path.read_text(encoding="utf-8").strip()))
    return found


def name_commit(cache: Path, repo: str, revision: str, commit: str) -> None:
    """Note in the cache which commit a revision is; the library does so only when asked by name."""
    ref = repo_root(cache, repo) / "refs" / revision
    if not ref.is_file() or ref.read_text(encoding="utf-8").strip() != commit:
        with atomic_path(ref) as temporary:
            temporary.write_text(commit, encoding="utf-8")


def snapshot(cache: Path, repo: str, commit: str) -> Path | None:
    """The folder of a commit, if its weights are all there."""
    folder = repo_root(cache, repo) / "snapshots" / commit
    return folder if folder.is_dir() and has_weights(folder) else None


def snapshot_files(folder: Path) -> list[HubFile]:
    """The weight files of a snapshot and their index, with the hashes the hub knows them by."""
    names = sorted(p.name for p in folder.iterdir() if p.is_file())
    weights = hub.weights_among(names)
    found = []
    for name in names:
        if name not in weights and not name.endswith(".index.json"):
            continue
        blob = (folder / name).resolve()
        linked = blob.parent.name == "blobs"
        etag = blob.name if linked else sha256_file(blob)  # systems without links keep copies
        found.append(HubFile(name, blob.stat().st_size, etag))
    return found


def files_hash(listing: Sequence[HubFile]) -> str | None:
    """One hash over the hashes of the weight files, whatever they are called; null without any."""
    weights = set(hub.weights_among([file.name for file in listing]))
    etags = sorted(file.etag for file in listing if file.name in weights)
    return digest(etags) if etags else None


def listing(cache: Path, repo: str, commit: str) -> list[HubFile]:
    """The files of a commit; asked of the hub once, since a commit never changes.

    Raises:
        ModelError, UnreachableError: see `hub.files`.
    """
    memo = own_root(cache) / "files" / repo.replace("/", "--") / f"{commit}.json"
    with suppress(DataError, TypeError, OSError):
        return [HubFile(name, size, etag) for name, size, etag in read_json(memo)]
    found = hub.files(repo, commit)
    _remember(memo, [[file.name, file.size, file.etag] for file in found])
    return found


def known_weight_hash(cache: Path, hash_of_files: str | None) -> str | None:
    """The fingerprint of weights that were read before, null if they never were."""
    if hash_of_files is None:
        return None
    with suppress(DataError, OSError, KeyError, TypeError):
        return str(read_json(_fingerprint_file(cache, hash_of_files))["weight_hash"])
    return None


def read_weight_hash(cache: Path, hash_of_files: str | None, folder: Path) -> str:
    """The fingerprint of the weights in a folder, read once and then remembered.

    Raises:
        ModelError: damaged weights.
    """
    known = known_weight_hash(cache, hash_of_files)
    if known is None:
        known = weight_hash(fingerprint(folder))
        if hash_of_files is not None:
            _remember(_fingerprint_file(cache, hash_of_files), {"weight_hash": known})
    return known


def _fingerprint_file(cache: Path, hash_of_files: str) -> Path:
    return own_root(cache) / "fingerprints" / f"{hash_of_files}.json"


def _remember(path: Path, value: object) -> None:
    # A cache that may only be read is no reason to fail.
    with suppress(OSError, RunError):
        write_json(value, path)
