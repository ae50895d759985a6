"""Run jobs in the slots of this machine until none is waiting."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Sequence

from audiobag.runs.presence import record_failure
from audiobag.sweep.child import SWEEP, job_command, reap_group, start, stop
from audiobag.sweep.jobs import Job, State
from audiobag.sweep.slots import Slot
from audiobag.training.interruption import noted
from audiobag.utils.errors import ExitCode, Interrupted

POLL_SECONDS = 0.1
GRACE_SECONDS = 30.0


def run_jobs(
    jobs: Sequence[Job],
    slots: Sequence[Slot],
    *,
    fail_fast: bool = False,
    watch: Callable[[], None] = lambda: None,
) -> None:
    """Run the waiting jobs, one per slot at a time; a job that fails does not stop the others.

    Args:
        jobs: all jobs; their states are kept up to date.
        slots: places to run in.
        fail_fast: stop all jobs at the first failure.
        watch: called several times per second.

    Raises:
        Interrupted: Ctrl-C, SIGTERM or SIGHUP came; the jobs are stopped, and the same command continues them.
    """
    waiting = [job for job in jobs if job.state is State.WAITING]
    free = list(slots)
    running: dict[int, tuple[Job, Slot, subprocess.Popen[bytes]]] = {}
    for job in waiting:
        job.handed.write(job.folder)
    try:
        with noted((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), twice=True) as interrupted:
            while (waiting or running) and not interrupted:
                while waiting and free:
                    job, slot = waiting.pop(0), free.pop(0)
                    environment = {**slot.environment(), SWEEP: job.sweep}
                    command = job_command(job.folder, job.handed.record.hash)
                    process = start(command, job.folder, environment, job.handed.code)
                    job.state, job.started = State.RUNNING, time.monotonic()
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
            if interrupted:
                raise Interrupted
    finally:  # jobs are still running only after a failure or an interruption
        _stop_all(running)
        watch()


def _finish(job: Job, process: subprocess.Popen[bytes]) -> None:
    reap_group(process)
    job.exit_code = process.returncode
    if process.returncode == ExitCode.INTERRUPTED:
        job.state = State.INTERRUPTED
    elif process.returncode == ExitCode.DONE and job.run.metrics() is not None:
        job.state, job.ended = State.DONE, time.monotonic()
    else:  # includes a job that exits with 0 and leaves no metrics.json
        job.state = State.FAILED
        record_failure(job.folder, process.returncode)


def _stop_all(running: dict[int, tuple[Job, Slot, subprocess.Popen[bytes]]]) -> None:
    stop([process for _, _, process in running.values()], GRACE_SECONDS)
    for job, _, process in running.values():
        job.exit_code = process.returncode
        job.state = State.DONE if job.run.metrics() is not None else State.INTERRUPTED
