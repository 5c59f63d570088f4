"""A real Ray cluster of two nodes does what local processes do, also when a worker is killed."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest

from polylore.errors import ConfigError, DataError, RunError
from polylore.files import write_json
from polylore.runs import RunFolder, run_batches


@pytest.fixture(scope="module")
def cluster(workers: ModuleType) -> Iterator[str]:
    """A cluster of two nodes with one CPU each, and the executor that finds it."""
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    size = {"num_cpus": 1, "num_gpus": 0, "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**size, "include_dashboard": False})
    cluster.add_node(**size)
    os.environ["RAY_ADDRESS"] = cluster.address
    yield "ray://auto"
    del os.environ["RAY_ADDRESS"]
    cluster.shutdown()


def actors() -> list[psutil.Process]:
    """Our workers' processes, under whichever node."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.cmdline()[:1] and process.cmdline()[0].startswith("ray::_Worker"):
                found.append(process)
        except psutil.Error:
            continue
    return found


def batches(folder: Path, n: int) -> list[str]:
    return [f"{folder}/{i}" for i in range(n)]


def finished(folder: Path) -> dict[str, int]:
    """Number of each finished batch and the process that did it."""
    names = [p.name.split("-") for p in folder.iterdir() if "started" not in p.name]
    assert len({name[0] for name in names}) == len(names), "a batch was done twice"
    return {name[0]: int(name[1]) for name in names}


def test_every_batch_once_on_two_workers(cluster: str, workers: Any, tmp_path: Path) -> None:
    seen = []
    run_batches(
        batches(tmp_path, 8),
        workers.meet,
        executor=cluster,
        jobs=2,
        progress=lambda done, total, what: seen.append((done, total)),
    )
    assert set(finished(tmp_path)) == set("01234567")
    assert len(set(finished(tmp_path).values())) == 2
    assert seen[0] == (0, 8)
    assert seen[-1] == (8, 8)
    assert seen == sorted(seen)


def test_a_worker_s_error_arrives_as_it_is(cluster: str, workers: Any) -> None:
    # Both workers fail; which of them is heard first is a matter of chance.
    with pytest.raises(DataError, match=r"^no facts in [ab]\.$") as caught:
        run_batches(["a", "b"], workers.fail, executor=cluster, jobs=2)
    assert type(caught.value) is DataError


def test_a_defect_keeps_its_traceback(cluster: str, workers: Any) -> None:
    with pytest.raises(Exception, match="rpartition") as caught:
        run_batches([1], workers.touch, executor=cluster)
    assert "workers.py" in str(caught.value)


def test_a_killed_worker_is_replaced(cluster: str, workers: Any, tmp_path: Path) -> None:
    run_batches(batches(tmp_path, 6), workers.killed_once, executor=cluster, jobs=2)
    assert set(finished(tmp_path)) == set("012345")
    killed = [int(path.name.rpartition("-")[2]) for path in tmp_path.glob("1-started-*")]
    assert len(killed) == 1
    assert finished(tmp_path)["1"] != killed[0]


def test_a_batch_that_kills_every_worker(cluster: str, workers: Any, tmp_path: Path) -> None:
    with pytest.raises(
        RunError, match=r"Each of the 2 workers that were given .*/1 died"
    ) as caught:
        run_batches(batches(tmp_path, 5), workers.poison, executor=cluster, jobs=2, retries=1)
    assert "\n" not in str(caught.value)
    assert set(finished(tmp_path)) == set("0234")


def test_a_folder_that_workers_do_not_see(cluster: str, workers: Any, tmp_path: Path) -> None:
    write_json({"format": 1}, tmp_path / "manifest.json")
    run_batches(batches(tmp_path, 1), workers.touch, executor=cluster, folder=tmp_path)
    # An open file's number means this folder to this process only.
    number = os.open(tmp_path, os.O_RDONLY)
    try:
        private = Path(f"/proc/self/fd/{number}")
        with pytest.raises(RunError, match="does not see the run folder"):
            run_batches(["a"], workers.touch, executor=cluster, folder=private)
    finally:
        os.close(number)


