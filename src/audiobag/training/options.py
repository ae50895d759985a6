"""Checks of the options of a training that only make sense together, or only on some machines."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from typing import Any, Final

import torch

from audiobag.training.devices import cpu_multiplies_bf16
from audiobag.training.trainer_options import check_trainer_options
from audiobag.utils.errors import InputError
from audiobag.utils.values import check_choice, check_whole

_LOG = logging.getLogger(__name__)
MAX_SEED: Final = 2**32 - 1
COMPILE_MODES: Final = ("default", "reduce-overhead", "max-autotune")


def check_options(options: Mapping[str, Any]) -> None:
    """Check the options of a Lightning Trainer against this machine and against the way audiobag trains.

    Raises:
        ValueError: an option cannot be honoured.
    """
    check_trainer_options(options)
    if options["accelerator"] == "cpu":
        _check_cpu(options)
    elif options["accelerator"] == "mps":
        _check_mps(options)
    else:
        _check_gpus(options["accelerator"], options["precision"], options["devices"])


def check_seed(seed: int) -> None:
    """Check that NumPy and torch take a seed.

    Raises:
        ValueError: it is not a whole number from 0 to 2^32 - 1.
    """
    check_whole("seed", seed, 0)
    if seed > MAX_SEED:
        raise InputError(f"seed must be at most {MAX_SEED}, got {seed}")


def check_clipping(options: Mapping[str, Any], fused: bool) -> None:
    """Check that gradients of fp16 are not clipped under a fused optimizer, which unscales them while it steps.

    Raises:
        ValueError: they are.
    """
    if options["precision"] == "16-mixed" and options.get("gradient_clip_val") and fused:
        raise InputError(
            "gradient_clip_val cannot be combined with precision=16-mixed and a fused optimizer: use an"
            " optimizer that is not fused, or precision=bf16-mixed"
        )


def check_compile(mode: str | None) -> None:
    """Check that torch.compile knows a mode and finds a C++ compiler.

    Raises:
        ValueError: the mode is unknown, or there is no compiler.
    """
    if mode is None:
        return
    check_choice("compile", mode, COMPILE_MODES, ", or null for none")
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise InputError(f"compile={mode} needs a C++ compiler and there is no {compiler}: install it, or use null")


def _check_cpu(options: Mapping[str, Any]) -> None:
    if options["precision"] == "16-mixed":
        raise InputError("precision cannot be 16-mixed on a CPU: use bf16-mixed or 32-true")
    if options["precision"] == "bf16-mixed" and not cpu_multiplies_bf16():
        _LOG.warning("this CPU has no bf16 instructions, so bf16-mixed is slower than 32-true here")
    if options["devices"] != "auto":
        check_whole("devices", options["devices"], otherwise=" on a CPU")
    if options.get("sync_batchnorm"):
        raise InputError("sync_batchnorm cannot be true on a CPU: torch synchronises batch norm on GPUs only")


def _check_mps(options: Mapping[str, Any]) -> None:
    if not torch.backends.mps.is_available():
        raise InputError("accelerator cannot be mps: torch finds no GPU of Apple here; use cpu")
    if options["precision"] != "32-true":
        raise InputError(f"precision must be 32-true on Apple's GPUs, got {options['precision']}")
    if options["devices"] not in (1, "auto", -1):
        raise InputError(f"devices must be 1 on Apple's GPUs, got {options['devices']}")


def _check_gpus(accelerator: str, precision: str, devices: object) -> None:
    found = torch.cuda.device_count()
    if not found:
        raise InputError(f"accelerator cannot be {accelerator}: torch finds no GPU here; use cpu")
    asked = max(devices) + 1 if isinstance(devices, list) else devices
    if isinstance(asked, int) and asked > found:
        raise InputError(
            f"devices must be at most {found}, the number of GPUs here, or a list of numbers below it, got {devices}"
        )
    if precision == "bf16-mixed" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise InputError("precision cannot be bf16-mixed on this GPU: use 16-mixed or 32-true")
