"""The process of a job: one single run, which ends when the process that started it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from audiobag.sweep.snapshot import code_environment
from audiobag.utils.processes import end_with

LOG = "job.log"
SWEEP = "AUDIOBAG_SWEEP"  # name of the job's sweep, by which trackers group runs; conf/logger reads it
PARENT = "AUDIOBAG_PARENT"  # number of the process that started this one


def job_command(folder: Path, expected: str) -> list[str]:
    """Return the command of a job, which runs the configuration in job.yaml; see `sweep.handover`."""
    return [sys.executable, "-m", "audiobag.cli.job", str(folder), expected]


def start(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], code: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start a job; its output is appended to job.log in its folder.

    The job leads a process group of its own, so that Ctrl-C at the terminal reaches the sweep alone, which then stops
    the whole group.

    Args:
        command: of the job.
        folder: its run directory.
        environment: further environment variables.
        code: folder whose modules come before all others, see `sweep.snapshot`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOG).open("ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **_module_path(code), **environment, PARENT: str(os.getpid())},
            start_new_session=True,
        )


def stop(processes: Sequence[subprocess.Popen[bytes]], grace: float) -> None:
    """Send SIGTERM to the process groups of jobs, and SIGKILL to those that are still alive after `grace` seconds."""
    for process in processes:
        _signal_group(process, signal.SIGTERM)
    for process in processes:
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            _signal_group(process, signal.SIGKILL)
            process.wait()


@contextmanager
def stopping(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Stop a job if an exception, such as an interruption, ends this context."""
    try:
        yield
    except BaseException:
        stop([process], grace=20.0)
        raise


def reap_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the process group of a job that ended, such as a rank that waits for another one."""
    _signal_group(process, signal.SIGKILL)


def die_with_parent() -> None:
    """End this process when the sweep or the rank that started it ends, for whatever reason."""
    parent, own = os.environ.get(PARENT), str(os.getpid())
    os.environ[PARENT] = own  # for the ranks that this process starts
    if parent not in (None, own):
        end_with(int(parent))


def _module_path(code: Path | None) -> dict[str, str]:
    """Return variables with which a job finds the modules in `code`, then those that this process finds, and no others.

    `python -m` would put the working directory first, in which any file may have the name of a module.
    """
    path = os.environ.get("PYTHONPATH")
    own = [] if sys.flags.safe_path else [sys.path[0] or str(Path.cwd())]
    frozen = {} if code is None else code_environment(code)
    places = [*([str(code)] if code else []), *own, *([path] if path else [])]
    return {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(places), **frozen}


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
