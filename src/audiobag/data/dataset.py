"""Clips of one or more stores, read a whole batch at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from audiobag.bags import Bags
from audiobag.data.encoders import other_encoder
from audiobag.data.store import Store
from audiobag.labels import LabelTable
from audiobag.utils.errors import InputError


class BagDataset:
    """N clips of one or more stores.

    Args:
        stores: stores whose clips are numbered end to end. They must have the same frame width, dtype, classes, scale
            and offset.
        rows: numbers [N] of the clips to take, in this order; all clips by default.

    Raises:
        ValueError: the stores differ.
    """

    def __init__(self, stores: Sequence[Store], rows: NDArray[np.int64] | None = None) -> None:
        for other in stores[1:]:
            check_alike(stores[0], other)
        self.stores = tuple(stores)
        clips = np.array([len(s) for s in stores])
        rows = np.arange(clips.sum()) if rows is None else rows
        first = np.cumsum(clips) - clips
        self._store = np.searchsorted(first, rows, side="right") - 1
        lengths = np.concatenate([s.columns.lengths for s in stores])
        starts = np.concatenate([s.columns.offsets[:-1] for s in stores])
        self.lengths, self._starts = lengths[rows], starts[rows]
        self.labels = LabelTable.concatenate([s.labels for s in stores]).take(rows)
        self.video_id = np.concatenate([s.columns.video_id for s in stores])[rows]
        self._frames = [torch.from_numpy(s.frames) for s in stores]

    @property
    def starts(self) -> NDArray[np.int64]:
        """Row [N] of the first frame of each clip, where the frames of all stores lie end to end."""
        sizes = np.array([len(s.frames) for s in self.stores])
        starts: NDArray[np.int64] = self._starts + (np.cumsum(sizes) - sizes)[self._store]
        return starts

    def __len__(self) -> int:
        return len(self.lengths)

    def place(self, frames: Sequence[torch.Tensor]) -> None:
        """Read from these copies of the stores' frames from now on; see `Placement`."""
        self._frames = list(frames)

    def batch(self, index: NDArray[np.int64]) -> Bags:
        """Return clips as one batch, by one gather and without a loop over the clips.

        The frames are on the device of the stores' frames; the other, smaller tensors are on the CPU.

        Args:
            index: numbers [B] of the clips, in any order; a clip may appear more than once.
        """
        lengths = self.lengths[index]
        t = np.arange(lengths.max(initial=1))
        padding = t >= lengths[:, None]
        # Padding reads the bag's last frame again, so that no row is outside the store.
        rows = self._starts[index, None] + np.minimum(t, lengths[:, None] - 1)
        frames = self._gather(self._store[index], rows)
        if padding.any():
            frames *= torch.from_numpy(~padding[..., None]).to(frames.device)
        return Bags(
            frames=frames,
            lengths=torch.from_numpy(lengths),
            labels=torch.from_numpy(self.labels.take(index).dense()),
            index=torch.from_numpy(index),
        )

    def _gather(self, store: NDArray[np.int64], rows: NDArray[np.int64]) -> torch.Tensor:
        """Return the frames [B, T, D] at `rows` [B, T] of the store [B] of each clip."""
        first = self._frames[0]
        shape = (*rows.shape, first.shape[1])
        if len(self._frames) == 1:
            return first.index_select(0, torch.from_numpy(rows.ravel()).to(first.device)).view(shape)
        frames = torch.empty(shape, dtype=first.dtype, device=first.device)
        for number, source in enumerate(self._frames):
            here = np.flatnonzero(store == number)
            part = source.index_select(0, torch.from_numpy(rows[here].ravel()).to(source.device))
            frames[torch.from_numpy(here).to(first.device)] = part.view(len(here), *shape[1:])
        return frames


def check_alike(a: Store, b: Store) -> None:
    """Check that one model can take both stores.

    Raises:
        ValueError: the stores differ in frame width, dtype, classes, scale, offset or encoder; the message names the
            first.
    """
    for what, of_a, of_b in (
        ("numbers a frame", a.dim, b.dim),
        ("dtype", a.frames.dtype.name, b.frames.dtype.name),
        ("classes", a.classes, b.classes),
        ("scale", a.description.scale, b.description.scale),
        ("offset", a.description.offset, b.description.offset),
    ):
        if of_a != of_b:
            raise InputError(f"{a.path} has {what} {of_a}, {b.path} has {of_b}: prepare both from one release")
    if a.description.class_names != b.description.class_names:
        raise InputError(f"{a.path} and {b.path} name their classes differently: prepare both from one release")
    if difference := other_encoder(a.description.encoder, b.description.encoder):
        raise InputError(f"{a.path} and {b.path} are by other encoders ({difference}): embed both with one")
