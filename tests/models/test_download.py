"""The hub's own library against a hub on this machine: real requests, real kills, real resumes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hub_fake import write_checkpoint
from hub_server import Hub, serve

from polylore.models import resolve
from polylore.models.store_room import Room

REPO = "lab/model"
OPEN = """
import sys
from pathlib import Path
from polylore.models.hub_series import scan_hub
from polylore.models.store import Source, Store
from polylore.models.weights import read_tensors
cache, revision, *keep = sys.argv[1:]
frame = scan_hub(["lab/model"], cache=Path(cache)).checkpoints
row = frame.filter(ckpt_id=revision).row(0, named=True)
with Store(cache, owner="run", keep=bool(keep)).open(Source.of(row)) as folder:
    names = sorted(p.name for p in folder.glob("[!.]*"))
    print(sum(1 for _ in read_tensors(folder)), names, len(list(folder.rglob("*.incomplete"))))
"""


@pytest.fixture
def server(tmp_path: Path) -> object:
    write_checkpoint(tmp_path / "hub" / REPO / "step1", 1)
    write_checkpoint(tmp_path / "hub" / REPO / "main", 2, shards=2)
    write_checkpoint(tmp_path / "hub" / REPO / "step1000", 3)
    with serve(tmp_path / "hub") as hub:
        yield hub


def start(server: Hub | str, tmp_path: Path, *words: str) -> "subprocess.Popen[str]":
    url = server if isinstance(server, str) else server.url
    environment = {
        **os.environ,
        "HF_ENDPOINT": url,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "0",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    return subprocess.Popen(
        [sys.executable, *words],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def polylore(server: Hub | str, tmp_path: Path, *words: str) -> tuple[int, str, str]:
    return finish(start(server, tmp_path, "-m", "polylore", *words))


def opened(server: Hub, tmp_path: Path, *words: str) -> tuple[int, str, str]:
    return finish(start(server, tmp_path, "-c", OPEN, str(tmp_path / "cache"), *words))


def test_lists_without_downloading(server: Hub, tmp_path: Path) -> None:
    code, out, err = polylore(server, tmp_path, "checkpoints", REPO, "--json")
    assert code == 0, err
    value = json.loads(out)
    assert [row["ckpt_id"] for row in value["checkpoints"]] == ["step1", "step1000", "main"]
    assert server.sent == []
    assert not (tmp_path / "home" / "hub" / "models--lab--model").exists()


def test_a_missing_model_is_one_sentence(server: Hub, tmp_path: Path) -> None:
    code, out, err = polylore(server, tmp_path, "checkpoints", "lab/absent")
    assert (code, out) == (2, "")
    assert err == (
        "polylore: There is no folder lab/absent here and no model lab/absent on the hub, or it is "
        "private; check its name, or log in with `hf auth login`.\n"
    )


def test_no_network_is_one_sentence(tmp_path: Path) -> None:
    code, out, err = polylore("http://127.0.0.1:9", tmp_path, "checkpoints", REPO)
    assert (code, out) == (2, "")
    assert err.startswith("polylore: There is no folder lab/model here, and the hub cannot")
    assert err.count("\n") == 1


def test_a_gated_model_is_one_sentence(server: Hub, tmp_path: Path) -> None:
    server.gated.add(REPO)
    code, _, err = opened(server, tmp_path, "step1")
    assert code == 1
    assert "ModelError: The model lab/model is gated; ask for access" in err


def test_fetches_only_what_is_needed_and_deletes_it(server: Hub, tmp_path: Path) -> None:
    code, out, err = opened(server, tmp_path, "main")
    assert code == 0, err
    shards = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    assert out.strip() == f"2 {['config.json', *shards, 'model.safetensors.index.json']} 0"
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_a_killed_download_goes_on_with_the_files_it_lacks(server: Hub, tmp_path: Path) -> None:
    server.stalls = "model-00002-of-00002.safetensors"
    process = start(server, tmp_path, "-c", OPEN, str(tmp_path / "cache"), "main")
    deadline = time.monotonic() + 20
    scratch = tmp_path / "cache" / ".polylore" / "scratch"

    def there(pattern: str) -> int:
        return len(list(scratch.rglob(pattern)))

    while not (there("*.incomplete") == 1 and there("model-00001*.safetensors")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    room = Room(tmp_path / "cache" / ".polylore")
    ((present, size),) = room.fetching("run")  # as another process sees it
    assert 0 < present < size
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert room.fetching("run") == []
    server.stalls = ""
    code, out, err = opened(server, tmp_path, "main")
    assert code == 0, err
    assert out.startswith("2 ")
    assert out.strip().endswith(" 0")
    assert sorted(server.sent) == [f"model-0000{n}-of-00002.safetensors" for n in (1, 2, 2)]
    assert list(scratch.iterdir()) == []


def test_what_is_kept_serves_without_network(
    server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = opened(server, tmp_path, "step1", "keep")
    assert code == 0, err
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    found = resolve(REPO, cache_dir=str(tmp_path / "cache")).chosen
    assert found.select("ckpt_id", "step").rows() == [("step1", 1)]
    assert Path(found["path"][0], "model.safetensors").is_file()
