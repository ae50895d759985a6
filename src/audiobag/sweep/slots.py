"""Slots: how many jobs run at once, and the devices and threads of each."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from audiobag.utils.errors import InputError
from audiobag.utils.values import check_whole


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for one job.

    Attributes:
        devices: GPUs for the job's CUDA_VISIBLE_DEVICES; empty on a CPU.
        threads: CPU threads of each of its processes.
    """

    devices: tuple[str, ...]
    threads: int

    def environment(self) -> dict[str, str]:
        """Return the environment variables that pin a job to the slot."""
        threads = str(self.threads)
        pinned = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        return {**pinned, "CUDA_VISIBLE_DEVICES": ",".join(self.devices)} if self.devices else pinned


def make_slots(
    jobs: int | str, devices: Sequence[str], devices_per_job: int, cores: int, waiting: int, threads: int | None = None
) -> list[Slot]:
    """Return the slots of this machine.

    Args:
        jobs: how many jobs run at once. "auto" means one per `devices_per_job` GPUs; on a CPU, as many as fit its
            cores at `threads` each, or at one each if `threads` is None. If there are more jobs than GPUs, jobs share
            GPUs.
        devices: GPUs to use, by number or UUID; empty to compute on the CPU.
        devices_per_job: GPUs of one job; on a CPU, its processes.
        cores: CPU cores to share.
        waiting: number of jobs to run, an upper limit of the number of slots.
        threads: CPU threads of each process; None to share the cores evenly.

    Raises:
        ValueError: a number is out of range, or a job needs more GPUs than there are.
    """
    check_whole("devices_per_job", devices_per_job)
    if jobs != "auto":
        check_whole("jobs", jobs, otherwise=", or auto")
    groups = [tuple(devices[i : i + devices_per_job]) for i in range(0, len(devices), devices_per_job)]
    if devices and len(groups[-1]) < devices_per_job:
        groups.pop()
        if not groups:
            raise InputError(f"a job needs {devices_per_job} GPUs, but only {len(devices)} are visible")
    groups = groups or [()]
    if jobs == "auto":
        fit = len(groups) if devices else max(1, cores // (devices_per_job * (threads or 1)))
    else:
        fit = int(jobs)
    count = max(1, min(fit, waiting))
    share = threads or max(1, cores // (count * devices_per_job))
    return [Slot(groups[i % len(groups)], share) for i in range(count)]


def visible_gpus(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the GPUs that this process may use: those in CUDA_VISIBLE_DEVICES, or else all that torch finds."""
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [d.strip() for d in named.split(",") if d.strip() and d.strip() != "-1"]
    import torch  # takes seconds to import, and a sweep on a CPU does not need it

    return [str(i) for i in range(torch.cuda.device_count())]
