"""Checkpoints of a run: the last states to continue from, and the best weights on the hold-out."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint

from audiobag.runs.directory import best_checkpoint, step_checkpoint, step_checkpoints
from audiobag.training.interruption import install, requested
from audiobag.utils.errors import Interrupted
from audiobag.utils.files import atomic, remove_leftovers
from audiobag.utils.values import check_whole


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its final path and renames it, so that it is complete or absent.

    Lightning writes to the system's temporary folder and moves the file. Between file systems a move is a copy, and a
    full disk or a kill leaves half a file under the final name.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint."""
        content = BytesIO()  # torch can crash the process when the disk is full while it writes to a file
        torch.save(checkpoint, content)
        with atomic(Path(path)) as temporary:
            temporary.write_bytes(content.getbuffer())


class RunCheckpoints(Checkpoint):
    """Saves `step-00000250.ckpt` at regular steps and where training ends, and `best.ckpt` by val/mAP.

    The last two are kept: if the newest is damaged, the run continues from the one before it. Checkpoints hold tensors
    and plain containers only.

    Args:
        folder: folder of the checkpoints.
        every: steps between two checkpoints.
    """

    KEEP = 2

    def __init__(self, folder: str | Path, every: int = 250) -> None:
        check_whole("every", every)
        self.folder = Path(folder)
        self.every = every
        self.best_score = float("-inf")
        self._stopping = False
        self._saved = -1  # step of the last checkpoint

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Install audiobag's signal handlers again, after Lightning has installed its own.

        Lightning's handler of SIGTERM broadcasts to the other ranks from within the handler, which can block for ever,
        and ends the training as if it were complete.
        """
        install()
        if trainer.is_global_zero:
            remove_leftovers(self.folder)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Install audiobag's signal handlers again: the final weights are validated outside of training."""
        install()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Install audiobag's signal handlers again."""
        install()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Stop if a signal came during the step before, which Lightning has logged by now."""
        if self._stopping:
            raise Interrupted

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Save if it is time or a signal came; if the step is validated first, `on_validation_end` does it."""
        interval = trainer.val_check_batch
        due = interval is not None and trainer.global_step % interval == 0
        if not (due and trainer.enable_validation):
            self._step_done(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the weights if they are the best on the hold-out so far, and save if it is time."""
        if trainer.state.fn != "fit":
            return
        score = trainer.callback_metrics.get("val/mAP")
        if score is not None and float(score) > self.best_score:
            self.best_score = float(score)
            trainer.save_checkpoint(best_checkpoint(self.folder))
        self._step_done(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save where training ends before `max_steps`, as with early stopping: these weights are scored."""
        if self._saved != trainer.global_step:
            self._save(trainer)

    def _step_done(self, trainer: Trainer) -> None:
        step, last = trainer.global_step, trainer.max_steps
        # A signal may reach one rank only; all ranks save, and stop, after the same step.
        self._stopping = trainer.strategy.reduce_boolean_decision(requested(), all=False) and step < last
        if self._stopping or step % self.every == 0 or step == last:
            self._save(trainer)

    def _save(self, trainer: Trainer) -> None:
        """Save the present state, then remove the checkpoints that are no longer needed."""
        self._saved = trainer.global_step
        trainer.save_checkpoint(step_checkpoint(self.folder, trainer.global_step))
        if trainer.is_global_zero:
            for old in step_checkpoints(self.folder)[self.KEEP :]:
                old.unlink()

    def state_dict(self) -> dict[str, Any]:
        """Return the best score so far."""
        return {"best_score": self.best_score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best score so far, unless its weights stayed in the folder of another run."""
        if best_checkpoint(self.folder).is_file():
            self.best_score = state_dict["best_score"]
