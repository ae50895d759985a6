"""Checkpoints of a run: the last few states to continue from, and the best one on the hold-out."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint

from audiobag.checkpoint import resumable
from audiobag.errors import Interrupted
from audiobag.files import atomic, remove_leftovers
from audiobag.interruption import install, requested
from audiobag.values import check_whole


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place and renames it, so that it is whole or absent.

    Lightning writes to the system's folder for temporary files, and where that is another file system, moving the file
    is copying it: a full disk or a kill then leaves half of it under its final name.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write."""
        content = BytesIO()  # torch can crash the process where it meets a full disk itself
        torch.save(checkpoint, content)
        with atomic(Path(path)) as temporary:
            temporary.write_bytes(content.getbuffer())


class RunCheckpoints(Checkpoint):
    """Saves `step-00000250.ckpt` every so many steps and at the end, keeps the last two, and `best.ckpt` by val/mAP.

    Two are kept so that a damaged one has one before it. Only tensors and plain containers go in.

    Args:
        folder: where they lie.
        every: steps between two.
    """

    KEEP = 2

    def __init__(self, folder: str | Path, every: int) -> None:
        check_whole("callbacks.checkpoints.every", every)
        self.folder = Path(folder)
        self.every = every
        self.best_score = float("-inf")
        self._stopping = False

    @property
    def best_path(self) -> Path:
        """The weights with the highest val/mAP, where there is a hold-out."""
        return self.folder / "best.ckpt"

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put our signal handlers back; Lightning restores what was there before when it ends.

        Its own for SIGTERM broadcasts to the other ranks from within the handler, which can wait for ever, and ends
        the training as if it were done.
        """
        install()
        if trainer.is_global_zero:
            remove_leftovers(self.folder)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """End here if a signal came, and not where the step before was saved: by now Lightning has logged that step."""
        if self._stopping:
            raise Interrupted

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put them back here too: the final weights are validated without a training."""
        install()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put them back here too."""
        install()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Save if it is time or a signal came; where the step is validated first, leave it to `on_validation_end`."""
        interval = trainer.val_check_batch
        due = interval is not None and trainer.global_step % interval == 0
        if not (due and trainer.enable_validation):
            self._step_done(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the weights if none before were better on the hold-out; save if it is time."""
        if trainer.state.fn != "fit":
            return
        score = trainer.callback_metrics.get("val/mAP")
        if score is not None and float(score) > self.best_score:
            self.best_score = float(score)
            trainer.save_checkpoint(self.best_path)
        self._step_done(trainer)

    def _step_done(self, trainer: Trainer) -> None:
        step, last = trainer.global_step, trainer.max_steps
        # A signal may have come to one rank alone: all must save, and stop, after the same step.
        self._stopping = trainer.strategy.reduce_boolean_decision(requested(), all=False) and step < last
        if self._stopping or step % self.every == 0 or step == last:
            self._save(trainer)

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
