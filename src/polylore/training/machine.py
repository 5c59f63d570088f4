"""What the machine is told before training: threads, and how to hand out memory."""

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # glibc's malloc.h
_KEEP = 256 * 2**20


def keep_large_blocks() -> bool:
    """Let glibc keep large freed blocks instead of giving them back to the system.

    A training step on a CPU frees and asks again for the same tens of megabytes; mapping them anew
    each time costs page faults. Measured on a 2.6M-parameter model: 12.2k -> 17.4k tokens/s.
    Returns whether it applied; other C libraries are left alone.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    try:
        libc = ctypes.CDLL("libc.so.6")
        return all(
            libc.mallopt(name, value)
            for name, value in (
                (_M_MMAP_MAX, 0),
                (_M_TRIM_THRESHOLD, 2**31 - 1),
                (_M_TOP_PAD, _KEEP),
            )
        )
    except (OSError, AttributeError):
        return False


def thread_choices(device: str) -> list[int]:
    """Numbers of threads worth measuring: one, and all cores this process may use, at most 8."""
    if device != "cpu":
        return [torch.get_num_threads()]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return sorted({1, min(8, cores or 1)})


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with so many threads, and restore the former number afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
