"""Ctrl-C, SIGTERM, SIGUSR1 and SIGHUP: save, exit with 75, and let the same command continue.

While a training runs, a signal is only noted: the training saves a checkpoint after its step and raises `Interrupted`.
At any other time there is nothing to save, and the command exits with 75: by SystemExit once its work has begun, so
that open files are closed, and at once before that, since the libraries that parse the command line catch exceptions of
all kinds. SystemExit is raised after imports that are in progress. A second signal ends the command at once, unless it
follows the first within a second: SLURM signals every process of a step, and a sweep forwards a signal to jobs that may
have received it already.

SIGHUP says that the terminal was closed or the connection was lost. Under `nohup` it is ignored, and stays so.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Final

from audiobag.utils.errors import ExitCode

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
_ECHO_SECONDS: Final = 1.0
_AGAIN_SECONDS: Final = 0.05


class Stopped(SystemExit):
    """A signal came while there was nothing to save."""

    def __init__(self) -> None:
        super().__init__(ExitCode.INTERRUPTED)


class _State:
    begun = False
    first: float | None = None  # time of the first signal
    deferred = False


def install() -> None:
    """Install the signal handlers; call it before imports that take seconds."""
    for number in SIGNALS:
        if not _under_nohup(number):
            signal.signal(number, _on_signal)


def requested() -> bool:
    """Return whether a signal has come."""
    return _State.first is not None


def begin() -> None:
    """Declare that the command's work begins, so that there may be files to close."""
    _State.begun = True


@contextmanager
def deferred() -> Iterator[None]:
    """Only note signals within this context; `requested` tells of them."""
    if requested():  # and a library has caught the SystemExit
        raise Stopped
    begin()
    _State.deferred = True
    try:
        yield
    finally:
        _State.deferred = False


@contextmanager
def noted(numbers: Sequence[signal.Signals], *, twice: bool = False) -> Iterator[list[int]]:
    """Yield a list that receives the number of each of these signals; the handlers before are restored at the end.

    Args:
        numbers: the signals.
        twice: whether a second signal raises KeyboardInterrupt.
    """
    came: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        if twice and came:
            raise KeyboardInterrupt
        came.append(number)

    before = {number: signal.signal(number, note) for number in numbers if not _under_nohup(number)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _under_nohup(number: signal.Signals) -> bool:
    return number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN


def _on_signal(number: int, frame: FrameType | None) -> None:
    now = time.monotonic()
    if not _State.begun or (_State.first is not None and now - _State.first > _ECHO_SECONDS):
        os._exit(ExitCode.INTERRUPTED)
    if _State.first is None:
        _State.first = now
        if not _State.deferred:
            _stop(frame)


def _stop(frame: FrameType | None) -> None:
    """Raise `Stopped`, but not within an import: extensions such as torch's abort on an exception while they load."""
    if not _imports(frame):
        raise Stopped
    signal.signal(signal.SIGALRM, lambda _, there: _stop(there))
    signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)


def _imports(frame: FrameType | None) -> bool:
    """Return whether a frame, or one that called it, is that of an import."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False
