"""The LightningModule: training and evaluation steps, and the optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from audiobag.bags import BagPrediction, Bags
from audiobag.model import BagClassifier, Ensemble
from audiobag.utils.errors import InputError

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
SchedulerFactory = Callable[[Optimizer], LRScheduler]


class TaggingModule(LightningModule):
    """Trains a `BagClassifier` on `Bags`. Callbacks score the predictions that its evaluation steps return.

    Dropout and augmentations draw from a generator that is seeded in each step from (seed, step, rank). An interrupted
    run therefore continues with the numbers it would have drawn, and no generator state is saved.

    Args:
        model: the classifier; an ensemble can be scored.
        loss: maps (prediction, labels [B, K], mask [B, T]) to a scalar.
        optimizer: makes the optimizer from the parameters.
        lr_scheduler: makes the learning-rate scheduler from the optimizer; it is stepped once a batch. None for a
            constant rate.
        seed: seed of dropout and augmentations.
        metadata: entry `audiobag` of each checkpoint, in plain containers; see `runs.checkpoints`.
        augment: modules that each map training bags to training bags, applied in this order on the device.
        compile: mode of torch.compile for the model and the loss in training steps; None for none.
    """

    def __init__(
        self,
        model: BagClassifier | Ensemble,
        loss: nn.Module,
        optimizer: OptimizerFactory,
        lr_scheduler: SchedulerFactory | None = None,
        seed: int = 0,
        metadata: dict[str, Any] | None = None,
        augment: Sequence[nn.Module] = (),
        compile: str | None = None,  # noqa: A002 - torch's name
    ) -> None:
        super().__init__()
        self.model = model
        self.loss = loss
        self.augment = nn.Sequential(*augment)
        self._make_optimizer, self._make_scheduler = optimizer, lr_scheduler
        self._seed = seed
        self._metadata = metadata or {}
        # In one piece, so that the compiler leaves out what the loss does not need of a prediction.
        self._objective = torch.compile(self._loss_of, mode=compile) if compile else self._loss_of

    def forward(self, bags: Bags) -> BagPrediction:
        """Return the model's prediction."""
        prediction: BagPrediction = self.model(bags.frames, bags.mask)
        return prediction

    def training_step(self, batch: Bags, batch_idx: int) -> Tensor:
        """Return the loss."""
        self.seed_dropout()
        return self.loss_of(batch)

    def loss_of(self, batch: Bags) -> Tensor:
        """Return the loss of a training batch, which is augmented first."""
        bags: Bags = self.augment(batch)
        # The next replay of a compiled step's CUDA graph overwrites its loss.
        return self._objective(bags.frames, bags.mask, bags.labels).clone()

    def _loss_of(self, frames: Tensor, mask: Tensor, labels: Tensor) -> Tensor:
        loss: Tensor = self.loss(self.model(frames, mask), labels, mask)
        return loss

    def validation_step(self, batch: Bags, batch_idx: int) -> dict[str, Any]:
        """Return the prediction, for callbacks, and log the loss of the labels as they are, without augmentation."""
        prediction = self(batch)
        loss = self.loss(prediction, batch.labels, batch.mask)
        self.log("val/loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.labels), sync_dist=True)
        return {"prediction": prediction}

    def test_step(self, batch: Bags, batch_idx: int) -> dict[str, Any]:
        """Return the prediction, for callbacks."""
        return {"prediction": self(batch)}

    def configure_optimizers(self) -> Any:
        """Return the optimizer and its learning-rate scheduler.

        Raises:
            ValueError: one of them refuses its arguments.
        """
        optimizer = _made("optimizer", self._make_optimizer, self.parameters())
        if self._make_scheduler is None:
            return {"optimizer": optimizer}
        scheduler = _made("lr_scheduler", self._make_scheduler, optimizer)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what the weights alone do not tell."""
        checkpoint["audiobag"] = self._metadata

    def seed_dropout(self) -> None:
        """Seed the generators of the CPU and of this device from (seed, step, rank)."""
        seed = ((self._seed * 1_000_003 + self.global_step) * 1_009 + self.global_rank) % 2**63
        # torch.manual_seed also seeds device types that are absent, which takes a millisecond.
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        elif self.device.type == "mps":
            torch.mps.manual_seed(seed)


def _made(what: str, make: Callable[[Any], Any], argument: Any) -> Any:
    """Return what a third-party constructor makes; turn its error into a `ValueError` that names it."""
    try:
        return make(argument)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        texts = [f"{name}={value}" for name, value in getattr(make, "keywords", {}).items() if isinstance(value, str)]
        given = f" with the text {', '.join(texts)}" if texts and isinstance(error, TypeError) else ""
        raise InputError(f"{what} cannot be built{given}: {error}") from error
