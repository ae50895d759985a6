"""Progress of a run, for watching it from outside."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer

from audiobag.runs.presence import Stage, write_presence
from audiobag.training.callbacks.pace import Pace


class Heartbeat(Callback):
    """Writes `progress.json`: where the run is, what it does, step, rate, loss, val_mAP and seconds_left.

    It also writes while the run scores. If the file has not changed for minutes, the process is stuck or was killed;
    see `runs.presence`.

    Args:
        path: the file.
        seconds: least time between two writes.
    """

    def __init__(self, path: str | Path, seconds: float = 1.0) -> None:
        self.path = Path(path)
        self.seconds = seconds
        self._pace = Pace()
        self._next = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._pace.start(trainer)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Write if it is time."""
        self._beat(trainer, Stage.TRAINING)

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Write if it is time."""
        self._beat(trainer, Stage.TRAINING if trainer.state.fn == "fit" else Stage.SCORING)

    def on_test_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Write if it is time."""
        self._beat(trainer, Stage.SCORING)

    def _beat(self, trainer: Trainer, stage: Stage) -> None:
        now = time.monotonic()
        if now < self._next or not trainer.is_global_zero:
            return
        self._next = now + self.seconds
        training = stage is Stage.TRAINING
        rate, left = self._pace.rate(trainer), self._pace.left(trainer)
        loss, val = (trainer.callback_metrics.get(name) for name in ("train/loss", "val/mAP"))
        write_presence(
            self.path,
            stage,
            step=trainer.global_step,
            max_steps=trainer.max_steps,
            loss=None if loss is None else float(loss),
            val_mAP=None if val is None else float(val),
            steps_per_second=round(rate, 3) if training and rate is not None else None,
            seconds_left=round(left) if training and left is not None else None,
        )
