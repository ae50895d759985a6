"""The Lightning Trainer of a training or of an evaluation: its defaults, its checks and its parts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from lightning import Callback, Trainer
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.loggers import Logger

from audiobag.data import BagDataModule
from audiobag.training.callbacks import AtomicCheckpointIO
from audiobag.training.cluster import cluster_environment
from audiobag.training.devices import concrete_accelerator, device_count, set_matmul_precision
from audiobag.training.options import check_options

TRAINER_DEFAULTS: Final[Mapping[str, Any]] = {
    "accelerator": "cpu",
    "devices": 1,
    "num_nodes": 1,
    "precision": "32-true",
    "val_check_interval": 100,
    "check_val_every_n_epoch": None,
    "log_every_n_steps": 20,
    "num_sanity_val_steps": 0,
    "enable_model_summary": False,
    "use_distributed_sampler": False,
}


def checked_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return options of a Trainer with those of `TRAINER_DEFAULTS` that are not given.

    Raises:
        ValueError: an option cannot be honoured.
    """
    options = {**TRAINER_DEFAULTS, **given}
    options["accelerator"] = concrete_accelerator(options["accelerator"])
    check_options(options)
    return options


def make_trainer(
    trainer: Callable[..., Trainer],
    callbacks: Sequence[Callback],
    loggers: Sequence[Logger],
    options: Mapping[str, Any],
    data: BagDataModule,
) -> Trainer:
    """Return a Trainer with atomic checkpoints, the cluster's environment, and a progress bar on a terminal only."""
    cluster = cluster_environment(device_count(options["accelerator"], options["devices"]), options["num_nodes"])
    set_matmul_precision(options["accelerator"], options["precision"])
    shown = sys.stderr.isatty() and options.get("enable_progress_bar", True)
    if not shown:  # in a log file a bar is noise
        callbacks = [callback for callback in callbacks if not isinstance(callback, ProgressBar)]
    if not data.holds_out:
        options = {**options, "limit_val_batches": 0}
    return trainer(
        **{**options, "enable_progress_bar": shown},
        callbacks=list(callbacks),
        logger=list(loggers),
        plugins=[AtomicCheckpointIO(), *([cluster] if cluster else [])],
    )
