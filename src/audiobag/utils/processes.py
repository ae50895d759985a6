"""Cores of a process, whether one is alive, and processes that end with their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from threading import Thread
from typing import Any

_PR_SET_PDEATHSIG = 1
_LOOK_SECONDS = 1.0


def available_cores() -> int:
    """Return the number of cores this process may use, which a scheduler or a container may limit."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def is_alive(process: Any) -> bool:
    """Return whether a process of this machine is alive.

    Args:
        process: process id, as read from a file.
    """
    if not isinstance(process, int) or process <= 0:
        return False
    try:
        os.kill(process, 0)
    except PermissionError:  # that of another user
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def end_with(parent: int) -> None:
    """End this process when its parent ends, even if the parent is killed.

    On Linux the kernel does so at once; elsewhere a thread looks every second.

    Args:
        parent: process id of the parent.
    """
    prctl = getattr(ctypes.CDLL(None), "prctl", None) if sys.platform.startswith("linux") else None
    if prctl is None:
        Thread(target=_look_for, args=(parent,), daemon=True).start()
        return
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # The parent ended before prctl.
        os._exit(1)


def _look_for(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)
