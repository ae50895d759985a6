"""Ctrl-C, SIGTERM and SIGUSR1: a polite end, after which the same command continues.

While a training runs a signal only leaves a note; the training saves a checkpoint after its step and raises
`Interrupted`. At any other time there is nothing to save, and the command ends with exit code 75: once its work has
begun by SystemExit, so that what is open gets closed, and before that at once, since the libraries that read the
command line catch exceptions of all kinds. A second signal always ends it at once.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from audiobag.errors import ExitCode

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class _Note:
    begun = False
    came = False
    deferred = False


def install() -> None:
    """Take over the signals; to be called before the imports that take seconds."""
    for number in SIGNALS:
        signal.signal(number, _on_signal)


def requested() -> bool:
    """Whether a signal has come."""
    return _Note.came


def begin() -> None:
    """Say that the command's work begins: there may be something to close from now on."""
    _Note.begun = True


@contextmanager
def deferred() -> Iterator[None]:
    """Within, a signal only leaves a note for `requested`."""
    if _Note.came:  # and a library has caught the SystemExit
        raise SystemExit(ExitCode.INTERRUPTED)
    begin()
    _Note.deferred = True
    try:
        yield
    finally:
        _Note.deferred = False


def _on_signal(number: int, frame: FrameType | None) -> None:
    if _Note.came or not _Note.begun:
        os._exit(ExitCode.INTERRUPTED)
    _Note.came = True
    if not _Note.deferred:
        raise SystemExit(ExitCode.INTERRUPTED)
