"""Every clip as often as any other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audiobag.labels import LabelTable
from audiobag.sampler.base import Sampler, ShuffledPasses


class Uniform(Sampler):
    """Shuffled passes over the clips: the paper's "without balancing" (Table 1)."""

    def __init__(self, labels: LabelTable, batch_size: int, seed: int) -> None:
        super().__init__(labels, batch_size, seed)
        self._passes = ShuffledPasses(len(labels), (seed,))

    def draw(self, step: int) -> NDArray[np.int64]:
        """Return the next batch_size clips of the queue."""
        return self._passes.take(step * self.batch_size, self.batch_size)
