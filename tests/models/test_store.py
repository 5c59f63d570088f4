"""Fetch, use, delete: budgets, leases, kills and damaged files."""

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hub_fake import FakeHub

from polylore.errors import ModelError
from polylore.models import store as store_module
from polylore.models import store_room, store_watch
from polylore.models.hub_series import scan_hub
from polylore.models.store import Source, Store
from polylore.models.store_room import GIGABYTE, Downloads, Room
from polylore.models.weights import read_tensors

REPO = "lab/model"


@pytest.fixture
def sources(hub: FakeHub, cache: Path) -> list[Source]:
    """Three checkpoints of equal size."""
    for step in (1, 2, 3):
        hub.add(REPO, f"step{step}", step)
    frame = scan_hub([REPO], cache=cache).checkpoints
    return [Source.of(row) for row in frame.iter_rows(named=True)]


def gigabytes(store: Store, source: Source, times: float) -> float:
    return store.size(source) * times / GIGABYTE


def scratch(cache: Path) -> list[str]:
    return sorted(p.name for p in (cache / ".polylore" / "scratch").glob("*"))


def settle() -> None:
    for thread in list(store_module._THREADS.values()):
        thread.join()


def test_fetch_use_delete(hub: FakeHub, cache: Path, sources: list[Source]) -> None:
    store = Store(str(cache), owner="run")
    for source in sources:
        with store.open(source) as folder:
            assert len(dict(read_tensors(folder))) == 2
            assert not (folder / "README.md").exists()
            assert scratch(cache) == [source.key]
        assert not folder.exists()
        assert scratch(cache) == []
    assert hub.downloads == ["step1", "step2", "step3"]
    found = store.downloads()
    assert (found.checkpoints, found.downloads) == (3, 3)
    assert found.bytes == 3 * store.size(sources[0])
    assert found.seconds > 0
    assert Store(str(cache), owner="other").downloads() == Downloads(0, 0, 0, 0)
    with store.open(sources[0]):  # it was deleted
        pass
    assert (store.downloads().checkpoints, store.downloads().downloads) == (3, 4)
    assert not list((cache / ".polylore" / "records").iterdir())
    assert not list((cache / ".polylore" / "leases").iterdir())


def test_keep_leaves_it_in_the_hubs_cache(hub: FakeHub, cache: Path, sources: list[Source]) -> None:
    store = Store(str(cache), keep=True)
    for _ in range(2):
        with store.open(sources[0]) as folder:
            assert folder == cache / "models--lab--model" / "snapshots" / str(sources[0].commit)
    assert (folder / "model.safetensors").is_file()
    assert hub.downloads == ["step1"]
    frame = scan_hub([REPO], cache=cache).checkpoints
    assert frame["path"].to_list() == [str(folder), None, None]
    # What somebody else put there is used as it is, and never deleted.
    with Store(str(cache)).open(Source.of(frame.row(0, named=True))) as again:
        assert again == folder
    assert folder.is_dir()


def test_after_an_error_the_next_attempt_needs_no_download(
    hub: FakeHub, cache: Path, sources: list[Source]
) -> None:
    store = Store(str(cache), owner="run")
    with pytest.raises(ZeroDivisionError), store.open(sources[0]):
        raise ZeroDivisionError
    assert scratch(cache) == [sources[0].key]
    with store.open(sources[0]):
        pass
    assert hub.downloads == ["step1"]
    assert scratch(cache) == []
    with pytest.raises(ZeroDivisionError), store.open(sources[0]):
        raise ZeroDivisionError
    Store(str(cache), owner="another").sweep()
    assert scratch(cache) == [sources[0].key]
    store.sweep()
    assert scratch(cache) == []


def test_the_next_one_is_fetched_ahead_if_the_budget_allows(
    hub: FakeHub, cache: Path, sources: list[Source]
) -> None:
    one, two, three = sources
    wide = Store(str(cache), budget_gb=gigabytes(Store(str(cache)), one, 2.5))
    with wide.open(one, two):
        settle()
        assert hub.downloads == ["step1", "step2"]
        assert scratch(cache) == sorted([one.key, two.key])
    with wide.open(two, three):
        settle()
    with wide.open(three):
        assert hub.downloads == ["step1", "step2", "step3"]
    assert scratch(cache) == []
    store_module._THREADS.clear()
    narrow = Store(str(cache), budget_gb=gigabytes(wide, one, 1.5))
    with narrow.open(one, two):
        settle()
        assert scratch(cache) == [one.key]


def test_room_is_made_from_what_nobody_uses(
    hub: FakeHub, cache: Path, sources: list[Source]
) -> None:
    store = Store(str(cache), budget_gb=gigabytes(Store(str(cache)), sources[0], 1.5))
    with pytest.raises(ZeroDivisionError), store.open(sources[0]):
        raise ZeroDivisionError
    with store.open(sources[1]):
        assert scratch(cache) == [sources[1].key]


def test_a_budget_too_small_is_refused(cache: Path, sources: list[Source]) -> None:
    small = Store(str(cache), budget_gb=1e-7)
    message = r"^Checkpoint step\d needs .* GB, but the disk budget is 1e-07 GB; raise series.disk"
    with pytest.raises(ModelError, match=message):
        small.require(sources)
    with (
        pytest.raises(ModelError, match=r"of lab/model needs .* budget is 1e-07"),
        small.open(sources[0]),
    ):
        pass
    one = gigabytes(small, sources[0], 1.5)
    Store(str(cache), budget_gb=one).require(sources)
    with pytest.raises(ModelError, match="Keeping all chosen checkpoints needs"):
        Store(str(cache), budget_gb=one, keep=True).require(sources)