def test_other_versions_are_refused(
    cluster: str, workers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from polylore.runs import crew

    mine = {**crew.versions(), "polars": "0.0.1"}
    monkeypatch.setattr(crew, "versions", lambda: mine)
    with pytest.raises(RunError, match=r"other versions \(polars: .* there, '0\.0\.1' here\)"):
        run_batches(["a"], workers.touch, executor=cluster)


def test_no_room_is_one_sentence(
    cluster: str, workers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from polylore.runs import crew

    monkeypatch.setattr(crew, "PATIENCE", 0.5)
    with pytest.raises(RunError, match=r"worker with 3 CPU and 0 GPU .*all it has 2 CPU"):
        run_batches(["a"], workers.touch, executor=cluster, threads=3)


def test_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'polylore\[ray\]'"):
        run_batches(["a"], len, executor="ray")


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """Four checkpoints of a tiny model with random weights."""
    import torch
    import transformers as tf
    from tokenizers import Tokenizer, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate(["<s>", *alphabet])}
    bytes_ = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    bytes_.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = tf.PreTrainedTokenizerFast(
        tokenizer_object=bytes_, bos_token="<s>", eos_token="<s>"
    )
    config = tf.GPT2Config(
        vocab_size=len(vocabulary),
        n_embd=32,
        n_layer=2,
        n_head=2,
        n_positions=256,
        initializer_range=0.2,
        bos_token_id=0,
        eos_token_id=0,
    )
    for step in range(4):
        torch.manual_seed(step)
        folder = tmp_path / "series" / f"step-{step:06d}"
        tf.GPT2LMHeadModel(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return tmp_path / "series"


@pytest.fixture
def make(series: Path) -> Callable[..., Any]:
    from polylore.studies.trace.config import TraceConfig

    return lambda **execution: TraceConfig.parse(
        {
            "model": str(series),
            "facts": {"languages": ["en", "zh"], "limit": 3},
            "ask": {"n_shot": 0, "max_new_tokens": 3},
            "analyse": {"draws": 0},
            "execution": execution,
        }
    )


def test_a_trace_with_a_worker_killed_equals_a_local_one(
    cluster: str, make: Callable[..., Any], tmp_path: Path
) -> None:
    from polylore.studies.trace.study import trace

    killed = []

    def kill(done: int, total: int, what: str) -> None:
        if what == "asking" and done and not killed:
            for process in actors():
                if process.cmdline()[0].endswith(".do"):
                    process.kill()
                    killed.append(process)
                    break

    local = trace(make(), tmp_path / "local", report=False)
    spread = trace(make(executor=cluster, jobs=2), tmp_path / "spread", report=False, progress=kill)
    assert killed
    assert not killed[0].is_running()
    assert spread.units() == local.units()
    assert len(local.units()) == 4 * 2
    for name in ("answers", "candidate_scores"):
        assert RunFolder.load(spread.path).read(name).equals(local.read(name)), name
    for name in local.table_names():
        assert spread.table(name).equals(local.table(name)), name


def test_a_count_with_a_worker_killed_equals_a_local_one(cluster: str, tmp_path: Path) -> None:
    for package in ("daachorse", "stringzilla", "fsspec"):
        pytest.importorskip(package, reason="the extra `corpus` is not installed")
    from polylore.studies.count.config import CountConfig
    from polylore.studies.count.study import count

    (tmp_path / "corpus").mkdir()
    text = "Paris, France\n\n" + "Berlin ist die Hauptstadt: Deutschland.\n\n" * 3000
    for number in range(12):
        (tmp_path / "corpus" / f"{number}.txt").write_text(text * (number + 1))
    killed: list[psutil.Process] = []

    def kill(done: int, total: int, what: str) -> None:
        if done and not killed:
            killed.extend([p for p in actors() if p.cmdline()[0].endswith(".do")][:1])
            for process in killed:
                process.kill()

    def config(**execution: Any) -> CountConfig:
        return CountConfig.parse(
            {
                "documents": {"source": f"file://{tmp_path}/corpus"},
                "facts": {"languages": ["en", "de"], "relations": ["capital"]},
                "execution": execution,
            }
        )

    local = count(config(), tmp_path / "local")
    spread = count(config(executor=cluster, jobs=2), tmp_path / "spread", progress=kill)
    assert killed
    assert local.table("exposure")["count"].sum() > 0
    assert spread.units() == local.units()
    assert all(name.startswith("file://") for name in local.units())
    for name in ("exposure", "exposure_any_language", "shards"):
        assert spread.table(name).equals(local.table(name)), name


# Last: Ray does not like to go back to another cluster afterwards in the same process.
def test_ctrl_c_ends_a_cluster_of_our_own(workers: Any, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
    before = {process.pid for process in psutil.Process().children(recursive=True)}

    def interrupt(done: int, total: int, what: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_batches(
            batches(tmp_path, 50), workers.touch, executor="ray", jobs=2, progress=interrupt
        )
    assert 2 <= len(finished(tmp_path)) < 50
    assert not ray.is_initialized()
    end = time.monotonic() + 5
    while left := {p.pid for p in psutil.Process().children(recursive=True)} - before:
        assert time.monotonic() < end, left
        time.sleep(0.05)
