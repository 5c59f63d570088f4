"""Importable work for process pools."""

import os
import signal
import time
from pathlib import Path


def touch(folder: str) -> int:
    name, _, number = folder.rpartition("/")
    (Path(name) / f"{number}-{os.getpid()}").write_text("")
    time.sleep(0.05)
    return 1


def die(folder: str) -> int:
    os._exit(9)


def fail(folder: str) -> int:
    from polylore.errors import DataError

    raise DataError(f"no facts in {folder}.")


def killed_once(folder: str) -> int:
    """Whoever begins batch 1 first is killed in the middle of it and leaves `1-started-PID`."""
    here, _, number = folder.rpartition("/")
    if number == "1" and not any(Path(here).glob("1-started-*")):
        (Path(here) / f"1-started-{os.getpid()}").write_text("")
        os.kill(os.getpid(), signal.SIGKILL)
    return touch(folder)


def poison(folder: str) -> int:
    """Batch 1 kills whoever works on it."""
    if folder.endswith("/1"):
        os._exit(9)
    return touch(folder)


def for_ever(folder: str) -> int:
    """Leaves `N-PID` and never ends."""
    touch(folder)
    time.sleep(600)
    return 1


def meet(folder: str) -> int:
    """Ends only when another process is here at the same time, or fails after a minute."""
    touch(folder)
    end = time.monotonic() + 60
    here = Path(folder).parent
    while len({p.name.split("-")[1] for p in here.iterdir()}) < 2:
        if time.monotonic() > end:
            raise TimeoutError("nobody came")
        time.sleep(0.02)
    return 1
