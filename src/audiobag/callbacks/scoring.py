"""Scores what the evaluation steps return, on the hold-out while training and on the eval set at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxtyping import Float, Int64
from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torchmetrics import Metric

from audiobag.bags import Bags
from audiobag.callbacks.predictions import ClipPredictions

LOGGED = ("mAP", "AUC", "d_prime")


class TaggingScore(Callback):
    """Logs `val/mAP`, `val/AUC`, `val/d_prime` and the same of `test/`, each ranked once over all clips and ranks.

    After a test (or validation) `scores["test"]` (`["val"]`) holds what the metric computed, and `predictions`
    the clip probabilities of the test.

    Args:
        metric: makes the metric; its `update` takes (probabilities [B, K], labels [B, K]), and what it computes
            has `summary()`, a mapping of names to numbers or None.
    """

    def __init__(self, metric: Callable[[], Metric]) -> None:
        self._metrics = {"val": metric(), "test": metric()}
        self._predictions = ClipPredictions()
        self.predictions: tuple[Int64[Tensor, " N"], Float[Tensor, "N K"]] | None = None
        self.scores: dict[str, Any] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Hold the states where the predictions are."""
        for metric in (*self._metrics.values(), self._predictions):
            metric.to(trainer.strategy.root_device)

    def on_validation_batch_end(self, *hook: Any) -> None:
        """Take a batch of the hold-out."""
        self._take("val", *hook)

    def on_test_batch_end(self, *hook: Any) -> None:
        """Take a batch of the eval set."""
        batch, probability = self._take("test", *hook)
        self._predictions.update(batch, probability)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score the hold-out."""
        self._score("val", pl_module)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score the eval set."""
        self._score("test", pl_module)
        self.predictions = self._predictions.compute()
        self._predictions.reset()

    def _take(
        self, stage: str, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Bags, *_: Any
    ) -> tuple[Bags, Float[Tensor, "B K"]]:
        """Let the metric see a batch; return it and its clip probabilities."""
        probability = outputs["prediction"].clip
        self._metrics[stage].update(probability, batch.labels)
        return batch, probability

    def _score(self, stage: str, pl_module: LightningModule) -> None:
        metric = self._metrics[stage]
        self.scores[stage] = metric.compute()
        metric.reset()
        summary = self.scores[stage].summary()
        logged = {f"{stage}/{k}": float(summary[k]) for k in LOGGED if summary[k] is not None}
        # Every rank computed the same numbers from all clips; their mean is what Lightning asks for.
        pl_module.log_dict(logged, prog_bar=True, sync_dist=True)
