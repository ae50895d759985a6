"""What this machine can do of what a configuration asks: refused in one sentence, never silently changed."""

from __future__ import annotations

import ctypes
import logging
import os
import shutil
import sys
from collections.abc import Mapping
from typing import Any

import torch

from audiobag.errors import UserError
from audiobag.values import check_choice, check_number, check_whole

_LOG = logging.getLogger(__name__)
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
COMPILE_MODES = ("default", "reduce-overhead", "max-autotune")
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


def check_trainer(trainer: Mapping[str, Any]) -> None:
    """Refuse a device or a precision that is not to be had here, and what no part of the training could mean.

    Args:
        trainer: the `trainer` part of the configuration.
    """
    accelerator, precision = trainer["accelerator"], trainer["precision"]
    check_choice("trainer.precision", precision, PRECISIONS)
    for name in ("max_steps", "log_every_n_steps", "val_check_interval", "num_nodes"):
        if name in trainer:
            check_whole(f"trainer.{name}", trainer[name])
    if (clip := trainer.get("gradient_clip_val")) is not None:
        check_number("trainer.gradient_clip_val", clip, "(0, inf)", ", or null for no clipping")
    if (accumulated := trainer.get("accumulate_grad_batches", 1)) != 1:
        raise UserError(
            f"trainer.accumulate_grad_batches={accumulated}, but each step draws its own batch: raise data.batch_size"
        )
    if accelerator == "cpu":
        if precision == "16-mixed":
            raise UserError("trainer.precision=16-mixed needs a GPU; on a CPU take bf16-mixed or 32-true")
        if precision == "bf16-mixed" and not cpu_multiplies_bf16():
            _LOG.warning("this CPU has no bf16 instructions: bf16-mixed will be slower than 32-true here")
        return
    found = torch.cuda.device_count()
    if not found:
        raise UserError(f"trainer.accelerator={accelerator}, but torch finds no GPU here; take trainer=cpu")
    wanted = trainer["devices"]
    if isinstance(wanted, int) and wanted > found:
        raise UserError(f"trainer.devices={wanted}, but this machine has {found} GPU(s)")
    if precision == "bf16-mixed" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise UserError("trainer.precision=bf16-mixed is beyond this GPU; take 16-mixed or 32-true")


def check_compile(mode: str | None) -> None:
    """Refuse a mode of torch.compile that is not known, or any where there is no compiler.

    Args:
        mode: `compile` of the configuration; None for none.
    """
    if mode is None:
        return
    check_choice("compile", mode, COMPILE_MODES, ", or null for none")
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise UserError(f"compile={mode} needs a C++ compiler and finds no {compiler}: install it, or compile=null")


def check_clipping(trainer: Mapping[str, Any], optimizer: Mapping[str, Any]) -> None:
    """Refuse to clip the gradients of fp16 under a fused optimiser, which undoes their scaling only as it steps.

    Args:
        trainer: the `trainer` part of the configuration.
        optimizer: the `optimizer` part.
    """
    if trainer["precision"] == "16-mixed" and trainer.get("gradient_clip_val") and optimizer.get("fused"):
        raise UserError(
            "trainer.gradient_clip_val does not go with 16-mixed and a fused optimiser: take optimizer.fused=false, or"
            " trainer.precision=bf16-mixed"
        )


def device_count(trainer: Mapping[str, Any]) -> int:
    """Return how many devices `trainer.devices` means on each node; -1 and auto are all GPUs, and one CPU.

    Args:
        trainer: the `trainer` part of the configuration.
    """
    devices = trainer["devices"]
    if isinstance(devices, int) and devices > 0:
        return devices
    if isinstance(devices, list):
        return len(devices)
    return 1 if trainer["accelerator"] == "cpu" else torch.cuda.device_count()


def set_product_precision(trainer: Mapping[str, Any]) -> None:
    """Let products that stay in fp32 be TF32 on a GPU under mixed precision, and only there.

    Args:
        trainer: the `trainer` part of the configuration.
    """
    rounded = trainer["accelerator"] != "cpu" and trainer["precision"] != "32-true"
    torch.set_float32_matmul_precision("high" if rounded else "highest")


def set_threads(threads: int | None, devices: object) -> int:
    """Set the CPU threads of this process, by default its share of the cores, and return their number.

    Args:
        threads: how many; None for torch's choice.
        devices: `trainer.devices`, of which each has a process.
    """
    if threads is not None:
        check_whole("threads", threads, otherwise=", or null for torch's choice")
    else:
        shared = isinstance(devices, int) and devices > 1 and "OMP_NUM_THREADS" not in os.environ
        threads = max(1, torch.get_num_threads() // int(str(devices))) if shared else torch.get_num_threads()
    torch.set_num_threads(threads)
    if devices != 1:
        # Where there are several processes Lightning chooses too, unless this says that the choice is made.
        os.environ["OMP_NUM_THREADS"] = str(threads)
    return threads


def keep_freed_memory() -> None:
    """Have glibc keep up to 512 MiB that a step frees for the next step, which needs as much again.

    Left to itself it returns tensors of a batch's size to the system at once, and each step has thousands of pages
    mapped and zeroed anew: a tenth of a bf16 step. Blocks above 32 MiB go back as before. Elsewhere this does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, 512 * 2**20)
        mallopt(_MMAP_THRESHOLD, 32 * 2**20)


def cpu_multiplies_bf16() -> bool:
    """Return whether this CPU has instructions for products in bf16."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
