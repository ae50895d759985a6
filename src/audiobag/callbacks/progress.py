"""The progress bar: step, speed, loss, and the hold-out's metrics as they come."""

from __future__ import annotations

import sys
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar

from audiobag.idle import pass_over


class Progress(RichProgressBar):
    """Lightning's rich bar, on a terminal alone: in a log file a bar is noise."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=10, leave=True)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Stay silent where nobody watches."""
        if not sys.stderr.isatty():
            self.disable()
            pass_over(self, "on_train_batch_start", "on_train_batch_end")
        super().setup(trainer, pl_module, stage)

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Leave out the logger's version number."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics
