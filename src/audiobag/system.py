"""The LightningModule: steps and optimiser, no architecture and no metric."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from audiobag.bags import BagPrediction, Bags
from audiobag.errors import UserError
from audiobag.model import BagClassifier


class TaggingSystem(LightningModule):
    """Trains a `BagClassifier` on `Bags`; callbacks score what its evaluation steps return.

    Dropout is drawn from a generator seeded anew in each step by (seed, step, rank): a run that was interrupted
    continues with the very numbers it would have had, and nothing of a generator's state has to be kept.

    Args:
        model: the classifier.
        loss: (prediction, labels, mask) -> scalar.
        optimizer: makes the optimiser from the parameters.
        scheduler: makes a schedule, stepped once a batch, from the optimiser; or none.
        seed: of dropout.
        checkpoint_extra: plain containers that go into each checkpoint under the key `audiobag`, so that the
            checkpoint alone tells how to build the model and which classes it knows.
    """

    def __init__(
        self,
        model: BagClassifier,
        loss: nn.Module,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        seed: int = 0,
        checkpoint_extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.loss = loss
        self._make_optimizer, self._make_scheduler = optimizer, scheduler
        self._seed = seed
        self._checkpoint_extra = checkpoint_extra or {}
        self._batch_hooks: tuple[object, dict[str, Callable[..., Any]]] = None, {}

    def __setattr__(self, name: str, value: Any) -> None:
        # Lightning notes the hook that it is in forty times a step, and nn.Module asks each time what kind it is of.
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def _call_batch_hook(self, hook_name: str, *args: Any) -> Any:
        # Lightning finds out three times a step whether it is the module or the data that moves a batch.
        selector: Any = self.trainer._data_connector._datahook_selector
        if self._batch_hooks[0] is not selector:
            self._batch_hooks = selector, {}
        hooks = self._batch_hooks[1]
        if hook_name not in hooks:
            hooks[hook_name] = getattr(selector.get_instance(hook_name), hook_name)
        return hooks[hook_name](*args)

    def forward(self, bags: Bags) -> BagPrediction:
        """Return the model's prediction."""
        # A compiled model is for training: what evaluation keeps, the next batch of a CUDA graph would overwrite.
        model = self.model if self.training else self.model.forward
        prediction: BagPrediction = model(bags.frames, bags.mask)
        return prediction

    def training_step(self, batch: Bags, batch_idx: int) -> Tensor:
        """Return the loss."""
        self._seed_dropout()
        mask = batch.mask
        loss: Tensor = self.loss(self.model(batch.frames, mask), batch.labels, mask)
        return loss

    def _seed_dropout(self) -> None:
        seed = (self._seed * 1_000_003 + self.global_step) * 1_009 + self.global_rank
        # torch.manual_seed takes a millisecond: it writes down where it was called for each kind of device not there.
        torch.default_generator.manual_seed(seed % 2**63)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed % 2**63)

    def validation_step(self, batch: Bags, batch_idx: int) -> dict[str, Any]:
        """Return the prediction, for callbacks."""
        return {"prediction": self(batch)}

    def test_step(self, batch: Bags, batch_idx: int) -> dict[str, Any]:
        """Return the prediction, for callbacks."""
        return {"prediction": self(batch)}

    def configure_optimizers(self) -> Any:
        """Return the optimiser and its schedule.

        Raises:
            UserError: it cannot be made of what the configuration gives it.
        """
        with _arguments_of("optimiser", "optimizer"):
            optimizer = self._make_optimizer(self.parameters())
        if self._make_scheduler is None:
            return {"optimizer": optimizer}
        with _arguments_of("schedule", "scheduler"):
            scheduler = self._make_scheduler(optimizer)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Optimizer) -> None:
        """Drop the gradients; an optimiser's own `zero_grad` first asks who watches."""
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what the weights alone do not tell."""
        checkpoint["audiobag"] = self._checkpoint_extra


@contextmanager
def _arguments_of(what: str, group: str) -> Iterator[None]:
    """Make the user's mistake of what a class from elsewhere says of its arguments."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise UserError(f"the {what} refuses its arguments, see {group}: {error}") from error
