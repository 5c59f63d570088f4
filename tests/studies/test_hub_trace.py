"""A trace of a model on the hub: fetched, asked, deleted, and the same answers as from a folder."""

import sys
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest

from polylore.errors import ModelError, RunError
from polylore.models.resolve import resolve
from polylore.studies.trace.config import TraceConfig
from polylore.studies.trace.study import trace

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "models"))
from hub_fake import FakeHub, cache_revision

REPO = "lab/small"
Make = Callable[..., TraceConfig]


@pytest.fixture
def hub(tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    """The trained checkpoints as branches of a repository."""
    fake = FakeHub(tmp_path / "hub")
    for folder in sorted((trained / "checkpoints").iterdir()):
        (fake.root / REPO).mkdir(parents=True, exist_ok=True)
        (fake.root / REPO / folder.name).symlink_to(folder)
    fake.install(monkeypatch)
    return fake


@pytest.fixture
def remote(hub: FakeHub, make: Make, tmp_path: Path) -> Make:
    """The configuration of a small trace of that repository."""

    def build(**changes: object) -> TraceConfig:
        series = {"cache_dir": str(tmp_path / "cache"), **changes}
        return make(model=REPO, series=series, ask={"generate": False, "n_shot": 0})

    return build


def test_fetched_asked_and_deleted(hub: FakeHub, remote: Make, make: Make, tmp_path: Path) -> None:
    run = trace(remote(), tmp_path / "run", report=False)
    names = sorted(p.name for p in (hub.root / REPO).iterdir())
    assert sorted(hub.downloads) == names
    assert not list((tmp_path / "cache" / ".polylore" / "scratch").iterdir())
    assert run.manifest["downloads"]["checkpoints"] == len(names)
    assert run.manifest["downloads"]["bytes"] > 0
    assert run.manifest["downloads"]["downloads"] == len(names)
    table = run.table("checkpoints")
    assert table["weight_hash"].null_count() == 0
    local = trace(make(ask={"generate": False, "n_shot": 0}), tmp_path / "local", report=False)
    assert local.table("checkpoints")["weight_hash"].to_list() == table["weight_hash"].to_list()
    key = ["ckpt_id", "fact_id", "lang", "variant", "candidate_id"]
    assert run.read("candidate_scores").sort(key).equals(local.read("candidate_scores").sort(key))
    # What is finished is neither asked nor fetched again.
    trace(remote(), tmp_path / "run", report=False)
    assert len(hub.downloads) == len(names)


def test_schedule_and_gaps_reach_the_run(hub: FakeHub, remote: Make, tmp_path: Path) -> None:
    run = trace(remote(schedule="log:2", keep=True), tmp_path / "run", report=False)
    chosen = run.table("checkpoints")
    assert chosen.height == 2 == len(hub.downloads)
    assert run.has_table("gaps")
    # Kept checkpoints serve the next run without any network.
    frame = resolve(REPO, schedule="log:2", cache_dir=str(tmp_path / "cache")).chosen
    assert frame["path"].null_count() == 0
    trace(remote(schedule="log:2"), tmp_path / "again", report=False)
    assert len(hub.downloads) == 2
    assert all(Path(path).is_dir() for path in frame["path"])


def test_a_budget_too_small_is_refused_before_anything_is_asked(
    hub: FakeHub, remote: Make, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"disk budget is 1e-06 GB; raise series.disk_budget_gb"):
        trace(remote(disk_budget_gb=1e-6), tmp_path / "run", report=False)
    assert not hub.downloads


def test_a_revision_that_moved_is_noticed(hub: FakeHub, remote: Make, tmp_path: Path) -> None:
    trace(remote(schedule="log:2"), tmp_path / "run", report=False)
    last, first = (sorted((hub.root / REPO).iterdir())[place] for place in (-1, 0))
    target = first.readlink()
    first.unlink()
    first.symlink_to(last.readlink())
    assert target != first.readlink()
    with pytest.raises((RunError, ModelError), match=r"has other weights than when"):
        trace(remote(schedule="log:2"), tmp_path / "run", report=False)


def test_offline_needs_no_network(
    hub: FakeHub, remote: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    for folder in (hub.root / REPO).iterdir():
        cache_revision(tmp_path / "cache", REPO, folder.name, folder)
    run = trace(remote(), tmp_path / "run", report=False)
    assert run.table("checkpoints").height == len(list((hub.root / REPO).iterdir()))
    assert not hub.downloads
    assert hub.listed == 0
