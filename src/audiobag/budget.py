"""What a training takes, said before it begins."""

from __future__ import annotations

from torch import nn

from audiobag.data import BagDataModule, BagDataset
from audiobag.system import TaggingSystem

_PLACES = {
    "mapped": "mapped from the file, its pages shared by all processes of the machine",
    "memory": "in the memory of each process",
    "device": "on the device",
}


def budget(system: TaggingSystem, data: BagDataModule) -> list[str]:
    """Return a sentence each on the clips, on where their frames lie, and on the work of a step."""
    train, test = data.train_set, data.test_set
    parts = f"{len(train):,} clips to train on"
    if data.val_fraction:
        parts += f", {len(data.val_set):,} held out"
    frames = sum(store.frames.nbytes for store in (*data.train_stores, data.test_store))
    parameters = sum(p.numel() for p in system.model.parameters())
    work = flops_per_step(system.model, train, data.batch_size)
    return [
        f"{parts}, {len(test):,} to score",
        f"{frames / 1e6:,.0f} MB of frames, {_PLACES[data.placement]}",
        f"{parameters:,} parameters, about {work / 1e9:,.1f} GFLOP a step of {data.batch_size} clips",
    ]


def flops_per_step(model: nn.Module, dataset: BagDataset, batch_size: int) -> float:
    """Return the floating-point operations of a step's matrix products, forward and backward.

    6 B T P: each of the P weights in matrices takes part in one multiplication and one addition a frame, and twice
    as many again on the way back; T is the mean length of a bag.
    """
    weights = sum(p.numel() for p in model.parameters() if p.ndim == 2)
    return 6.0 * batch_size * float(dataset.lengths.mean()) * weights
