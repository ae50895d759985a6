"""Averages of the weights over training steps, which are validated, scored and saved in place of the last weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn, get_swa_avg_fn

from audiobag.utils.errors import InputError
from audiobag.utils.values import check_number, check_whole


class StepAveraging(WeightAveraging):
    """Lightning's `WeightAveraging` after the step `first`, and every `every` steps from then on.

    Before the first of these steps, validation and checkpoints have the present weights. From it on, they have the
    averaged ones, and a checkpoint holds the present weights too, with which an interrupted run continues. Buffers,
    such as the statistics of batch norm, are averaged as the weights are. When training ends, the model has the
    averaged weights.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(self, first: int, every: int, **averaging: Any) -> None:
        check_whole("first", first)
        check_whole("every", every)
        super().__init__(**averaging)
        self.first, self.every = first, every

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Return whether the weights after step `step_idx` + 1 are added."""
        since = -1 if step_idx is None else step_idx + 1 - self.first
        return since >= 0 and since % self.every == 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Make the average on the device of the training, to which Lightning moves the model only later."""
        pl_module.to(trainer.strategy.root_device)
        super().setup(trainer, pl_module, stage)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check that training reaches the first step, and that no other callback averages the weights."""
        if trainer.max_steps < self.first:
            raise InputError(
                f"the weights are averaged from step {self.first} on, after the last training step {trainer.max_steps}:"
                " lower first, or train for longer"
            )
        if sum(isinstance(one, WeightAveraging) for one in trainer.callbacks) > 1:  # type: ignore[attr-defined]
            raise InputError("callbacks must average the weights in one way: choose ema or swa")

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the averaged weights into the model while it trains; after that, it has the weights to score."""
        if self._in_use(trainer):
            super().on_validation_epoch_start(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the present weights back."""
        if self._in_use(trainer):
            super().on_validation_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the model with the averaged weights."""
        if self._in_use(trainer):
            super().on_train_end(trainer, pl_module)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save the averaged weights beside the present ones."""
        if self._in_use(trainer):
            super().on_save_checkpoint(trainer, pl_module, checkpoint)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Restore both, if the checkpoint has both."""
        if "averaging_state" in checkpoint:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)

    def _in_use(self, trainer: Trainer) -> bool:
        """Return whether the model trains and weights have been added."""
        return trainer.state.fn == "fit" and self.state_dict()["latest_update_step"] > 0


class EMA(StepAveraging):
    r"""Exponential moving average of the weights.

    $$\bar w_s = d \, \bar w_{s-1} + (1 - d) \, w_s, \qquad \bar w_{\mathrm{first}} = w_{\mathrm{first}}$$

    Source: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging" (1992).

    Args:
        decay: d of one step, in [0, 1).
        first: first step whose weights count.
        every: steps between two updates, each of which has the decay $d^{\mathrm{every}}$. An update makes the host
            wait for a GPU, so a larger number is faster there.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(self, decay: float = 0.999, first: int = 1, every: int = 1) -> None:
        check_number("decay", decay, "[0, 1)")
        check_whole("every", every)
        update = get_ema_multi_avg_fn(decay**every)  # type: ignore[no-untyped-call]
        super().__init__(first, every, multi_avg_fn=update)
        self.decay = decay


class SWA(StepAveraging):
    r"""Stochastic weight averaging: the mean of the weights of some steps, best with a constant learning rate.

    $$\bar w = \frac{1}{|S|} \sum_{s \in S} w_s, \qquad S = \{\mathrm{first}, \mathrm{first} + \mathrm{every}, \dots\}$$

    Source: Izmailov et al., "Averaging weights leads to wider optima and better generalization" (2018). Statistics of
    batch norm are averaged too, instead of computed again for the averaged weights.

    Args:
        first: first step whose weights count.
        every: steps between two weights.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(self, first: int, every: int) -> None:
        # Without a function, torch 2.11 cannot average the integers that batch norm counts on a GPU.
        super().__init__(first, every, avg_fn=get_swa_avg_fn())  # type: ignore[no-untyped-call]


@contextmanager
def evaluating(trainer: Trainer, pl_module: LightningModule) -> Iterator[None]:
    """Have a model that trains predict as a validation at this step would, within this context."""
    averages = [c for c in trainer.callbacks if isinstance(c, WeightAveraging)]  # type: ignore[attr-defined]
    pl_module.eval()
    with torch.no_grad():
        for average in averages:
            average.on_validation_epoch_start(trainer, pl_module)
        try:
            yield
        finally:
            for average in averages:
                average.on_validation_epoch_end(trainer, pl_module)
            pl_module.train()
