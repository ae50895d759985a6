"""Slots: how many jobs run at once, and which devices and threads each of them sees."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from audiobag.errors import UserError
from audiobag.values import check_whole


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for one job.

    Attributes:
        devices: what the job's CUDA_VISIBLE_DEVICES names; empty on a CPU.
        threads: CPU threads of each of its processes.
    """

    devices: tuple[str, ...]
    threads: int

    def environment(self) -> dict[str, str]:
        """Return the variables that pin a job to the slot."""
        threads = str(self.threads)
        pinned = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        return {**pinned, "CUDA_VISIBLE_DEVICES": ",".join(self.devices)} if self.devices else pinned


def make_slots(
    jobs: int | str, devices: Sequence[str], devices_per_job: int, cores: int, waiting: int, threads: int | None = None
) -> list[Slot]:
    """Return the slots of this machine.

    Args:
        jobs: how many at once; "auto" for one per GPU (per `devices_per_job` GPUs), and on a CPU as many as its
            cores bear at `threads` each, or one per core where that is not given. More jobs than GPUs share them
            in turn.
        devices: the GPUs to use, by number or UUID; none to compute on the CPU.
        devices_per_job: GPUs of one job; on a CPU, its processes.
        cores: CPU cores to share.
        waiting: jobs to run: there are never more slots.
        threads: CPU threads of each process, where the configuration says so.

    Raises:
        UserError: the numbers cannot be.
    """
    check_whole("hydra.launcher.devices_per_job", devices_per_job)
    if jobs != "auto":
        check_whole("hydra.launcher.jobs", jobs, otherwise=", or auto")
    groups = [tuple(devices[i : i + devices_per_job]) for i in range(0, len(devices), devices_per_job)]
    if devices and len(groups[-1]) < devices_per_job:
        groups.pop()
        if not groups:
            raise UserError(f"a job wants {devices_per_job} GPUs, this machine shows {len(devices)}")
    groups = groups or [()]
    if jobs == "auto":
        fit = len(groups) if devices else max(1, cores // (devices_per_job * (threads or 1)))
    else:
        fit = int(jobs)
    count = max(1, min(fit, waiting))
    share = threads or max(1, cores // (count * devices_per_job))
    return [Slot(groups[i % len(groups)], share) for i in range(count)]


def visible_gpus(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the GPUs this process may use: what CUDA_VISIBLE_DEVICES names, else all that torch finds."""
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [d.strip() for d in named.split(",") if d.strip() and d.strip() != "-1"]
    import torch  # takes seconds to import, and a sweep on a CPU does not need it

    return [str(i) for i in range(torch.cuda.device_count())]
