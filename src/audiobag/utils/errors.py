"""Errors and exit codes that all packages share."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended; the README documents the codes."""

    DONE = 0
    CRASH = 1
    USER = 2
    SOME_JOBS_FAILED = 3
    INTERRUPTED = 75


class InputError(ValueError):
    """An argument, a file or a data set that cannot be used.

    The message is one sentence that says what was found, what was expected and what to do. Commands print it without a
    traceback and exit with code 2, while a plain `ValueError` from inside a library is a crash with exit code 1.
    """


class Interrupted(Exception):
    """The run was stopped from outside after it saved its state; the same command continues it (exit code 75).

    The message is what the command adds to "interrupted"; an empty one stands for the folder of the run.
    """


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, its cause, the cause of that, and so on."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def exit_code(error: BaseException | None) -> int:
    """Return the exit code of a command that ended with this exception, or with None if it ended without one.

    Hydra wraps what a constructor raises, so the whole chain of causes is searched for an `InputError`.
    """
    if error is None:
        return ExitCode.DONE
    if isinstance(error, Interrupted):
        return ExitCode.INTERRUPTED
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else ExitCode.CRASH
    return ExitCode.USER if any(isinstance(cause, InputError) for cause in causes(error)) else ExitCode.CRASH
