"""Scores predictions: of the hold-out while training, and of the eval set at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxtyping import Float, Int64
from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torchmetrics import Metric

from audiobag.bags import Bags
from audiobag.training.callbacks.predictions import ClipPredictions

LOGGED = ("mAP", "AUC", "d_prime")


class TaggingScore(Callback):
    """Logs `val/mAP`, `val/AUC`, `val/d_prime` and the same under `test/`, ranked once over all clips and ranks.

    After a validation `scores["val"]` holds the metric's result, and after a test `scores["test"]`. `predictions` has
    the clip probabilities under the same names; those of validations while training are not kept.

    Args:
        metric: makes a metric whose `update` takes (probabilities [B, K], labels [B, K]) and whose result has
            `summary()`, a mapping of names to numbers or None.
    """

    def __init__(self, metric: Callable[[], Metric]) -> None:
        self._metrics = {"val": metric(), "test": metric()}
        self._predictions = {"val": ClipPredictions(), "test": ClipPredictions()}
        self.predictions: dict[str, tuple[Int64[Tensor, " N"], Float[Tensor, "N K"]]] = {}
        self.scores: dict[str, Any] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Move the metrics to the device of the predictions."""
        for metric in (*self._metrics.values(), *self._predictions.values()):
            metric.to(trainer.strategy.root_device)

    def on_validation_batch_end(self, *hook: Any) -> None:
        """Add a batch of the hold-out."""
        self._take("val", *hook)

    def on_test_batch_end(self, *hook: Any) -> None:
        """Add a batch of the eval set."""
        self._take("test", *hook)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score the hold-out."""
        self._score("val", trainer, pl_module)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score the eval set."""
        self._score("test", trainer, pl_module)

    def _take(
        self, stage: str, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Bags, *_: Any
    ) -> None:
        """Add a batch."""
        probability = outputs["prediction"].clip
        self._metrics[stage].update(probability, batch.labels)
        if trainer.state.fn != "fit":
            self._predictions[stage].update(batch, probability)

    def _score(self, stage: str, trainer: Trainer, pl_module: LightningModule) -> None:
        metric = self._metrics[stage]
        self.scores[stage] = metric.compute()
        metric.reset()
        if trainer.state.fn != "fit":
            self.predictions[stage] = self._predictions[stage].compute()
            self._predictions[stage].reset()
        summary = self.scores[stage].summary()
        logged = {f"{stage}/{k}": float(summary[k]) for k in LOGGED if summary[k] is not None}
        if trainer.state.fn == "fit":  # Lightning's own count of the steps is one behind until the training ends
            pl_module.log("step", float(trainer.global_step), rank_zero_only=True)
        # Every rank has computed the same numbers from all clips, so their mean over ranks is the same number.
        pl_module.log_dict(logged, prog_bar=True, sync_dist=True)
