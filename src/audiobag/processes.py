"""What a process may use, and whom it ends with."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def available_cores() -> int:
    """Return how many cores this process may use: what a scheduler or a container allows, not what the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def end_with(parent: int) -> None:
    """End this process when the one that started it ends, however that ends; on Linux, and nowhere else.

    Args:
        parent: the number of the process that started this one.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before we came to ask
        os._exit(1)
