"""Checks of the options of a training that only make sense together, or only on some machines."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from typing import Any, Final

import torch

from audiobag.training.devices import cpu_multiplies_bf16
from audiobag.utils.errors import InputError
from audiobag.utils.values import check_choice, check_number, check_whole

_LOG = logging.getLogger(__name__)
PRECISIONS: Final = ("32-true", "bf16-mixed", "16-mixed")
COMPILE_MODES: Final = ("default", "reduce-overhead", "max-autotune")
# Options that would score or validate a part only, and what to use instead.
_PARTIAL: Final = {
    "fast_dev_run": "use debug=fast",
    "overfit_batches": "use debug=overfit",
    "limit_train_batches": "set max_steps",
    "limit_val_batches": "use val_fraction=0 for no hold-out",
    "limit_test_batches": "score a smaller store instead",
}
_WHOLE: Final = ("max_steps", "log_every_n_steps", "val_check_interval", "num_nodes")


def check_options(options: Mapping[str, Any]) -> None:
    """Check the options of a Lightning Trainer against this machine and against the way audiobag trains.

    Args:
        options: keyword arguments of `lightning.Trainer`.

    Raises:
        ValueError: an option cannot be honoured.
    """
    check_choice("precision", options["precision"], PRECISIONS)
    for name in _WHOLE:
        if name in options:
            check_whole(name, options[name])
    if (clip := options.get("gradient_clip_val")) is not None:
        check_number("gradient_clip_val", clip, "(0, inf)", ", or null for no clipping")
    if (accumulated := options.get("accumulate_grad_batches", 1)) != 1:
        raise InputError(
            f"accumulate_grad_batches must be 1, got {accumulated}: each step draws its own batch, so raise batch_size"
        )
    for name, remedy in _PARTIAL.items():
        if options.get(name):
            raise InputError(f"{name} cannot be used, since the scores of a part would look complete: {remedy}")
    if options["accelerator"] == "cpu":
        _check_cpu(options["precision"])
    else:
        _check_gpus(options["accelerator"], options["precision"], options["devices"])


def check_clipping(options: Mapping[str, Any], fused: bool) -> None:
    """Check that gradients of fp16 are not clipped under a fused optimizer, which unscales them while it steps.

    Args:
        options: keyword arguments of `lightning.Trainer`.
        fused: whether the optimizer is fused.

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

    Args:
        mode: mode of torch.compile; None for no compilation.

    Raises:
        ValueError: the mode is unknown, or there is no compiler.
    """
    if mode is None:
        return
    check_choice("compile", mode, COMPILE_MODES, ", or null for none")
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise InputError(f"compile={mode} needs a C++ compiler and there is no {compiler}: install it, or use null")


def _check_cpu(precision: str) -> None:
    if precision == "16-mixed":
        raise InputError("precision cannot be 16-mixed on a CPU: use bf16-mixed or 32-true")
    if precision == "bf16-mixed" and not cpu_multiplies_bf16():
        _LOG.warning("this CPU has no bf16 instructions, so bf16-mixed is slower than 32-true here")


def _check_gpus(accelerator: str, precision: str, devices: object) -> None:
    found = torch.cuda.device_count()
    if not found:
        raise InputError(f"accelerator cannot be {accelerator}: torch finds no GPU here; use cpu")
    if isinstance(devices, int) and devices > found:
        raise InputError(f"devices must be at most {found}, the number of GPUs here, got {devices}")
    if precision == "bf16-mixed" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise InputError("precision cannot be bf16-mixed on this GPU: use 16-mixed or 32-true")
