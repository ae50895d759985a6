"""The clips of a data set as tensors on one device, which makes batches there."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Int64, UInt8
from numpy.typing import NDArray
from torch import Tensor

from audiobag.bags import Bags
from audiobag.data.dataset import BagDataset
from audiobag.labels import LabelTable


class ResidentBags:
    """Makes batches on a device from the numbers of their clips, without the host and without waiting for it.

    Batches are those of `BagDataset.batch`, except that all have the length of the longest bag, so that every batch has
    the same shapes. The labels take one bit for each clip and class.

    Args:
        dataset: N clips.
        frames: frames [F, D] of all stores of the data set, end to end, on the device.
    """

    def __init__(self, dataset: BagDataset, frames: Tensor) -> None:
        device = frames.device
        self.classes = dataset.labels.classes
        self.longest = int(dataset.lengths.max(initial=1))
        self._padded = int(dataset.lengths.min(initial=1)) < self.longest
        self._frames = frames
        self._starts = torch.from_numpy(dataset.starts).to(device)
        self._lengths = torch.from_numpy(dataset.lengths).to(device)
        self._labels = torch.from_numpy(packed(dataset.labels)).to(device)
        self._time = torch.arange(self.longest, device=device)
        self._bits = torch.arange(8, dtype=torch.uint8, device=device)

    @property
    def device(self) -> torch.device:
        """Where the clips are."""
        return self._frames.device

    def batch(self, index: Int64[Tensor, " B"]) -> Bags:
        """Return clips as one batch."""
        lengths = self._lengths[index]
        # Padding reads the bag's last frame again, so that no row is outside the store.
        rows = self._starts[index][:, None] + torch.minimum(self._time, lengths[:, None] - 1)
        frames = self._frames.index_select(0, rows.view(-1)).view(*rows.shape, -1)
        if self._padded:
            frames *= (self._time < lengths[:, None])[..., None]
        return Bags(frames, lengths, self._unpacked(self._labels.index_select(0, index)), index)

    def _unpacked(self, bytes_: UInt8[Tensor, "B W"]) -> Bool[Tensor, "B K"]:
        bits = (bytes_[..., None] >> self._bits) & 1
        return bits.view(len(bytes_), -1)[:, : self.classes].bool()


def packed(labels: LabelTable) -> NDArray[np.uint8]:
    """Return the labels [N, K / 8], rounded up: class k of clip n is bit k % 8 of byte k // 8 of row n."""
    table = np.zeros((len(labels), -(-labels.classes // 8)), dtype=np.uint8)
    ids = labels.ids.astype(np.int64)
    byte, bit = labels.clips * table.shape[1] + ids // 8, (1 << ids % 8).astype(np.uint8)
    np.bitwise_or.at(table.reshape(-1), byte, bit)
    return table
