"""Prediction averaging, as the paper's code does it: the mean of the eval predictions over a window of steps."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from audiobag.bags import Bags
from audiobag.callbacks.predictions import ClipPredictions
from audiobag.errors import UserError
from audiobag.values import check_whole


class PredictionAveraging(Callback):
    """F_avg = mean over s in {first, first + every, ..., <= last} of F after s steps; scored once, at the end.

    The paper takes steps 20,000, 21,000 .. 30,000 of 31,000. Nothing is scored on the way: the eval set says
    nothing about when to stop.

    Args:
        first: first step of the window.
        last: last step of it.
        every: distance of its steps.

    Raises:
        UserError: the window is empty, or reaches beyond the trainer's last step.
    """

    def __init__(self, first: int, last: int, every: int) -> None:
        check_whole("callbacks.averaging.first", first)
        check_whole("callbacks.averaging.last", last, first, ", the window's first step")
        check_whole("callbacks.averaging.every", every)
        self.first, self.last, self.every = first, last, every
        self.count = 0
        self._sum: Tensor | None = None  # [N, K] in fp32: all clips, the same on every rank

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse a window that training does not reach."""
        if trainer.max_steps < self.last:
            raise UserError(
                f"the averaging window ends at step {self.last}, training at step {trainer.max_steps}: lower"
                " callbacks.averaging.first and .last, or raise trainer.max_steps"
            )

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Bags,
        *_: Any,
    ) -> None:
        """Predict the eval set where the step is one of the window."""
        step = trainer.global_step
        if self.first <= step <= self.last and (step - self.first) % self.every == 0:
            predicted = predict_test_set(trainer, pl_module)
            self._sum = predicted if self._sum is None else self._sum.add_(predicted)
            self.count += 1

    def average(self) -> Float[Tensor, "N K"]:
        """Return the mean of the predictions so far, clips in the order of the store."""
        if self._sum is None:
            raise RuntimeError("no step of the averaging window has been reached")
        return self._sum / self.count

    def state_dict(self) -> dict[str, Any]:
        """Return the sum so far: an interrupted run goes on with it."""
        return {} if self._sum is None else {"count": self.count, "sum": self._sum}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from there."""
        if state_dict:
            self.count, self._sum = state_dict["count"], state_dict["sum"]


@torch.no_grad()
def predict_test_set(trainer: Trainer, pl_module: LightningModule) -> Float[Tensor, "N K"]:
    """Return the present weights' probabilities of all eval clips, in order, in the midst of training."""
    collected = ClipPredictions().to(trainer.strategy.root_device)
    pl_module.eval()
    for cpu_bags in trainer.datamodule.test_dataloader():  # type: ignore[attr-defined]
        bags = trainer.strategy.batch_to_device(cpu_bags)
        with trainer.precision_plugin.forward_context():
            collected.update(bags, pl_module(bags).clip)
    pl_module.train()
    probability: Tensor = collected.compute()[1]
    return probability
