"""A job that SLURM is about to end saves and goes back to the queue.

SLURM signals every process of a step, so the run receives the signal itself and nothing is forwarded. SIGUSR1
(`--signal=USR1@120`) says that the time is almost up. SIGTERM comes from preemption, after which SLURM requeues the
job itself, or from `scancel`, after which the job must not return.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from audiobag.training.cluster import is_first
from audiobag.training.interruption import noted

_LOG = logging.getLogger(__name__)


@contextmanager
def notice() -> Iterator[Callable[[], bool]]:
    """Survive SLURM's signals within a SLURM job; yield a function that returns whether SIGUSR1 has come."""
    if "SLURM_JOB_ID" not in os.environ:
        yield lambda: False
        return
    with noted((signal.SIGUSR1, signal.SIGTERM)) as came:
        yield lambda: signal.SIGUSR1 in came


def requeue() -> None:
    """Put this job back into SLURM's queue, once for all of its tasks; SLURM then ends the tasks that still run."""
    if not is_first():
        return
    job = os.environ["SLURM_JOB_ID"]
    _LOG.info("the time limit is near: job %s goes back to the queue", job)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.run(["scontrol", "requeue", job], check=False)
