"""Training steps of audiobag-train against a plain loop, and against an untuned Lightning module."""

from __future__ import annotations

import shutil
import time
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

import audiobag
from audiobag.data import BagDataset
from audiobag.loss import ClipBCE
from audiobag.sampler import Balanced
from benchmarks.loader import PerSample
from benchmarks.measure import Row, median, quartiles
from benchmarks.step import CLIPS, DIM, FRAMES, PlainExpectation, paper_model
from benchmarks.stores import BALANCED, random_store

_TURNS, _STEPS = 7, 12


class Stamps(Callback):
    """Records the time at the start of each step."""

    taken: ClassVar[list[float]] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the previous run."""
        Stamps.taken.clear()

    def on_train_batch_start(self, *_: Any) -> None:
        """Record the time."""
        Stamps.taken.append(time.perf_counter())


def per_step(stamps: list[float]) -> list[float]:
    """Return the seconds of each step but the first, which warms up."""
    return [after - before for before, after in pairwise(stamps[1:])]


def framework_steps(work: Path, steps: int) -> list[float]:
    """Return the seconds per step of audiobag-train's default recipe: the paper's network, batches of 500."""
    shutil.rmtree(work / "run", ignore_errors=True)
    audiobag.train(
        f"trainer.max_steps={steps}",
        "data.val_fraction=0",
        "+callbacks.stamps={_target_: benchmarks.training.Stamps}",
        data_root=work,
        out=work / "run",
    )
    return per_step(Stamps.taken)


def plain_steps(dataset: BagDataset, steps: int) -> list[float]:
    """Return the seconds per step of the same model, loss, optimizer and batches in a plain loop."""
    model, criterion = paper_model(), ClipBCE()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    sampler = Balanced(dataset.labels, CLIPS, 0)
    stamps = []
    for step in range(steps):
        stamps.append(time.perf_counter())
        bags = dataset.batch(sampler.draw(step))
        loss = criterion(model(bags.frames, bags.mask), bags.labels, bags.mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return per_step(stamps)


class UntunedModule(LightningModule):
    """The paper's network as a first Lightning module, with every default."""

    def __init__(self) -> None:
        super().__init__()
        self.net = PlainExpectation()

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the loss."""
        x, y = batch
        F = self.net(x).float().clamp(0, 1)
        with torch.autocast(x.device.type, enabled=False):
            loss = nn.functional.binary_cross_entropy(F, y)
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam."""
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def untuned_steps(work: Path, data: PerSample, steps: int, accelerator: str = "cpu", **options: Any) -> list[float]:
    """Return the seconds per step of a default Trainer with a default DataLoader."""
    trainer = Trainer(
        max_steps=steps,
        accelerator=accelerator,
        **options,
        default_root_dir=work / "lightning",
        enable_progress_bar=False,
        callbacks=[Stamps()],
    )
    loader = DataLoader(data, CLIPS, shuffle=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(UntunedModule(), loader)
    return per_step(Stamps.taken)


def run(work: Path, turns: int = _TURNS, steps: int = _STEPS) -> list[Row]:
    """Measure."""
    store = random_store(work / "bal_train.h5", BALANCED)
    random_store(work / "eval.h5", 500, seed=1)
    dataset = BagDataset([store])
    samples = PerSample(store.frames.reshape(BALANCED, FRAMES, DIM), store.labels.dense())
    ours, plain, untuned = [], [], []
    for _ in range(turns):
        ours.append(framework_steps(work, steps))
        plain.append(plain_steps(dataset, steps))
        untuned.append(untuned_steps(work, samples, steps))
    return [
        _row("audiobag-train, a step of the paper's network", ours),
        _row("plain loop, same model and batches", plain, ours, "at most 1.03 x"),
        _row("untuned Lightning module, per-sample loader", untuned, ours),
    ]


def _row(what: str, turns: list[list[float]], ours: list[list[float]] | None = None, goal: str = "") -> Row:
    """Return the row of a candidate: the median over all steps, the ratio as the median over the turns."""
    steps = [second for turn in turns for second in turn]
    value = 1e3 * median(steps)
    if ours is None:
        return Row(what, value, "ms", quartiles(steps))
    ratio = median([median(own) / median(turn) for own, turn in zip(ours, turns)])
    return Row(what, value, "ms", quartiles(steps), "audiobag-train takes", ratio, goal)
