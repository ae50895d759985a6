"""What Lightning does in each step though nobody asked: on a small model, or a fast GPU, more than the step itself."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import AbstractContextManager
from typing import Any, Final

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loops.optimization.automatic import ClosureResult
from lightning.pytorch.profilers import PassThroughProfiler
from torch import Tensor

_STEP_HOOKS: Final = (
    "on_train_batch_start",
    "on_train_batch_end",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
)


def pass_over(listener: Callback | LightningModule, *hooks: str) -> None:
    """Have Lightning leave out these hooks of a callback or module: what cannot be called it passes over."""
    for hook in hooks:
        setattr(listener, hook, None)


def skip_idle_hooks(*listeners: Callback | LightningModule) -> None:
    """Pass over the hooks of a step that callbacks and modules do not have.

    Lightning calls them all, sixty a step, and each within a context of the profiler.
    """
    for listener in listeners:
        base = Callback if isinstance(listener, Callback) else LightningModule
        idle = (h for h in _STEP_HOOKS if getattr(type(listener), h) is getattr(base, h) and h not in vars(listener))
        pass_over(listener, *idle)


def take_shortcuts(trainer: Trainer) -> None:
    """Have each step neither read the signature of `training_step` nor divide its loss by one."""
    loop: Any = trainer.fit_loop.epoch_loop
    loop._build_kwargs = _both
    loop.automatic_optimization.output_result_cls = Undivided


def _both(kwargs: OrderedDict[str, Any], batch: Any, batch_idx: int) -> OrderedDict[str, Any]:
    kwargs["batch"], kwargs["batch_idx"] = batch, batch_idx
    return kwargs


class Undivided(ClosureResult):
    """What Lightning keeps of a step: with the loss itself, where Lightning would divide it by the number one."""

    @classmethod
    def from_training_step_output(cls, training_step_output: Any, normalize: int = 1) -> ClosureResult:
        """Return it for what `training_step` returned, over `normalize` steps whose gradients are added up."""
        if normalize == 1 and type(training_step_output) is Tensor:
            return cls(training_step_output)
        return super().from_training_step_output(training_step_output, normalize)


class NoProfiler(PassThroughProfiler):
    """Measures nothing: Lightning's own, without a generator for each of sixty actions a step."""

    def profile(self, action_name: str) -> Any:
        """Return a context that does nothing."""
        return _NOTHING


class _Nothing(AbstractContextManager[None]):
    def __exit__(self, *_: object) -> None:
        return None


_NOTHING: Final = _Nothing()
