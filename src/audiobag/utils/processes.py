"""Cores and environment of a process, whether a process is alive, and processes that end with their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Thread
from typing import Any

_PR_SET_PDEATHSIG = 1
_LOOK_SECONDS = 1.0


def available_cores() -> int:
    """Return the number of cores this process may use, which a scheduler or a container may limit."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables within this context."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def is_alive(process: Any) -> bool:
    """Return whether a process of this machine is alive, by its number as read from a file."""
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
