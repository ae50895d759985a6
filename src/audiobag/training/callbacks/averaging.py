"""Prediction averaging: the mean of the eval predictions over a window of training steps."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from torch import Tensor

from audiobag.training.callbacks.predictions import ClipPredictions
from audiobag.training.callbacks.weights import evaluating
from audiobag.utils.errors import InputError
from audiobag.utils.values import check_whole


class PredictionAveraging(Callback):
    r"""Averages the predictions of the eval set over a window of steps, as the code of Kong et al. (2018) does.

    $$F_{\mathrm{avg}} = \frac{1}{|S|} \sum_{s \in S} F_s, \qquad
      S = \{\mathrm{first}, \mathrm{first} + \mathrm{every}, \dots, \mathrm{last}\}$$

    The paper averages steps 20,000, 21,000, ..., 30,000 of 31,000. Nothing is scored while training, so the eval set
    has no influence on when training stops. With averaged weights (`EMA`, `SWA`), these predict.

    Args:
        first: first step of the window.
        last: last step of the window.
        every: distance between two steps of the window.

    Raises:
        ValueError: the window is empty, or training does not reach its end.
    """

    def __init__(self, first: int, last: int, every: int) -> None:
        check_whole("first", first)
        check_whole("last", last, first, " (the window's first step)")
        check_whole("every", every)
        self.first, self.last, self.every = first, last, every
        self.count = 0
        self._sum: Tensor | None = None  # [N, K] in fp32, all clips, equal on every rank

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check that training reaches the end of the window."""
        if trainer.max_steps < self.last:
            raise InputError(
                f"the averaging window ends at step {self.last}, after the last training step {trainer.max_steps}:"
                " lower first and last, or train for longer"
            )
        if any(isinstance(callback, EarlyStopping) for callback in trainer.callbacks):  # type: ignore[attr-defined]
            raise InputError("averaging cannot be combined with early stopping, which can end training in its window")

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Predict the eval set if the step belongs to the window."""
        step = trainer.global_step
        if self.first <= step <= self.last and (step - self.first) % self.every == 0:
            predicted = predict_test_set(trainer, pl_module)
            self._sum = predicted if self._sum is None else self._sum.add_(predicted)
            self.count += 1

    def average(self) -> Float[Tensor, "N K"]:
        """Return the mean of the predictions, clips in the order of the store.

        Raises:
            ValueError: training ended within the window.
        """
        expected = len(range(self.first, self.last + 1, self.every))
        if self._sum is None or self.count < expected:
            raise InputError(f"training ended after {self.count} of the {expected} steps to average over")
        return self._sum / self.count

    def state_dict(self) -> dict[str, Any]:
        """Return the sum so far, with which an interrupted run continues."""
        return {} if self._sum is None else {"count": self.count, "sum": self._sum}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the sum so far."""
        if state_dict:
            self.count, self._sum = state_dict["count"], state_dict["sum"]


def predict_test_set(trainer: Trainer, pl_module: LightningModule) -> Float[Tensor, "N K"]:
    """Return the probabilities of all eval clips, in order, while training, under the weights that are validated."""
    collected = ClipPredictions().to(trainer.strategy.root_device)
    with evaluating(trainer, pl_module):
        for cpu_bags in trainer.datamodule.test_dataloader():  # type: ignore[attr-defined]
            bags = trainer.strategy.batch_to_device(cpu_bags)
            with trainer.precision_plugin.forward_context():
                collected.update(bags, pl_module(bags).clip)
    probability: Tensor = collected.compute()[1]
    return probability
