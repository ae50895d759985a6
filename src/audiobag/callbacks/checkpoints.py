"""Checkpoints of a run: the last few states to continue from, and the best one on the hold-out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from audiobag.checkpoint import resumable


class RunCheckpoints(Checkpoint):
    """Saves `step-00000250.ckpt` every so many steps and at the end, keeps the last two, and `best.ckpt` by val/mAP.

    Two are kept so that a damaged one has one before it. A checkpoint is whole or absent: Lightning writes to a
    temporary name and renames. Only tensors and plain containers go in.

    Args:
        folder: where they lie.
        every: steps between two.
    """

    KEEP = 2

    def __init__(self, folder: str | Path, every: int) -> None:
        self.folder = Path(folder)
        self.every = every
        self.best_score = float("-inf")

    @property
    def best_path(self) -> Path:
        """The weights with the highest val/mAP, where there is a hold-out."""
        return self.folder / "best.ckpt"

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Save if it is time; where the step is validated first, leave it to `on_validation_end`."""
        interval = trainer.val_check_batch
        validates = trainer.enable_validation and interval is not None and trainer.global_step % interval == 0
        if self._due(trainer) and not validates:
            self._save(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the weights if none before were better on the hold-out; save if it is time."""
        if trainer.state.fn != "fit":
            return
        score = trainer.callback_metrics.get("val/mAP")
        if score is not None and float(score) > self.best_score:
            self.best_score = float(score)
            trainer.save_checkpoint(self.best_path)
        if self._due(trainer):
            self._save(trainer)

    def _due(self, trainer: Trainer) -> bool:
        return trainer.global_step % self.every == 0 or trainer.global_step == trainer.max_steps

    def _save(self, trainer: Trainer) -> None:
        """Save the present state, then remove those it makes superfluous."""
        trainer.save_checkpoint(self.folder / f"step-{trainer.global_step:08d}.ckpt")
        if trainer.is_global_zero:
            for old in resumable(self.folder)[self.KEEP :]:
                old.unlink()

    def state_dict(self) -> dict[str, Any]:
        """Return the best score so far."""
        return {"best_score": self.best_score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from there."""
        self.best_score = state_dict["best_score"]
