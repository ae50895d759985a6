"""A job's process: one single run of audiobag-train, which dies with whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from audiobag.processes import end_with

LOG = "job.log"
SWEEP = "AUDIOBAG_SWEEP"  # names a job's sweep to whoever tracks the job; conf/logger reads it
PARENT = "AUDIOBAG_PARENT"


def job_command(overrides: Sequence[str], folder: Path, flags: Sequence[str] = ()) -> list[str]:
    """Return the command of a job: a single run, so that a process it starts for another rank is one too.

    Args:
        overrides: of this job, as Hydra takes them.
        folder: the job's run directory.
        flags: further options of the command, such as --config-dir.
    """
    quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    return [sys.executable, "-m", "audiobag.cli.train", *flags, *overrides, f"hydra.run.dir='{quoted}'"]


def start(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a job; what it prints is appended to job.log in its folder.

    It leads a process group of its own: a Ctrl-C at the terminal reaches the sweep alone, which then stops the
    whole group.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOG).open("ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment, PARENT: str(os.getpid())},
            start_new_session=True,
        )


def stop(processes: Sequence[subprocess.Popen[bytes]], grace: float) -> None:
    """Ask jobs to end, and after `grace` seconds end them, with every process of their groups."""
    for process in processes:
        _signal_group(process, signal.SIGTERM)
    for process in processes:
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            _signal_group(process, signal.SIGKILL)
            process.wait()


@contextmanager
def stopping(process: subprocess.Popen[bytes], grace: float = 20.0) -> Iterator[None]:
    """Stop the job if this process is interrupted while it waits for it."""
    try:
        yield
    except BaseException:
        stop([process], grace)
        raise


def reap_group(process: subprocess.Popen[bytes]) -> None:
    """End whatever an ended job has left in its process group: a rank that waits for one that died."""
    _signal_group(process, signal.SIGKILL)


def last_lines(folder: Path, count: int = 10) -> list[str]:
    """Return the end of a job's log."""
    try:
        with (folder / LOG).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 16_384))
            return log.read().decode(errors="replace").splitlines()[-count:]
    except OSError:
        return []


def die_with_parent() -> None:
    """End this process when the one that started it ends, however that ends; where a sweep or a rank started it."""
    parent, own = os.environ.get(PARENT), str(os.getpid())
    if parent in (None, own):  # started by nobody of ours, or asked before
        os.environ[PARENT] = own  # for the ranks that this one may start
        return
    end_with(int(parent))
    os.environ[PARENT] = own  # for the processes that this one starts


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
