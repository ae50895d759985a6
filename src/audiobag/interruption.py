"""Ctrl-C, SIGTERM and SIGUSR1: a polite end, after which the same command continues.

While a training runs a signal only leaves a note; the training saves a checkpoint after its step and raises
`Interrupted`. At any other time there is nothing to save, and the command ends at once with exit code 75. A second
signal always ends it at once.
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
    came = False
    deferred = False


def install() -> None:
    """Take over the signals; to be called before the imports that take seconds."""
    for number in SIGNALS:
        signal.signal(number, _on_signal)


def requested() -> bool:
    """Whether a signal has come."""
    return _Note.came


@contextmanager
def deferred() -> Iterator[None]:
    """Within, a signal only leaves a note for `requested`."""
    _Note.deferred = True
    try:
        yield
    finally:
        _Note.deferred = False


def _on_signal(number: int, frame: FrameType | None) -> None:
    if _Note.came:
        os._exit(ExitCode.INTERRUPTED)
    _Note.came = True
    if not _Note.deferred:
        raise SystemExit(ExitCode.INTERRUPTED)