def test_kept_checkpoints_use_up_the_budget(cache: Path, sources: list[Source]) -> None:
    budget = gigabytes(Store(str(cache)), sources[0], 1.5)
    with Store(str(cache), budget_gb=budget, keep=True).open(sources[0]):
        pass
    with (
        pytest.raises(ModelError, match=r"checkpoints kept in .* take .* delete some, or raise"),
        Store(str(cache), budget_gb=budget).open(sources[1]),
    ):
        pass


def test_a_full_disk_is_refused(
    cache: Path, sources: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 100})
    monkeypatch.setattr(store_room.shutil, "disk_usage", lambda _: usage)
    store = Store(str(cache))
    with pytest.raises(ModelError, match=r"has only 1e-07 GB free; free some, or set series.cache"):
        store.require(sources)
    with pytest.raises(ModelError, match=r"has only .* GB free"), store.open(sources[0]):
        pass


def test_a_truncated_download_is_deleted_and_named(
    hub: FakeHub, cache: Path, sources: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = hub._download

    def cut(*words: Any, **options: Any) -> str:
        path = Path(fetch(*words, **options)) / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-3])
        return str(path.parent)

    monkeypatch.setattr("huggingface_hub.snapshot_download", cut)
    for keep in (False, True):
        store = Store(str(cache), keep=keep)
        with (
            pytest.raises(ModelError, match=r"model.safetensors was damaged .*fetch it anew"),
            store.open(sources[0]),
        ):
            pass
        assert not list(cache.rglob("model.safetensors"))
    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    with Store(str(cache)).open(sources[0]) as folder:
        assert len(dict(read_tensors(folder))) == 2


def test_a_cache_that_cannot_be_written(tmp_path: Path, sources: list[Source]) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ModelError, match=r"set series\.cache_dir"),
        Room(tmp_path / "file" / ".polylore")._locked(),
    ):
        pass


def hold(root: str, key: str, record: dict[str, Any], ready: Any) -> None:
    """Another process: takes a lease and lives until it is killed."""
    room = Room(Path(root))
    lease = room.admit(key, record, None)
    assert lease is not None  # lives as long as this frame
    folder = room.scratch(key)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "part").write_text("x" * 10)
    ready.set()
    time.sleep(60)


@pytest.fixture
def held(cache: Path) -> Any:
    """A second process that uses the checkpoint k; killed at the end at the latest."""
    root = cache / ".polylore"
    record = {"bytes": 10, "folder": str(root / "scratch" / "k"), "kept": False, "owner": "run"}
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=hold, args=(str(root), "k", record, ready))
    process.start()
    assert ready.wait(60)
    yield Room(root), record, process
    process.kill()
    process.join()


def test_nobody_deletes_what_another_process_uses(held: Any) -> None:
    room, record, process = held
    lease = room.admit("k", record, None)
    room.give_back("k", lease, keep=False)
    room.sweep("run")
    assert room.scratch("k").is_dir()
    assert room.others_busy("other")
    other = record | {"folder": str(room.scratch("other"))}
    assert room.admit("other", other, 15 / GIGABYTE) is None
    # A kill frees the lease at once, without any clean-up of the process's own.
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not room.others_busy("other")
    lease = room.admit("other", other, 15 / GIGABYTE)
    assert lease is not None
    assert not room.scratch("k").exists()
    lease.release()


def test_a_killed_deletion_leaves_nothing_that_looks_whole(
    cache: Path, sources: list[Source], hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(cache), owner="run")

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(store_room.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt), store.open(sources[0]):
        pass
    assert not store.room.scratch(sources[0].key).exists()
    monkeypatch.undo()
    hub.install(monkeypatch)
    with store.open(sources[0]) as folder:
        assert len(dict(read_tensors(folder))) == 2
    assert hub.downloads == ["step1", "step1"]
    assert list((cache / ".polylore" / "scratch").iterdir()) == []


@pytest.mark.parametrize("keep", [False, True])
def test_progress_is_what_is_on_the_disk(
    hub: FakeHub,
    cache: Path,
    sources: list[Source],
    monkeypatch: pytest.MonkeyPatch,
    keep: bool,
) -> None:
    monkeypatch.setattr(store_watch, "PAUSE", 0.01)
    monkeypatch.setattr(store_watch, "MEGABYTE", 1)
    store = Store(str(cache), keep=keep, owner="run")
    size = store.size(sources[0])
    seen: list[tuple[int, int, str]] = []
    half = threading.Event()

    def progress(*now: Any) -> None:
        seen.append(now)
        half.set()

    real = hub._download

    def slowly(repo: str, **options: Any) -> str:
        name = f"{store._files(sources[0])[1].etag}.1.incomplete"
        folder = options["local_dir"] or cache / "models--lab--model" / "blobs"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"0" * 10)
        assert half.wait(10)
        (folder / name).unlink()
        return real(repo, **options)

    monkeypatch.setattr("huggingface_hub.snapshot_download", slowly)
    with store_watch.watched(store, progress), store.open(sources[0]):
        deadline = time.monotonic() + 10
        while seen[-1][0] < size and time.monotonic() < deadline:
            time.sleep(0.01)
    assert seen[0] == (10, size, "fetching (MB)")
    assert seen[-1] == (size, size, "fetching (MB)")
    assert Store(str(cache), owner="other").room.fetching("other") == []
