"""The pool: runs jobs in the slots of this machine until none waits."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from audiobag.errors import ExitCode, Interrupted
from audiobag.sweep.child import SWEEP, job_command, reap_group, start, stop
from audiobag.sweep.jobs import Job, State
from audiobag.sweep.slots import Slot

POLL_SECONDS = 0.1
GRACE_SECONDS = 30.0


def run_jobs(
    jobs: Sequence[Job],
    slots: Sequence[Slot],
    *,
    flags: Sequence[str] = (),
    fail_fast: bool = False,
    watch: Callable[[], None] = lambda: None,
) -> None:
    """Run the waiting jobs, as many at once as there are slots; a job that fails costs only itself.

    Args:
        jobs: their states are kept up to date.
        slots: the places to run in.
        flags: further options of every job's command.
        fail_fast: stop all at the first failure.
        watch: called a few times a second.

    Raises:
        Interrupted: Ctrl-C or SIGTERM came; the children are stopped, and the same command continues.
    """
    waiting = [job for job in jobs if job.state is State.WAITING]
    free = list(slots)
    running: dict[int, tuple[Job, Slot, subprocess.Popen[bytes]]] = {}
    try:
        with _interruptible() as interrupted:
            while (waiting or running) and not interrupted():
                while waiting and free:
                    job, slot = waiting.pop(0), free.pop(0)
                    environment = {**slot.environment(), SWEEP: job.sweep}
                    process = start(job_command(job.overrides, job.folder, flags), job.folder, environment)
                    job.state = State.RUNNING
                    running[process.pid] = job, slot, process
                for pid, (job, slot, process) in list(running.items()):
                    if process.poll() is not None:
                        _finish(job, process)
                        free.append(slot)
                        del running[pid]
                        if fail_fast and job.state is State.FAILED:
                            return
                watch()
                time.sleep(POLL_SECONDS)
            if interrupted():
                raise Interrupted
    finally:  # nothing is left to stop unless something went wrong
        _stop_all(running)
        watch()


def _finish(job: Job, process: subprocess.Popen[bytes]) -> None:
    reap_group(process)
    job.exit_code = process.returncode
    if process.returncode == ExitCode.INTERRUPTED:
        job.state = State.INTERRUPTED
    elif process.returncode == ExitCode.DONE and job.run.finished(job.config_hash) is not None:
        job.state = State.DONE
    else:  # also a job that says 0 and has left no metrics.json
        job.state = State.FAILED


def _stop_all(running: dict[int, tuple[Job, Slot, subprocess.Popen[bytes]]]) -> None:
    stop([process for _, _, process in running.values()], GRACE_SECONDS)
    for job, _, process in running.values():
        job.exit_code = process.returncode
        job.state = State.DONE if job.run.metrics() is not None else State.INTERRUPTED


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether Ctrl-C or SIGTERM has come; a second one is KeyboardInterrupt at once."""
    came: list[int] = []

    def note(number: int, _: Any) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
