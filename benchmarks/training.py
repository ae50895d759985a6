"""What the framework costs: audiobag-train's loop against a plain one, and against Lightning as it comes."""

from __future__ import annotations

import shutil
import time
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import torch
from hydra import compose, initialize_config_module
from lightning import Callback, LightningModule, Trainer
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.utils.data import DataLoader

import audiobag.cli.command  # noqa: F401 - registers the resolvers
from audiobag.data import BagDataset
from audiobag.experiment import build_system, train
from audiobag.runs import RunDirectory
from audiobag.sampler import Balanced
from benchmarks.loader import PerSample
from benchmarks.measure import Row, median, quartiles
from benchmarks.step import PlainExpectation
from benchmarks.stores import BALANCED, random_store

_TURNS = 5
# The difference of two loops is a small part of either, and the machine changes from one second to the next.
_OVERHEAD_TURNS = 15


def configuration(work: Path, steps: int, *overrides: str) -> dict[str, Any]:
    """Return audiobag-train's configuration for stores in `work`."""
    with initialize_config_module("audiobag.conf", version_base="1.3"):
        config = compose(
            "train",
            overrides=[
                f"data.root={work}",
                f"paths.run={work / 'run'}",
                f"trainer.max_steps={steps}",
                "data.val_fraction=0",
                "callbacks.checkpoints.every=1000000",
                *overrides,
            ],
        )
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    return {str(k): v for k, v in plain.items()}


class Stamps(Callback):
    """Takes the time at the start of each step."""

    taken: ClassVar[list[float]] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the run before."""
        Stamps.taken.clear()

    def on_train_batch_start(self, *_: Any) -> None:
        """Take it."""
        Stamps.taken.append(time.perf_counter())


def per_step(stamps: list[float], together: int) -> list[float]:
    """Return the seconds a step of each run of so many steps; the first run, which warms up, is left out."""
    marks = stamps[together::together]
    return [(after - before) / together for before, after in pairwise(marks)]


def framework_steps(work: Path, config: dict[str, Any], together: int) -> list[float]:
    """Return audiobag-train's seconds a step, without start and end."""
    shutil.rmtree(work / "run", ignore_errors=True)
    (work / "run").mkdir()
    train(config, RunDirectory(work / "run"), {})
    return per_step(Stamps.taken, together)


def plain_steps(config: dict[str, Any], dataset: BagDataset, together: int) -> list[float]:
    """Return the seconds a step of the same model, loss, optimiser and batches in the plainest loop."""
    system = build_system(config, dataset.stores[0])
    optimizer = system.configure_optimizers()["optimizer"]
    sampler = Balanced(dataset.labels, config["data"]["batch_size"], 0)
    system.model.train()
    stamps = []
    for step in range(config["trainer"]["max_steps"]):
        stamps.append(time.perf_counter())
        bags = dataset.batch(sampler.draw(step))
        loss = system.loss(system.model(bags.frames, bags.mask), bags.labels, bags.mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return per_step(stamps, together)


class AsItComes(LightningModule):
    """The paper's network as a first Lightning module: nothing set, nothing tuned."""

    def __init__(self) -> None:
        super().__init__()
        self.net = PlainExpectation()

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the loss."""
        x, y = batch
        loss = nn.functional.binary_cross_entropy(self.net(x).clamp(0, 1), y)
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam."""
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def as_it_comes_steps(work: Path, data: PerSample, steps: int) -> list[float]:
    """Return the seconds a step of a default Trainer with a default DataLoader."""
    trainer = Trainer(
        max_steps=steps,
        accelerator="cpu",
        default_root_dir=work / "lightning",
        enable_progress_bar=False,
        callbacks=[Stamps()],
    )
    loader = DataLoader(data, 500, shuffle=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(AsItComes(), loader)
    return per_step(Stamps.taken, 1)


def run(work: Path) -> list[Row]:
    """Measure."""
    store = random_store(work / "bal_train.h5", BALANCED)
    random_store(work / "eval.h5", 500, seed=1)
    small = work / "five"
    five = random_store(small / "bal_train.h5", BALANCED, classes=5)
    random_store(small / "eval.h5", 500, classes=5, seed=1)
    x, y = store.frames.reshape(BALANCED, 10, 128), store.labels.dense()
    dataset, tiny = BagDataset([store]), BagDataset([five])
    stamps = "+callbacks.stamps={_target_: benchmarks.training.Stamps}"
    paper = configuration(work, 12, stamps)
    # A batch that takes no time: what is left is the loop.
    narrow = configuration(small, 1_000, "embedding.width=1", "embedding.depth=1", "data.batch_size=4", stamps)
    logged = narrow["trainer"]["log_every_n_steps"]
    taken: dict[str, list[float]] = {name: [] for name in ("ours", "plain", "lightning", "narrow", "narrow plain")}
    for _ in range(_TURNS):
        taken["ours"] += framework_steps(work, paper, 1)
        taken["plain"] += plain_steps(paper, dataset, 1)
        taken["lightning"] += as_it_comes_steps(work, PerSample(x, y), 12)
    overheads = []
    for _ in range(_OVERHEAD_TURNS):
        ours, plain = framework_steps(small, narrow, logged), plain_steps(narrow, tiny, logged)
        taken["narrow"] += ours
        taken["narrow plain"] += plain
        overheads.append(median(ours) - median(plain))
    ms = {name: 1e3 * median(values) for name, values in taken.items()}
    wide = {name: quartiles(values) for name, values in taken.items()}
    return [
        Row("audiobag-train, a step of the paper's network", ms["ours"], "ms", wide["ours"]),
        Row(
            "plain loop, same model and batches",
            ms["plain"],
            "ms",
            wide["plain"],
            "audiobag-train takes",
            ms["ours"] / ms["plain"],
            "at most 1.03 x",
        ),
        Row(
            "Lightning as it comes, per-sample loader",
            ms["lightning"],
            "ms",
            wide["lightning"],
            "audiobag-train takes",
            ms["ours"] / ms["lightning"],
        ),
        Row("audiobag-train, a step of a model of width 1, batch 4", ms["narrow"], "ms", wide["narrow"]),
        Row("plain loop, same model and batches, width 1, batch 4", ms["narrow plain"], "ms", wide["narrow plain"]),
        Row(
            "framework overhead a step, turn by turn",
            1e3 * median(overheads),
            "ms",
            quartiles(overheads),
            goal="under 0.3 ms",
        ),
    ]
