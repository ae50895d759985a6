"""Weighted sampling: clips of rare classes more often."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audiobag.labels import LabelTable
from audiobag.sampler.base import Sampler


class Weighted(Sampler):
    r"""Draws clips independently and with replacement, weighted by the rarity of their classes.

    $$P(i) \propto w_i = \sum_{k \in \text{classes of } i} \frac{1}{n_k}$$

    $n_k$ is the number of clips of class k. Every class accounts for equally many draws in expectation, as with
    `Balanced`, but the counts in a batch vary. Clips without labels weigh 0: they are never drawn, and their number is
    logged.
    """

    def __init__(self, labels: LabelTable, batch_size: int, seed: int) -> None:
        super().__init__(labels, batch_size, seed)
        self._check_labelled()
        per_entry = 1.0 / labels.counts[labels.ids]
        self._cumulative = np.cumsum(np.bincount(labels.clips, per_entry, minlength=len(labels)))

    def draw(self, step: int) -> NDArray[np.int64]:
        """Return clips [batch_size], drawn by a generator that (seed, step) seeds."""
        u = np.random.default_rng((self.seed, step)).random(self.batch_size)
        clips: NDArray[np.int64] = np.searchsorted(self._cumulative, u * self._cumulative[-1], side="right")
        return clips
