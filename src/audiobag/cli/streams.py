"""Standard streams that may be closed: by `| head`, by a terminal that is gone, or before the command starts."""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from typing import Any, Final, TextIO

_GONE: Final = (errno.EPIPE, errno.EIO)  # nobody reads the pipe; the terminal was closed


class _Stream(io.FileIO):
    """A file descriptor that discards output when nobody can read it any more."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            return memoryview(data).nbytes


def survive_closed_streams() -> None:
    """Let a command do its work, and end with its own exit code, even if nobody reads its output.

    Streams that were closed before the command started become /dev/null: otherwise the next file that is opened would
    be taken for the standard output. Streams that something has replaced, such as a test or a notebook, stay as they
    are.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _wrapped(1, sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _wrapped(2, sys.stderr)


def _wrapped(number: int, before: TextIO | None) -> TextIO:
    """Return a stream like `before` over `_Stream`; `before` is None if it was closed."""
    raw = _Stream(number, "w", closefd=False)
    if not isinstance(before, io.TextIOWrapper):
        return io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace")
    with suppress(OSError):
        before.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=before.encoding,
        errors=before.errors,
        line_buffering=before.line_buffering or before.write_through,  # PYTHONUNBUFFERED
    )
