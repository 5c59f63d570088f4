"""The part of the hub's HTTP interface that downloads need, over a `FakeHub`'s folders."""

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from hub_fake import commit_of, etag


class Hub(ThreadingHTTPServer):
    """Serves ``root/<org>/<name>/<revision>/<file>`` on a free port of this machine."""

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = root
        self.stalls = ""
        """A file of which half is sent, and then nothing more."""
        self.sent: list[str] = []
        """Every weight file that was asked for, in order."""
        self.gated: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        parts = unquote(urlparse(self.path).path).strip("/").split("/")
        api = parts[:2] == ["api", "models"]
        repo, rest = "/".join(parts[2:4] if api else parts[:2]), parts[4 if api else 2 :]
        folder = self.server.root / repo
        if not folder.is_dir():
            return self._error(404, "RepoNotFound")
        if rest == ["refs"]:
            refs = [
                {"name": p.name, "ref": f"refs/heads/{p.name}", "targetCommit": commit_of(p)}
                for p in sorted(folder.iterdir())
            ]
            return self._json({"branches": refs, "converts": [], "tags": []})
        at = [p for p in folder.iterdir() if len(rest) > 1 and commit_of(p) == rest[1]]
        if not at:
            return self._error(404, "RevisionNotFound")
        if rest[0] == "revision":
            siblings = [_sibling(p) for p in sorted(at[0].iterdir())]
            return self._json({"id": repo, "sha": rest[1], "siblings": siblings})
        if rest[0] == "tree":
            return self._json([_entry(p) for p in sorted(at[0].iterdir())])
        if repo in self.server.gated:
            return self._error(403, "GatedRepo")
        return self._file(at[0] / rest[2], rest[1])

    def _error(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _json(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _file(self, path: Path, commit: str) -> None:
        body = path.read_bytes()
        self.send_response(200)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("ETag", f'"{etag(path)}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if path.suffix == ".safetensors":
            self.server.sent.append(path.name)
        if path.name == self.server.stalls:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            time.sleep(60)
            return
        self.wfile.write(body)


def _blob(path: Path) -> str:
    body = path.read_bytes()
    return hashlib.sha1(f"blob {len(body)}\0".encode() + body).hexdigest()


def _sibling(path: Path) -> dict[str, Any]:
    size = path.stat().st_size
    value = {"rfilename": path.name, "size": size, "blobId": _blob(path)}
    if path.suffix == ".safetensors":
        value["lfs"] = {"sha256": etag(path), "size": size, "pointerSize": 134}
    return value


def _entry(path: Path) -> dict[str, Any]:
    size = path.stat().st_size
    value = {"type": "file", "path": path.name, "size": size, "oid": _blob(path)}
    if path.suffix == ".safetensors":
        value["lfs"] = {"oid": etag(path), "size": size, "pointerSize": 134}
    return value


@contextmanager
def serve(root: Path) -> Iterator[Hub]:
    """A hub that answers until the block ends."""
    server = Hub(root)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
