"""Batches are done once each, in one process or several, and failures say what happened."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from polylore.errors import ConfigError, DataError, RunError
from polylore.runs import run_batches


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


def test_an_unknown_executor_is_named() -> None:
    with pytest.raises(ConfigError, match="no executor slurm"):
        run_batches(["a"], len, executor="slurm")


SCRIPT = """
import sys
import workers
from polylore.runs import run_batches

if __name__ == "__main__":
    print("started", flush=True)
    batches = [f"{sys.argv[1]}/{i}" for i in range(4)]
    try:
        run_batches(batches, workers.for_ever, jobs=2)
    except KeyboardInterrupt:
        print("interrupted")
"""


def start(folder: Path) -> subprocess.Popen[str]:
    """A process with two workers that never end."""
    (folder / "script.py").write_text(SCRIPT)
    (folder / "marks").mkdir()
    return subprocess.Popen(
        [sys.executable, str(folder / "script.py"), str(folder / "marks")],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(true: Callable[[], bool], seconds: float) -> float:
    """Seconds until something was true; fails when it never was."""
    begin = time.monotonic()
    while not true():
        assert time.monotonic() - begin < seconds, f"not within {seconds} s"
        time.sleep(0.02)
    return time.monotonic() - begin


def test_no_worker_outlives_a_killed_parent(workers, tmp_path: Path) -> None:
    with start(tmp_path) as parent:
        wait_for(lambda: len(list((tmp_path / "marks").iterdir())) == 2, 60)
        family = psutil.Process(parent.pid).children(recursive=True)
        at_work = {int(mark.name.split("-")[1]) for mark in (tmp_path / "marks").iterdir()}
        assert at_work <= {process.pid for process in family}
        parent.kill()
        parent.wait()
        _, alive = psutil.wait_procs(family, timeout=2)
        assert alive == []


@pytest.mark.parametrize("delay", [0.2, 0.6, 3.0])
def test_ctrl_c_is_quick_and_quiet(workers, tmp_path: Path, delay: float) -> None:
    with start(tmp_path) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        time.sleep(delay)
        os.killpg(parent.pid, signal.SIGINT)
        try:
            out, err = parent.communicate(timeout=20)
        finally:
            if parent.poll() is None:
                os.killpg(parent.pid, signal.SIGKILL)
        assert (out, err) == ("interrupted\n", "")
