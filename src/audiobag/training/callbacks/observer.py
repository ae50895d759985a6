"""Numbers and pictures of a run while it trains: loss, learning rate, speed, memory, a few clips."""

from __future__ import annotations

import resource
import sys
import time
from typing import Any

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer
from numpy.typing import NDArray
from torch import Tensor

from audiobag.bags import BagPrediction
from audiobag.pictures.clips import ClipPicture, clip_picture, draw_clips
from audiobag.tracking.tracker import Tracker
from audiobag.training.callbacks.weights import evaluating

CLIPS = 4
_LIKELIEST = 3


class Observer(Callback):
    """Logs numbers of a training step, and gives trackers pictures of a few clips.

    Every `log_every_n_steps` steps it logs `train/loss`, the mean over the ranks; `train/lr`;
    `train/clips_per_second` of all ranks since the last log, without the time of validation; and the peak memory of the
    first rank, `memory/peak_gib` and `memory/gpu_peak_gib`. Every `val_check_interval` steps and at the last step,
    trackers get a picture of the same few clips of the hold-out, or of the eval set if there is no hold-out, see
    `draw_clips`.
    """

    def __init__(self) -> None:
        self._since = (0.0, 0)  # time and step of the last log
        self._clips: NDArray[np.int64] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._since = time.perf_counter(), trainer.global_step

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restart the clock, which times training only."""
        self._since = time.perf_counter(), trainer.global_step

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: Any) -> None:
        """Log if it is time, and draw where the run validates."""
        step = trainer.global_step
        if step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            self._log(trainer, pl_module, outputs["loss"], step)
        interval = trainer.val_check_interval
        if step == trainer.max_steps or (isinstance(interval, int) and step % interval == 0):
            self._show(trainer, pl_module, step)

    def _log(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor, step: int) -> None:
        now = time.perf_counter()
        seconds, steps = now - self._since[0], step - self._since[1]
        self._since = now, step
        # Lightning's own count of the steps is one behind until the training ends.
        pl_module.log("step", float(step), rank_zero_only=True)
        numbers = {"train/lr": trainer.optimizers[0].param_groups[0]["lr"], "memory/peak_gib": _peak_bytes() / 2**30}
        if steps:
            numbers["train/clips_per_second"] = steps * trainer.datamodule.batch_size / seconds  # type: ignore[attr-defined]
        if trainer.strategy.root_device.type == "cuda":
            numbers["memory/gpu_peak_gib"] = torch.cuda.max_memory_allocated() / 2**30
        # Lightning reads numbers of a progress bar at each step, which waits for the GPU; `Progress` reads them itself.
        pl_module.log("train/loss", loss, sync_dist=True)
        pl_module.log_dict({name: float(value) for name, value in numbers.items()}, rank_zero_only=True)

    def _show(self, trainer: Trainer, pl_module: LightningModule, step: int) -> None:
        trackers = [logger for logger in trainer.loggers if isinstance(logger, Tracker)]
        if not trackers or not trainer.is_global_zero:
            return
        clips = self._predict(trainer, pl_module)
        for tracker in trackers:
            tracker.picture("measure", lambda: draw_clips(clips), step)
        self._since = time.perf_counter(), step

    def _predict(self, trainer: Trainer, pl_module: LightningModule) -> list[ClipPicture]:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        dataset = data.val_set if data.holds_out else data.test_set
        if self._clips is None:
            self._clips = choose(dataset.lengths, np.diff(dataset.labels.offsets))
        cpu_bags = dataset.batch(self._clips)
        bags = trainer.strategy.batch_to_device(cpu_bags)
        with evaluating(trainer, pl_module), trainer.precision_plugin.forward_context():
            prediction: BagPrediction = pl_module(bags)
        p = prediction.measure
        info = dataset.stores[0].description
        return [
            clip_picture(
                dataset.video_id[clip].decode(errors="replace"),
                info.class_names,
                prediction.clip[i].cpu().numpy(),
                prediction.frame[i, :frames].cpu().numpy(),
                None if p is None else p[i, :frames].cpu().numpy(),
                seconds=info.frame_seconds,
                labels=torch.nonzero(cpu_bags.labels[i]).ravel().tolist(),
                count=_LIKELIEST,
            )
            for i, (clip, frames) in enumerate(zip(self._clips, cpu_bags.lengths.tolist(), strict=True))
        ]


def choose(lengths: NDArray[np.int64], classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a few clips of a data set, always the same: evenly spaced among the longest with two classes or more.

    Args:
        lengths: [N], number of frames of each clip.
        classes: [N], number of classes of each clip.
    """
    candidates = np.flatnonzero(classes >= 2)
    candidates = candidates if len(candidates) else np.flatnonzero(classes >= 1)
    candidates = candidates if len(candidates) else np.arange(len(lengths))
    longest = candidates[lengths[candidates] == lengths[candidates].max()]
    return np.unique(longest[np.linspace(0, len(longest) - 1, CLIPS).round().astype(int)])


def _peak_bytes() -> int:
    """Return the peak resident memory of this process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
