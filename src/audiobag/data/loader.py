"""Iterables of batches, in the main process: making a batch takes less time than sending it from a worker would."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiobag.bags import Bags
from audiobag.data.dataset import BagDataset
from audiobag.utils.errors import InputError


@runtime_checkable
class Draw(Protocol):
    """What `TrainingBatches` needs from a sampler; see `audiobag.sampler.Sampler`."""

    def draw(self, step: int) -> NDArray[np.int64]:
        """Return the clips [batch_size] of the global batch of `step`."""


class TrainingBatches:
    """One rank's share of the training batches of steps 0 to `steps` - 1.

    Rank r of W takes entries r, r + W, ... of each global batch, so all ranks together train on the batches that one
    rank would.

    Args:
        dataset: clips to read.
        sampler: chooses the clips of each global batch.
        steps: number of training steps.
        rank: rank of this process.
        world_size: number of processes.
    """

    def __init__(self, dataset: BagDataset, sampler: Draw, steps: int, rank: int = 0, world_size: int = 1) -> None:
        self.dataset = dataset
        self.sampler = sampler
        self.steps = steps
        self.rank, self.world_size = rank, world_size
        self._next_step = 0

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Bags]:
        while self._next_step < self.steps:
            index = self.sampler.draw(self._next_step)[self.rank :: self.world_size]
            self._next_step += 1
            yield self.dataset.batch(index)

    def state_dict(self) -> dict[str, int]:
        """Return the position in the stream; Lightning keeps it in the checkpoint."""
        return {"next_step": self._next_step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue from the position of `state`."""
        self._next_step = state["next_step"]


class TrainingIndices(TrainingBatches):
    """The numbers [batch_size] of the clips of each training batch, on a device: for `ResidentBags`, one process.

    Numbers are drawn some steps ahead and copied together, so that a step does not wait for the copy.
    """

    AHEAD: Final = 32

    def __init__(self, dataset: BagDataset, sampler: Draw, steps: int, device: torch.device) -> None:
        super().__init__(dataset, sampler, steps)
        self.device = device

    def __iter__(self) -> Iterator[Tensor]:  # type: ignore[override]
        while self._next_step < self.steps:
            ahead = range(self._next_step, min(self._next_step + self.AHEAD, self.steps))
            block = torch.from_numpy(np.stack([self.sampler.draw(step) for step in ahead]))
            if self.device.type == "cuda":
                block = block.pin_memory()
            for index in block.to(self.device, non_blocking=True):
                self._next_step += 1
                yield index


class EvaluationBatches:
    """One rank's share of all clips, each exactly once and in order.

    The clips are split into about N / batch_size nearly equal runs, and every rank takes a share of each run. All
    ranks therefore make the same number of steps, and no clip is repeated.

    Args:
        dataset: clips to read.
        batch_size: clips of a global batch, over all ranks.
        rank: rank of this process.
        world_size: number of processes.

    Raises:
        ValueError: there are fewer clips than ranks.
    """

    def __init__(self, dataset: BagDataset, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        n = len(dataset)
        if n < world_size:
            raise InputError(f"{n} clips cannot be scored by {world_size} processes: use fewer devices")
        self.dataset = dataset
        runs = np.array_split(np.arange(n), max(1, min(-(-n // batch_size), n // world_size)))
        self._shares = [run[rank::world_size] for run in runs]

    def __len__(self) -> int:
        return len(self._shares)

    def __iter__(self) -> Iterator[Bags]:
        return map(self.dataset.batch, self._shares)
