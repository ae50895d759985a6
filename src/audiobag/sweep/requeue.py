"""SLURM gives notice that a job's time is up: the run saves, and its job goes back to the queue.

SLURM signals every process of a step, so the run has its own copy and nothing is forwarded. SIGUSR1
(`--signal=USR1@120`) is the notice. SIGTERM is SLURM's or the user's own doing: SLURM itself requeues what it preempts,
and what was cancelled is to stay so.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from audiobag.cluster import is_first

_LOG = logging.getLogger(__name__)


@contextmanager
def notice() -> Iterator[Callable[[], bool]]:
    """Within a SLURM job, live through its signals; yield a function that tells whether notice has come."""
    came: list[int] = []
    if "SLURM_JOB_ID" not in os.environ:
        yield lambda: False
        return
    before = {number: signal.signal(number, lambda n, _: came.append(n)) for number in (signal.SIGUSR1, signal.SIGTERM)}
    try:
        yield lambda: signal.SIGUSR1 in came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def requeue() -> None:
    """Put this job back into SLURM's queue, once for all of its tasks; SLURM then ends what is left of it."""
    if not is_first():
        return
    job = os.environ["SLURM_JOB_ID"]
    _LOG.info("out of time: back to the queue as job %s", job)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.run(["scontrol", "requeue", job], check=False)
