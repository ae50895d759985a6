"""Clips of rare classes more often than clips of common ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audiobag.labels import LabelTable
from audiobag.sampler.base import Sampler


class Weighted(Sampler):
    """Independent draws with replacement; clip i has the weight w_i = sum over its classes k of 1 / n_k.

    n_k is the number of clips of class k. In expectation every class is the reason of equally many draws, as
    under `Balanced`, but the counts of a batch scatter. Clips without labels are never drawn.
    """

    def __init__(self, labels: LabelTable, batch_size: int, seed: int) -> None:
        super().__init__(labels, batch_size, seed)
        per_entry = 1.0 / labels.counts[labels.ids]
        self._cumulative = np.cumsum(np.bincount(labels.clips, per_entry, minlength=len(labels)))

    def draw(self, step: int) -> NDArray[np.int64]:
        """Return batch_size clips, drawn by a generator of this step alone."""
        u = np.random.default_rng((self.seed, step)).random(self.batch_size)
        clips: NDArray[np.int64] = np.searchsorted(self._cumulative, u * self._cumulative[-1], side="right")
        return clips
