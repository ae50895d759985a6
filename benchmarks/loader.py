"""Batches of 500 clips with their labels: one gather per batch against loaders that read each sample by itself."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from audiobag.data import BagDataset
from audiobag.sampler import Balanced
from benchmarks.measure import Row, rates, seconds
from benchmarks.stores import BALANCED, random_store

BATCH, BATCHES = 500, 8


class PerSample(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Frames and labels of single clips, from an open HDF5 file in the layout of the paper's code or from memory."""

    def __init__(self, x: h5py.Dataset | np.ndarray, y: h5py.Dataset | np.ndarray) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(self.x[i]), torch.from_numpy(self.y[i].astype(np.float32))


def run(work: Path) -> list[Row]:
    """Measure."""
    store = random_store(work / "bal_train.h5", BALANCED)
    ours = BagDataset([store])
    sampler = Balanced(ours.labels, BATCH, 0)
    x, y = np.asarray(store.frames).reshape(BALANCED, 10, 128), store.labels.dense()
    packed = work / "packed.h5"
    with h5py.File(packed, "w") as file:
        file["x"], file["y"] = x, y
    with h5py.File(packed, "r") as file:

        def peer(data: PerSample, workers: int, batches: int) -> None:
            generator = torch.Generator().manual_seed(0)
            loader = DataLoader(data, BATCH, shuffle=True, num_workers=workers, generator=generator)
            for i, _ in enumerate(loader):
                if i + 1 == batches:
                    break

        def whole(batches: int) -> None:
            for step in range(batches):
                ours.batch(sampler.draw(step))

        candidates = {
            "audiobag": lambda: whole(BATCHES * 8),
            "per-sample HDF5, default collate": lambda: peer(PerSample(file["x"], file["y"]), 0, 2),
            "per-sample in memory, default collate": lambda: peer(PerSample(x, y), 0, BATCHES),
            "per-sample in memory, 2 workers": lambda: peer(PerSample(x, y), 2, 40),
        }
        taken = seconds(candidates, repeats=5)
    items = dict(zip(candidates, (BATCHES * 8 * BATCH, 2 * BATCH, BATCHES * BATCH, 40 * BATCH)))
    goals = dict(zip(list(candidates)[1:], ("50 x", "5 x", "")))
    return rates(taken, items, "audiobag", "clips/s", goals)
