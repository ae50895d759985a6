"""What is worth watching while a run trains: loss, learning rate, speed, memory, a few clips."""

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
from audiobag.pictures import Shown
from audiobag.tracking.pictures import heat_maps
from audiobag.tracking.tracker import Tracker

CLIPS = 4
_CLASSES = 6


class Observer(Callback):
    """Logs a training step's numbers, and gives trackers heat maps of the same few clips as they evolve.

    Every `trainer.log_every_n_steps` steps come `train/loss`, the mean over the ranks; `train/lr`;
    `train/clips_per_second` of all ranks since it was logged last, validation and saving left out; `memory/peak_gib`
    and `memory/gpu_peak_gib` of the first rank. The heat maps come every
    `trainer.val_check_interval` steps and at the last one, of clips of the hold-out, or where there is none, of the
    scored set. Without a tracker none is drawn.
    """

    def __init__(self) -> None:
        self._since = (0.0, 0)  # when, and at which step
        self._clips: NDArray[np.int64] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._since = time.perf_counter(), trainer.global_step

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock anew: training is what is timed."""
        self._since = time.perf_counter(), trainer.global_step

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: Any) -> None:
        """Log, and draw where the run validates."""
        step = trainer.global_step
        if step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            self._log(trainer, outputs["loss"], step)
        interval = trainer.val_check_interval
        if step == trainer.max_steps or (isinstance(interval, int) and step % interval == 0):
            self._show(trainer, pl_module, step)

    def _log(self, trainer: Trainer, loss: Tensor, step: int) -> None:
        """Hand the numbers to everything that Lightning would, in one go: `log` takes a millisecond for four."""
        loss = trainer.strategy.reduce(loss, reduce_op="mean")
        now = time.perf_counter()
        seconds, steps = now - self._since[0], step - self._since[1]
        self._since = now, step
        numbers = {
            "train/loss": float(loss),
            "train/lr": float(trainer.optimizers[0].param_groups[0]["lr"]),
            "memory/peak_gib": _peak_bytes() / 2**30,
        }
        if steps:
            numbers["train/clips_per_second"] = steps * trainer.datamodule.batch_size / seconds  # type: ignore[attr-defined]
        if trainer.strategy.root_device.type == "cuda":
            numbers["memory/gpu_peak_gib"] = torch.cuda.max_memory_allocated() / 2**30
        tensors = {name: torch.tensor(value) for name, value in numbers.items()}
        trainer.callback_metrics.update(tensors)
        trainer.logged_metrics.update(tensors)
        trainer.progress_bar_metrics["train/loss"] = numbers["train/loss"]
        begun = step - 1  # Lightning gives a step the number it began with
        for logger in trainer.loggers:
            logger.log_metrics({**numbers, "epoch": trainer.current_epoch}, begun)
            logger.save()

    def _show(self, trainer: Trainer, pl_module: LightningModule, step: int) -> None:
        trackers = [logger for logger in trainer.loggers if isinstance(logger, Tracker)]
        if not trackers or not trainer.is_global_zero:
            return
        clips = self._predict(trainer, pl_module)
        for tracker in trackers:
            tracker.picture("measure", lambda: heat_maps(clips, step), step)
        self._since = time.perf_counter(), step

    @torch.no_grad()
    def _predict(self, trainer: Trainer, pl_module: LightningModule) -> list[Shown]:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        dataset = data.val_set if data.val_fraction else data.test_set
        if self._clips is None:
            self._clips = choose(dataset.lengths, np.diff(dataset.labels.offsets))
        cpu_bags = dataset.batch(self._clips)
        bags = trainer.strategy.batch_to_device(cpu_bags)
        pl_module.eval()
        with trainer.precision_plugin.forward_context():
            prediction: BagPrediction = pl_module(bags)
        pl_module.train()
        about = dataset.stores[0].description
        shown = []
        for i, clip in enumerate(self._clips):
            classes = torch.nonzero(cpu_bags.labels[i]).ravel()[:_CLASSES]
            frames = int(cpu_bags.lengths[i])
            shown.append(
                Shown(
                    dataset.video_id[clip].decode(errors="replace"),
                    tuple(about.class_names[k] for k in classes),
                    prediction.clip[i].cpu()[classes].numpy(),
                    prediction.measure[i, :frames].cpu()[:, classes].T.numpy(),
                    prediction.frame[i, :frames].cpu()[:, classes].T.numpy(),
                    about.frame_seconds,
                )
            )
        return shown


def choose(lengths: NDArray[np.int64], classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a few clips, the same for the same set: evenly among the longest of those with two classes or more.

    Args:
        lengths: [N], frames of each clip.
        classes: [N], how many classes each has.
    """
    telling = np.flatnonzero(classes >= 2)
    telling = telling if len(telling) else np.flatnonzero(classes >= 1)
    telling = telling if len(telling) else np.arange(len(lengths))
    longest = telling[lengths[telling] == lengths[telling].max()]
    return np.unique(longest[np.linspace(0, len(longest) - 1, CLIPS).round().astype(int)])


def _peak_bytes() -> int:
    """Return the most memory this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
