"""Between two logged steps, a training step does not wait for its device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from lightning import Callback
from torch import Tensor
from torch.overrides import TorchFunctionMode

from audiobag.training.module import TaggingModule
from tests.composing import trained

# Each makes the host wait for a GPU.
WAITS: tuple[Callable[..., Any], ...] = (
    Tensor.item,
    Tensor.tolist,
    Tensor.cpu,
    Tensor.numpy,
    Tensor.nonzero,
    Tensor.__bool__,
    Tensor.__float__,
    Tensor.__int__,
    Tensor.__index__,
)


class Waits(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in WAITS:
            self.found.append(func.__name__)
        return func(*args, **(kwargs or {}))


class WatchSteps(Callback):
    """Records the waits of steps 2 to 5, from the start of one step to the start of another."""

    waits: ClassVar[list[str]] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 2:
            self.mode = Waits()
            self.mode.__enter__()
        elif batch_idx == 6:
            self.mode.__exit__(None, None, None)
            WatchSteps.waits = self.mode.found


def waits(data: Path, folder: Path, *overrides: str) -> list[str]:
    watch = "+callbacks.watch={_target_: tests.training.test_hot_path.WatchSteps}"
    quiet = ("data.val_fraction=0", "trainer.log_every_n_steps=8", "callbacks.checkpoints.every=100")
    trained(data, folder, *quiet, watch, *overrides)
    return WatchSteps.waits


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_step_does_not_wait_for_its_device(data: Path, tmp_path: Path, precision: str) -> None:
    assert waits(data, tmp_path, f"trainer.precision={precision}") == []


@pytest.mark.parametrize("wait", ["item", "cpu"])
def test_a_wait_would_be_found(data: Path, tmp_path: Path, wait: str, monkeypatch: pytest.MonkeyPatch) -> None:
    step = TaggingModule.training_step

    def waiting(self: TaggingModule, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = step(self, batch, batch_idx)
        getattr(loss.detach(), wait)()
        return loss

    monkeypatch.setattr(TaggingModule, "training_step", waiting)
    assert waits(data, tmp_path) == [wait] * 4
