"""Ctrl-C, SIGTERM and SIGUSR1: a polite end, after which the same command continues.

While a training runs a signal only leaves a note; the training saves a checkpoint after its step and raises
`Interrupted`. At any other time there is nothing to save, and the command ends with exit code 75: once its work has
begun by SystemExit, so that what is open gets closed, and before that at once, since the libraries that read the
command line catch exceptions of all kinds. A second signal ends it at once, unless it comes within a second of the
first: SLURM signals every process of a step, and a sweep hands what it got to jobs that have it already.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from audiobag.errors import ExitCode

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
_ECHO_SECONDS = 1.0


class _Note:
    begun = False
    came: float | None = None  # when the first signal did
    deferred = False


def install() -> None:
    """Take over the signals; to be called before the imports that take seconds."""
    for number in SIGNALS:
        signal.signal(number, _on_signal)


def requested() -> bool:
    """Whether a signal has come."""
    return _Note.came is not None


def begin() -> None:
    """Say that the command's work begins: there may be something to close from now on."""
    _Note.begun = True


@contextmanager
def deferred() -> Iterator[None]:
    """Within, a signal only leaves a note for `requested`."""
    if requested():  # and a library has caught the SystemExit
        raise SystemExit(ExitCode.INTERRUPTED)
    begin()
    _Note.deferred = True
    try:
        yield
    finally:
        _Note.deferred = False


def _on_signal(number: int, frame: FrameType | None) -> None:
    now = time.monotonic()
    if not _Note.begun or (_Note.came is not None and now - _Note.came > _ECHO_SECONDS):
        os._exit(ExitCode.INTERRUPTED)
    if _Note.came is None:
        _Note.came = now
        if not _Note.deferred:
            raise SystemExit(ExitCode.INTERRUPTED)
