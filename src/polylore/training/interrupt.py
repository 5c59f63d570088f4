"""Ctrl-C and SIGTERM as a wish that training grants between two steps."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Turn SIGINT and SIGTERM into a flag, so that a step is never left half done."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {n: signal.signal(n, lambda *_: stopped.set()) for n in numbers}
    try:
        yield stopped
    finally:
        for n, handler in before.items():
            signal.signal(n, handler)
