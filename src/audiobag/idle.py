"""What Lightning does in each step though nobody asked: on a small model, or a fast GPU, more than the step itself."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Final

from lightning import Callback, LightningModule
from lightning.pytorch.profilers import PassThroughProfiler

_STEP_HOOKS: Final = (
    "on_train_batch_start",
    "on_train_batch_end",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
)


def skip_idle_hooks(*listeners: Callback | LightningModule) -> None:
    """Have Lightning pass over the hooks of a step that callbacks and modules do not have.

    It calls them all, sixty a step, and each within a context of the profiler; what cannot be called it passes over.
    """
    for listener in listeners:
        base = Callback if isinstance(listener, Callback) else LightningModule
        for hook in _STEP_HOOKS:
            if getattr(type(listener), hook) is getattr(base, hook) and hook not in vars(listener):
                setattr(listener, hook, None)


class NoProfiler(PassThroughProfiler):
    """Measures nothing: Lightning's own, without a generator for each of sixty actions a step."""

    def profile(self, action_name: str) -> Any:
        """Return a context that does nothing."""
        return _NOTHING


class _Nothing(AbstractContextManager[None]):
    def __exit__(self, *_: object) -> None:
        return None


_NOTHING: Final = _Nothing()
