"""What is passed over in a step is what nobody has, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer, seed_everything

from audiobag.bags import Bags
from audiobag.callbacks import Progress
from audiobag.data import BagDataModule, BagDataset
from audiobag.experiment import build_system, train
from audiobag.idle import NoProfiler, Undivided, skip_idle_hooks
from audiobag.runs import RunDirectory
from audiobag.sampler import Balanced
from audiobag.store import open_store
from audiobag.system import TaggingSystem
from tests.composing import small_training


class Listening(Callback):
    heard: list[str]

    def __init__(self) -> None:
        self.heard = []
        self.on_before_zero_grad = lambda *_: self.heard.append("on an instance")  # type: ignore[method-assign]

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.heard.append("of a class")


class Heard(Listening):
    """Its base has the hook."""


def test_only_idle_hooks_are_passed_over() -> None:
    for kind in (Listening, Heard):
        callback = kind()
        skip_idle_hooks(callback)
        assert callback.on_train_batch_start is None
        assert callback.on_before_optimizer_step is None
        callback.on_after_backward(None, None)  # type: ignore[arg-type]
        callback.on_before_zero_grad(None, None, None)  # type: ignore[arg-type]
        assert callback.heard == ["of a class", "on an instance"]
        assert callable(callback.on_train_start)


def test_a_profiler_that_does_nothing_can_be_nested() -> None:
    profiler = NoProfiler()
    with profiler.profile("outer"), profiler.profile("inner"):
        pass
    with pytest.raises(ValueError, match="passes"), profiler.profile("failing"):
        raise ValueError("passes")


def test_what_users_add_is_called(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook of the module, one of the data and one of a callback, each once a step."""
    called: list[str] = []

    def on_before_optimizer_step(self: TaggingSystem, optimizer: Any) -> None:
        called.append("module")

    def on_after_batch_transfer(self: BagDataModule, batch: Bags, dataloader_idx: int) -> Bags:
        called.append("data")
        return batch

    monkeypatch.setattr(TaggingSystem, "on_before_optimizer_step", on_before_optimizer_step, raising=False)
    monkeypatch.setattr(BagDataModule, "on_after_batch_transfer", on_after_batch_transfer, raising=False)
    options = ("data.val_fraction=0", "trainer.max_steps=3")
    added = "+callbacks.added={_target_: tests.test_idle.Adding}"
    Adding.called = called
    train(small_training(data, tmp_path, *options, added), RunDirectory(tmp_path), {})
    steps, evaluation = called[:9], called[9:]
    assert steps == ["data", "callback", "module"] * 3
    assert set(evaluation) == {"data"}


class Adding(Callback):
    called: list[str]

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: torch.Tensor) -> None:
        self.called.append("callback")


@pytest.mark.parametrize("clip", [None, 0.01])
def test_steps_are_those_of_a_plain_loop(data: Path, tmp_path: Path, clip: float | None) -> None:
    options = ("data.val_fraction=0", "embedding.dropout=0", f"trainer.gradient_clip_val={clip or 'null'}")
    config = small_training(data, tmp_path, *options)
    train(config, RunDirectory(tmp_path), {})
    trained = torch.load(tmp_path / "checkpoints/step-00000008.ckpt", weights_only=True)["state_dict"]

    dataset = BagDataset([open_store(data / "bal_train.h5")])
    seed_everything(config["seed"], verbose=False)
    plain = build_system(config, dataset.stores[0])
    optimizer = plain.configure_optimizers()["optimizer"]
    norms = []
    for step in range(8):
        bags = dataset.batch(Balanced(dataset.labels, 16, config["seed"]).draw(step))
        optimizer.zero_grad()
        plain.loss(plain.model(bags.frames, bags.mask), bags.labels, bags.mask).backward()
        norms.append(torch.nn.utils.clip_grad_norm_(plain.parameters(), clip or torch.inf))
        optimizer.step()
    assert min(norms) > 0.01  # so that clipping changes something
    for name, expected in plain.state_dict().items():
        torch.testing.assert_close(trained[name], expected, rtol=0, atol=0)


def test_a_loss_is_divided_only_where_gradients_are_accumulated() -> None:
    loss = torch.tensor(3.0)
    assert Undivided.from_training_step_output(loss, 1).closure_loss is loss
    assert Undivided.from_training_step_output(loss, 2).closure_loss == 1.5
    both = Undivided.from_training_step_output({"loss": loss, "seen": 4}, 1)
    assert both.asdict() == {"loss": 3.0, "seen": 4}


@pytest.mark.parametrize("terminal", [False, True])
def test_a_bar_nobody_sees_costs_nothing(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    bar = Progress()
    bar.setup(Trainer(logger=False, barebones=False), TaggingSystem.__new__(TaggingSystem), "fit")
    assert callable(bar.on_train_batch_end) == terminal
    assert bar.is_enabled == terminal


def test_a_profiler_of_the_users_is_taken(data: Path, tmp_path: Path) -> None:
    profiler = f"{{_target_: lightning.pytorch.profilers.SimpleProfiler, dirpath: {tmp_path}, filename: found}}"
    options = ("data.val_fraction=0", "trainer.max_steps=2", f"+trainer.profiler={profiler}")
    train(small_training(data, tmp_path, *options), RunDirectory(tmp_path), {})
    assert "run_training_batch" in (tmp_path / "fit-found.txt").read_text()
