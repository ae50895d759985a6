"""Summary of a training, logged before it starts."""

from __future__ import annotations

from torch import nn

from audiobag.data import BagDataModule, BagDataset
from audiobag.training.module import TaggingModule

_PLACES = {
    "mapped": "mapped from the file and shared by all processes of the machine",
    "memory": "in the memory of each process",
    "device": "on the device",
}


def training_summary(module: TaggingModule, data: BagDataModule) -> list[str]:
    """Return one sentence each on the clips, on the place of their frames, and on the work of a step."""
    train, test = data.train_set, data.test_set
    parts = f"{len(train):,} clips to train on"
    if data.holds_out:
        parts += f", {len(data.val_set):,} held out"
    frames = sum(store.frames.nbytes for store in (*data.train_stores, data.test_store))
    parameters = sum(p.numel() for p in module.model.parameters())
    work = flops_per_step(module.model, train, data.batch_size)
    return [
        f"{parts}, {len(test):,} to score",
        f"{frames / 1e6:,.0f} MB of frames, {_PLACES[data.placement]}",
        f"{parameters:,} parameters, about {work / 1e9:,.1f} GFLOP a step of {data.batch_size} clips",
    ]


def flops_per_step(model: nn.Module, dataset: BagDataset, batch_size: int) -> float:
    """Return the floating-point operations of the matrix products of a step, forward and backward: 6 B T P.

    Each of the P matrix weights takes part in one multiplication and one addition per frame in the forward pass, and in
    twice as many in the backward pass. T is the mean length of a bag.
    """
    weights = sum(p.numel() for p in model.parameters() if p.ndim == 2)
    return 6.0 * batch_size * float(dataset.lengths.mean()) * weights
