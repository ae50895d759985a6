"""Devices, threads and memory of a training."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Final

import torch

from audiobag.utils.errors import InputError
from audiobag.utils.values import check_whole

_TRIM_THRESHOLD: Final = -1  # M_TRIM_THRESHOLD of glibc's malloc.h
_MMAP_THRESHOLD: Final = -3  # M_MMAP_THRESHOLD


def concrete_accelerator(accelerator: str) -> str:
    """Return an accelerator, with what "auto" stands for here: "gpu" where CUDA finds one, Apple's "mps", or "cpu"."""
    if accelerator != "auto":
        return accelerator
    if torch.cuda.is_available():
        return "gpu"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def torch_device(device: str | None) -> torch.device:
    """Return a device of this machine.

    Args:
        device: such as "cpu" or "cuda:1"; None for a GPU if there is one.

    Raises:
        ValueError: there is no such device.
    """
    wanted = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(wanted)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device must be one that is there, such as cpu or cuda, got {wanted} ({reason})") from error
    return found


def device_count(accelerator: str, devices: object) -> int:
    """Return how many devices of each node a training uses.

    Args:
        accelerator: of the trainer.
        devices: of the trainer: a number, a list, or -1 or "auto" for all GPUs or one CPU.
    """
    if isinstance(devices, int) and devices > 0:
        return devices
    if isinstance(devices, list):
        return len(devices)
    return 1 if accelerator in ("cpu", "mps") else torch.cuda.device_count()


def set_matmul_precision(accelerator: str, precision: str) -> None:
    """Allow TF32 for fp32 matrix products on a GPU, those of recurrent layers included, under mixed precision only."""
    rounded = accelerator != "cpu" and precision != "32-true"
    torch.set_float32_matmul_precision("high" if rounded else "highest")
    torch.backends.cudnn.allow_tf32 = rounded


def set_threads(threads: int | None, devices: object) -> int:
    """Set the CPU threads of this process and return their number.

    Args:
        threads: how many; None for torch's choice, shared among the processes.
        devices: of the trainer; each device has a process.

    Raises:
        ValueError: `threads` is neither None nor a positive whole number.
    """
    if threads is not None:
        check_whole("threads", threads, otherwise=", or null for torch's choice")
    else:
        shared = isinstance(devices, int) and devices > 1 and "OMP_NUM_THREADS" not in os.environ
        threads = max(1, torch.get_num_threads() // int(str(devices))) if shared else torch.get_num_threads()
    torch.set_num_threads(threads)
    if devices != 1:
        # With several processes Lightning sets the threads too, unless this variable is set.
        os.environ["OMP_NUM_THREADS"] = str(threads)
    return threads


def keep_freed_memory() -> None:
    """Tell glibc to keep up to 512 MiB that a step frees, since the next step needs as much again.

    By default glibc returns blocks of a batch's size to the system at once, and each step has thousands of pages mapped
    and zeroed again, which takes a tenth of a step in bf16. Blocks above 32 MiB are returned as before. Other C
    libraries are left alone.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform.startswith("linux") else None
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, 512 * 2**20)
        mallopt(_MMAP_THRESHOLD, 32 * 2**20)


def cpu_multiplies_bf16() -> bool:
    """Return whether this CPU has instructions for matrix products in bf16; True where torch cannot tell."""
    if not hasattr(torch.cpu, "get_capabilities"):
        return True
    able = torch.cpu.get_capabilities()
    return any(able.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
