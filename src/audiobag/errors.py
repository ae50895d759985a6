"""What can go wrong, by whose doing: the exit codes of every command."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended; documented in the README."""

    DONE = 0
    CRASH = 1
    USER = 2
    SOME_JOBS_FAILED = 3
    INTERRUPTED = 75


class UserError(Exception):
    """The user's mistake: one sentence that says what was found, what was expected and what to do.

    Commands print it without a traceback and end with exit code 2.
    """


class Interrupted(Exception):
    """Stopped from outside with everything saved: the same command continues (exit code 75)."""


def exit_code(end: BaseException | None) -> int:
    """Return the exit code of a command whose work ended with this exception, or without any.

    What a constructor raises comes wrapped, so the chain of causes is searched for the user's mistake.
    """
    if end is None:
        return ExitCode.DONE
    if isinstance(end, Interrupted):
        return ExitCode.INTERRUPTED
    if isinstance(end, SystemExit):
        return end.code if isinstance(end.code, int) else ExitCode.CRASH
    cause: BaseException | None = end
    while cause is not None:
        if isinstance(cause, UserError):
            return ExitCode.USER
        cause = cause.__cause__
    return ExitCode.CRASH
