"""Processes: signals that reach a job, ranks that compute together, SLURM's queue."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from typing import Final

from audiobag.doctor.elsewhere import Elsewhere
from audiobag.doctor.finding import Finding, failed, ok, skipped, warning
from audiobag.utils.errors import InputError

_SIGNALLED: Final = """
import os, signal, sys, time
came = []
for number in (signal.SIGUSR1, signal.SIGTERM):
    signal.signal(number, lambda got, _: came.append(got))
print(os.environ.get("SLURM_JOB_ID"), os.environ.get("SLURM_STEP_ID"), flush=True)
deadline = time.monotonic() + 30
while signal.SIGTERM not in came and time.monotonic() < deadline:
    time.sleep(0.05)
print(*sorted(set(int(one) for one in came)), flush=True)
os._exit(75)
"""
_RANK: Final = """
import os, sys, torch
from datetime import timedelta
import torch.distributed as dist
backend, rank, world = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
device = torch.device("cuda", rank) if backend == "nccl" else torch.device("cpu")
os.environ.update(RANK=str(rank), WORLD_SIZE=str(world), MASTER_ADDR="127.0.0.1", MASTER_PORT=sys.argv[4])
dist.init_process_group(backend, timeout=timedelta(seconds=40))
total = torch.full((1000,), float(rank + 1), device=device)
dist.all_reduce(total)
dist.barrier()
print(int(total[0]), flush=True)
dist.destroy_process_group()
os._exit(0)
"""


def signals() -> Finding:
    """Check that SIGUSR1 and SIGTERM reach a process that is started as a job is, and that its exit code comes back.

    Within a SLURM job, the process is a step of it, which `scancel` signals.
    """
    within = "SLURM_JOB_ID" in os.environ and shutil.which("srun") is not None
    prefix = ("srun", "--overlap", "--nodes=1", "--ntasks=1") if within else ()
    way = "in a step of srun" if within else "in a child process"
    with Elsewhere(prefix, way).start(_SIGNALLED) as process:
        assert process.stdout is not None
        step = ".".join(process.stdout.readline().split())
        for number in (signal.SIGUSR1, signal.SIGTERM):
            if within:  # SLURM signals the tasks of a step itself; srun would end them
                subprocess.run(
                    ["scancel", f"--signal={number.name.removeprefix('SIG')}", step], capture_output=True, check=False
                )
            else:
                process.send_signal(number)
        said = process.stdout.read()
        code = process.wait(60)
    if f"{int(signal.SIGUSR1)} {int(signal.SIGTERM)}" not in said or code != 75:
        return failed(f"SIGUSR1 and SIGTERM {way} gave {said.strip()!r} and exit code {code}")
    if os.getpid() == 1:
        return warning(
            "this is process 1 of a container, which has no default for signals: start it with an init, as the image"
            " does (tini), or docker run --init",
        )
    return ok(f"SIGUSR1 and SIGTERM arrive {way}, and exit code 75 returns")


def ranks() -> Finding:
    """Let two processes, or one per GPU, add up numbers."""
    import torch

    gpus = torch.cuda.device_count()
    backend, world = ("nccl", gpus) if gpus > 1 else ("gloo", 2)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _RANK, backend, str(rank), str(world), port],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]
    outputs = []
    for process in started:
        try:
            outputs.append(process.communicate(timeout=60))
        except subprocess.TimeoutExpired:
            for other in started:
                other.kill()
            outputs.append(("", "no answer within 60 s"))
    expected = str(world * (world + 1) // 2)
    wrong = [error.strip().splitlines()[-1:] for said, error in outputs if said.strip() != expected]
    if wrong:
        return failed(f"{world} ranks with {backend}: {' '.join(next(filter(None, wrong), ['?']))}")
    return ok(f"{world} ranks with {backend} on this machine")


def queue() -> Finding:
    """Ask SLURM for its queue."""
    from audiobag.sweep.slurm import queued

    if shutil.which("sbatch") is None:
        return skipped("there is no sbatch here: sweeps run with hydra/launcher=pool")
    try:
        found = queued()
    except InputError as error:
        return failed(str(error))
    return ok(f"it answers, with {len(found)} of your jobs")
