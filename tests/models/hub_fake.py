"""A hub in a folder, and a cache in the hub library's own layout."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import huggingface_hub
import pytest
import torch
from huggingface_hub.utils import hf_raise_for_status
from safetensors.torch import save_file


def write_checkpoint(folder: Path, value: float, *, shards: int = 1) -> Path:
    """Just enough of a checkpoint for everything but loading it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "README.md").write_text("not needed")
    tensors = {name: torch.full((8, 4), value + n) for n, name in enumerate("ab")}
    if shards == 1:
        save_file(tensors, folder / "model.safetensors")
        return folder
    parts = {}
    for n, (name, tensor) in enumerate(tensors.items(), 1):
        parts[name] = f"model-{n:05d}-of-00002.safetensors"
        save_file({name: tensor}, folder / parts[name])
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": parts}))
    return folder


def etag(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def commit_of(folder: Path) -> str:
    text = "".join(f"{p.name}{etag(p)}" for p in sorted(folder.iterdir()))
    return hashlib.sha1(f"{folder}{text}".encode()).hexdigest()


def cache_revision(
    cache: Path, repo: str, revision: str, source: Path, names: Sequence[str] | None = None
) -> Path:
    """Put a checkpoint, or some of its files, into a cache as the hub's library would.

    Returns its snapshot folder.
    """
    root = cache / f"models--{repo.replace('/', '--')}"
    commit = commit_of(source)
    snapshot = root / "snapshots" / commit
    for folder in (root / "blobs", snapshot, (root / "refs" / revision).parent):
        folder.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if names is not None and path.name not in names:
            continue
        blob = root / "blobs" / etag(path)
        shutil.copyfile(path, blob)
        (snapshot / path.name).unlink(missing_ok=True)
        (snapshot / path.name).symlink_to(Path("../../blobs") / blob.name)
    (root / "refs" / revision).write_text(commit)
    return snapshot


def http_error(status: int, code: str, url: str) -> Any:
    """Raise what the library raises for an answer of the hub."""
    response = httpx2.Response(
        status, headers={"X-Error-Code": code}, request=httpx2.Request("GET", url)
    )
    hf_raise_for_status(response)


class FakeHub:
    """Repositories as folders ``root/<org>/<name>/<revision>``; stands in for the network."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tags: set[str] = set()
        self.fail: Any = None
        """What every request does instead, if set."""
        self.listed = 0
        self.downloads: list[str] = []

    def add(self, repo: str, revision: str, value: float, **options: Any) -> Path:
        return write_checkpoint(self.root / repo / revision, value, **options)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        api = huggingface_hub.HfApi
        monkeypatch.setattr(api, "list_repo_refs", lambda _, repo: self._refs(repo))
        monkeypatch.setattr(
            api, "model_info", lambda _, repo, revision, files_metadata: self._info(repo, revision)
        )
        monkeypatch.setattr(huggingface_hub, "snapshot_download", self._download)

    def _folder(self, repo: str) -> Path:
        if self.fail is not None:
            self.fail()
        url = f"https://huggingface.co/api/models/{repo}"
        if not (self.root / repo).is_dir():
            http_error(404, "RepoNotFound", url)
        return self.root / repo

    def _refs(self, repo: str) -> Any:
        found = [
            SimpleNamespace(name=p.name, ref=p.name, target_commit=commit_of(p))
            for p in sorted(self._folder(repo).iterdir())
        ]
        return SimpleNamespace(
            branches=[r for r in found if r.name not in self.tags],
            tags=[r for r in found if r.name in self.tags],
            converts=[],
        )

    def _at(self, repo: str, commit: str) -> Path:
        for path in self._folder(repo).iterdir():
            if commit_of(path) == commit:
                return path
        http_error(404, "RevisionNotFound", f"https://huggingface.co/{repo}/resolve/{commit}/x")
        raise AssertionError

    def _info(self, repo: str, commit: str) -> Any:
        self.listed += 1
        siblings = []
        for path in sorted(self._at(repo, commit).iterdir()):
            large = path.suffix == ".safetensors"
            lfs = SimpleNamespace(sha256=etag(path)) if large else None
            blob = hashlib.sha1(path.read_bytes()).hexdigest()
            size = path.stat().st_size
            siblings.append(SimpleNamespace(rfilename=path.name, size=size, blob_id=blob, lfs=lfs))
        return SimpleNamespace(siblings=siblings, sha=commit)

    def _download(
        self,
        repo: str,
        *,
        revision: str,
        cache_dir: Path,
        local_dir: Path | None,
        allow_patterns: Sequence[str],
        tqdm_class: Any,
    ) -> str:
        source = self._at(repo, revision)
        assert list(tqdm_class(range(3))) == [0, 1, 2]
        self.downloads.append(source.name)
        if local_dir is None:
            snapshot = cache_revision(cache_dir, repo, source.name, source, allow_patterns)
            # Asked for a commit, the library notes no name for it.
            (cache_dir / f"models--{repo.replace('/', '--')}" / "refs" / source.name).unlink()
            return str(snapshot)
        local_dir.mkdir(parents=True, exist_ok=True)
        for path in source.iterdir():
            if path.name in allow_patterns:
                shutil.copyfile(path, local_dir / path.name)
        return str(local_dir)
