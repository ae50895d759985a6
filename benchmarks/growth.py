"""Cost per clip or class as clips and classes grow: it stays the same if the whole is linear."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from audiobag.data import BagDataset
from audiobag.loss import ClipBCE
from audiobag.metrics import tagging_scores
from audiobag.sampler import Balanced
from benchmarks.measure import Row, median, seconds, spread
from benchmarks.step import DIM, FRAMES, paper_model, train_step
from benchmarks.stores import random_store


def run(work: Path) -> list[Row]:
    """Measure."""
    rows = []
    for clips in (10_000, 100_000, 1_000_000, 2_000_000):
        path = work / f"grown-{clips}.h5"
        dataset = BagDataset([random_store(path, clips, dim=16)])
        sampler = Balanced(dataset.labels, 500, 0)
        taken = seconds({"batch": lambda d=dataset, s=sampler: [d.batch(s.draw(i)) for i in range(40)]}, repeats=5)
        rows.append(
            Row(
                f"a batch of 500 of {clips:,} clips",
                1e3 * median(taken["batch"]) / 40,
                "ms",
                spread(taken["batch"]),
            )
        )
        path.unlink()
    for classes in (100, 1_000, 10_000):
        torch.manual_seed(0)
        score, labels = torch.rand(2_000, classes), torch.rand(2_000, classes) < 0.01
        taken = seconds({"score": lambda p=score, y=labels: tagging_scores(p, y)}, repeats=3)
        each = 1e6 * median(taken["score"]) / classes
        rows.append(Row(f"mAP and AUC of 2,000 clips, per class of {classes:,}", each, "us", spread(taken["score"])))
    for classes in (100, 1_000, 10_000):
        taken = seconds({"step": training_step(classes)}, repeats=3)
        rows.append(
            Row(
                f"a training step of 100 clips and {classes:,} classes",
                1e3 * median(taken["step"]),
                "ms",
                spread(taken["step"]),
            )
        )
    return rows


def training_step(classes: int) -> Callable[[], None]:
    """Return a training step of the paper's network with this number of classes."""
    torch.manual_seed(0)
    frames = torch.randint(0, 256, (100, FRAMES, DIM), dtype=torch.uint8)
    mask, labels = torch.ones(100, FRAMES, dtype=torch.bool), torch.rand(100, classes) < 0.01
    model, loss = paper_model(classes), ClipBCE()
    return train_step(lambda: loss(model(frames, mask), labels, mask), list(model.parameters()), bf16=False)
