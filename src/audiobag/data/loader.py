"""Iterables of batches: no workers, no collation; a batch costs less here than its way to a worker and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from audiobag.bags import Bags
from audiobag.data.dataset import BagDataset
from audiobag.errors import UserError


@runtime_checkable
class Draw(Protocol):
    """Which clips make up the global batch of a step; see `audiobag.sampler`."""

    def draw(self, step: int) -> NDArray[np.int64]:
        """Return their numbers [batch_size]."""


class TrainingBatches:
    """One rank's share of the training batches of steps 0 to `steps` - 1; continues where a checkpoint stood.

    Rank r of W takes entries r, r + W, ... of the global batch: together the ranks see what one would.
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
        """Return where the stream stands; Lightning keeps it in the checkpoint."""
        return {"next_step": self._next_step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue from there."""
        self._next_step = state["next_step"]


class EvaluationBatches:
    """One rank's share of all clips, each exactly once and in order.

    The clips are cut into ceil(N / batch_size) nearly equal runs, and every rank takes part in each run, so all
    ranks make the same number of steps without any clip repeated as padding.

    Raises:
        UserError: there are fewer clips than ranks, so that a rank would have none.
    """

    def __init__(self, dataset: BagDataset, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        n = len(dataset)
        if n < world_size:
            raise UserError(f"{n} clips cannot be scored by {world_size} processes: use fewer devices")
        self.dataset = dataset
        runs = np.array_split(np.arange(n), max(1, min(-(-n // batch_size), n // world_size)))
        self._shares = [run[rank::world_size] for run in runs]

    def __len__(self) -> int:
        return len(self._shares)

    def __iter__(self) -> Iterator[Bags]:
        return map(self.dataset.batch, self._shares)
