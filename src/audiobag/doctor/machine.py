"""The machine: cores, memory, shared memory, and what its GPUs can compute."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from audiobag.doctor.finding import Finding, Verdict, failed, ok, skipped, warning
from audiobag.utils.processes import available_cores

_GIB: Final = 2**30
_LIMITS: Final = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_SHARED: Final = Path("/dev/shm")
_PRECISIONS: Final = ("float32", "bfloat16", "float16")


def cores() -> Finding:
    """Report how many cores and how much memory this process may use."""
    threads = os.environ.get("OMP_NUM_THREADS")
    told = f"{available_cores()} of {os.cpu_count()} cores" + (f", OMP_NUM_THREADS={threads}" if threads else "")
    memory = _memory()
    return ok(told + (f", {memory / _GIB:,.0f} GiB of memory" if memory else ""))


def shared_memory() -> Finding:
    """Check the room in /dev/shm, through which ranks on several GPUs communicate."""
    if not _SHARED.is_dir():
        return skipped("there is no /dev/shm on this system")
    total = shutil.disk_usage(_SHARED).total / 2**20
    if total >= 512:
        return ok(f"/dev/shm has {total:,.0f} MiB")
    return warning(f"/dev/shm has {total:,.0f} MiB, too few for ranks on several GPUs: docker run --shm-size 1g")


def gpus() -> Finding:
    """Multiply matrices on each GPU, in each precision, and compare with the CPU."""
    import torch

    count = torch.cuda.device_count()
    if not count:
        if torch.backends.mps.is_available():
            return ok("Apple's GPU: trainer=mps")
        driver = _driver()
        if driver is None:
            return skipped("none here: trainer=cpu")
        built = (
            f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "this torch is for CPUs alone"
        )
        return failed(f"the driver is {driver}, but torch cannot use it: {built}")
    told, verdict = [], Verdict.OK
    for number in range(count):
        about = torch.cuda.get_device_properties(number)
        wrong = [name for name in _PRECISIONS if not _multiplies(number, name)]
        bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        told.append(
            f"{about.name}, {about.total_memory / _GIB:.0f} GiB"
            + ("" if bf16 else ", no bf16: trainer.precision=16-mixed")
            + (f", wrong products in {', '.join(wrong)}" if wrong else "")
        )
        verdict = Verdict.FAILED if wrong else verdict
    return Finding(verdict, f"{'; '.join(told)} (CUDA {torch.version.cuda}, driver {_driver() or 'unknown'})")


def _multiplies(number: int, name: str) -> bool:
    import torch

    torch.manual_seed(0)
    a, b = torch.rand(256, 256), torch.rand(256, 256)
    kind = getattr(torch, name)
    product = (a.to(f"cuda:{number}", kind) @ b.to(f"cuda:{number}", kind)).cpu().float()
    return bool(torch.allclose(product, a @ b, rtol=0.05))


def _driver() -> str | None:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return next(iter(done.stdout.split()), None)


def _memory() -> int | None:
    """Return the memory of this machine, or the limit of the container; None if unknown."""
    try:
        found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None
    for path in _LIMITS:
        try:
            found = min(found, int(Path(path).read_text(encoding="utf-8")))
        except (OSError, ValueError):  # none, or "max"
            continue
    return found
