"""Between two lines of the log a training step neither waits for its device nor does more operators than it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from audiobag.experiment import train
from audiobag.runs import RunDirectory
from audiobag.system import TaggingSystem
from tests.composing import small_training
from tests.watching import CountCalls, WatchSteps


def watch(data: Path, folder: Path, *overrides: str) -> type[WatchSteps]:
    watching = "{_target_: tests.watching.WatchSteps, first: 2, steps: 4}"
    config = small_training(
        data,
        folder,
        "data.val_fraction=0",
        "trainer.log_every_n_steps=8",
        "callbacks.checkpoints.every=100",
        f"+callbacks.watch={watching}",
        *overrides,
    )
    train(config, RunDirectory(folder), {})
    return WatchSteps


@pytest.mark.parametrize(("precision", "most"), [("32-true", 560), ("bf16-mixed", 640)])
def test_a_step_waits_for_nothing_and_has_few_operators(data: Path, tmp_path: Path, precision: str, most: int) -> None:
    watched = watch(data, tmp_path, f"trainer.precision={precision}")
    assert watched.waits == []
    # Fused Adam reads each of ten parameters' step count: in main memory here, within its kernel on a GPU.
    assert watched.operators["aten::_local_scalar_dense"] == 10
    # The products of five layers forward and backward, without the gradient of the frames.
    assert sum(watched.operators[f"aten::{name}"] for name in ("addmm", "mm")) == 5 + 9
    assert watched.operators["aten::_fused_adam_"] == 1
    assert sum(watched.operators.values()) <= most  # views and allocations included


@pytest.mark.parametrize("wait", ["item", "cpu"])
def test_a_wait_would_be_seen(data: Path, tmp_path: Path, wait: str, monkeypatch: pytest.MonkeyPatch) -> None:
    step = TaggingSystem.training_step

    def waiting(self: TaggingSystem, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = step(self, batch, batch_idx)
        getattr(loss.detach(), wait)()
        return loss

    monkeypatch.setattr(TaggingSystem, "training_step", waiting)
    assert watch(data, tmp_path).waits == [wait] * 4


def test_lightning_does_little_beside_the_step(data: Path, tmp_path: Path) -> None:
    counting = "{_target_: tests.watching.CountCalls, first: 2, steps: 4}"
    options = ("data.val_fraction=0", "trainer.log_every_n_steps=8", "callbacks.checkpoints.every=100")
    train(small_training(data, tmp_path, *options, f"+callbacks.count={counting}"), RunDirectory(tmp_path), {})
    assert 0 < CountCalls.calls <= 400  # left to itself it calls 890 functions of its own a step
