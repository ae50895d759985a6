"""Uniform sampling over the clips."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audiobag.labels import LabelTable
from audiobag.sampler.base import Sampler
from audiobag.sampler.passes import ShuffledPasses


class Uniform(Sampler):
    """Draws every clip once in each shuffled pass: the paper's "without balancing" (Table 1)."""

    def __init__(self, labels: LabelTable, batch_size: int, seed: int) -> None:
        super().__init__(labels, batch_size, seed)
        self._passes = ShuffledPasses(len(labels), (seed,))

    def draw(self, step: int) -> NDArray[np.int64]:
        """Return the next clips [batch_size] of the passes."""
        return self._passes.take(step * self.batch_size, self.batch_size)
