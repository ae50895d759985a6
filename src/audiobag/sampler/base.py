"""What all samplers share: a batch is a pure function of (seed, step), the same on every rank and after a restart.

There is no epoch to keep in step: a sampler is an endless stream of clips, cut into batches, and a pass over
the clips (or classes) may end in the middle of a batch, which the next pass then fills.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from audiobag.labels import LabelTable


class Sampler(ABC):
    """Chooses the clips of each training batch.

    Args:
        labels: of the N training clips.
        batch_size: clips in a global batch, that is, over all ranks.
        seed: another seed, another stream.
    """

    def __init__(self, labels: LabelTable, batch_size: int, seed: int) -> None:
        self.labels = labels
        self.batch_size = batch_size
        self.seed = seed

    @abstractmethod
    def draw(self, step: int) -> NDArray[np.int64]:
        """Return the clips [batch_size] of the global batch of `step`, as rows of `labels`."""


class ShuffledPasses:
    """An endless queue of shuffled passes over 0..n-1, whose every stretch can be had without the ones before.

    Entry i of the queue is entry i mod n of a permutation. (*key, i div n) seeds it; where n is small, one generator
    makes several passes in a row, about 512 entries, since to make a generator takes longer than to shuffle few.
    """

    def __init__(self, n: int, key: tuple[int, ...]) -> None:
        self.n = n
        self._key = key
        self._together = max(1, 512 // n)  # passes that one generator makes
        self._cached: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    def take(self, start: int, count: int) -> NDArray[np.int64]:
        """Return the entries start..start+count-1."""
        size = self.n * self._together
        first, last = start // size, (start + count - 1) // size
        stretch = np.concatenate([self._order(i) for i in range(first, last + 1)])
        return stretch[start - first * size :][:count]

    def _order(self, index: int) -> NDArray[np.int64]:
        if self._cached[0] != index:
            rng = np.random.default_rng((*self._key, index))
            if self._together == 1:
                order = rng.permutation(self.n)
            else:
                order = rng.permuted(np.tile(np.arange(self.n), (self._together, 1)), axis=1).ravel()
            self._cached = index, order
        return self._cached[1]
