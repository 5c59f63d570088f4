"""Batches are done once each, in one process or several, and failures say what happened."""

import sys
from pathlib import Path

import pytest

from polylore.errors import DataError, RunError
from polylore.runs import run_batches


@pytest.fixture(scope="module")
def workers():
    # Children import the module by name, so it must be importable there too.
    import os

    folder = str(Path(__file__).parent)
    old = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [folder, old]))
    sys.path.insert(0, folder)
    import workers as module  # type: ignore[import-not-found]

    yield module
    sys.path.remove(folder)
    if old is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = old


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_batch_once(workers, tmp_path: Path, jobs: int) -> None:
    seen = []
    run_batches(
        [f"{tmp_path}/{i}" for i in range(6)],
        workers.touch,
        jobs=jobs,
        progress=lambda done, total, what: seen.append((done, total)),
    )
    names = sorted(p.name.split("-")[0] for p in tmp_path.iterdir())
    assert names == [str(i) for i in range(6)]
    assert seen[0] == (0, 6)
    assert seen[-1] == (6, 6)
    assert len({p.name.split("-")[1] for p in tmp_path.iterdir()}) <= jobs


def test_a_dead_worker_is_one_sentence(workers) -> None:
    with pytest.raises(RunError, match="worker process died"):
        run_batches(["a", "b"], workers.die, jobs=2)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_worker_s_error_arrives_as_it_is(workers, jobs: int) -> None:
    with pytest.raises(DataError, match="no facts in a"):
        run_batches(["a"] * jobs, workers.fail, jobs=jobs)


def test_nothing_to_do() -> None:
    run_batches([], len, jobs=2)
