"""How much memory this process has held at most."""

import resource
import sys
from pathlib import Path


def peak_memory() -> int:
    """Bytes.

    On Linux `ru_maxrss` is handed down to child processes, so the kernel's own mark is read there.
    """
    try:
        text = Path("/proc/self/status").read_text(encoding="ascii")
        return 1024 * int(text.split("VmHWM:")[1].split()[0])
    except (OSError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else 1024 * peak
