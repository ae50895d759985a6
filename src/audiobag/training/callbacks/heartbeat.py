"""Progress of a run, for watching it from outside."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer

from audiobag.utils.files import write_json


class Heartbeat(Callback):
    """Writes `progress.json` with step, max_steps, val_mAP and seconds_left.

    Args:
        path: the file.
        seconds: least time between two writes.
    """

    def __init__(self, path: str | Path, seconds: float = 1.0) -> None:
        self.path = Path(path)
        self.seconds = seconds
        self._started = (0.0, 0)  # time and step
        self._next = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._started = time.monotonic(), trainer.global_step

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Write if it is time."""
        now = time.monotonic()
        if now < self._next or not trainer.is_global_zero:
            return
        self._next = now + self.seconds
        step, since = trainer.global_step, now - self._started[0]
        done = step - self._started[1]
        val = trainer.callback_metrics.get("val/mAP")
        write_json(
            self.path,
            {
                "step": step,
                "max_steps": trainer.max_steps,
                "val_mAP": None if val is None else float(val),
                "seconds_left": round(since / done * (trainer.max_steps - step)),
            },
        )
