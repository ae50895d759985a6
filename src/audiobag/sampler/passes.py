"""An endless queue of shuffled passes, which samplers draw from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class ShuffledPasses:
    """An endless queue of random permutations of 0 to n - 1, any stretch of which is known without the ones before.

    Where n is small, one generator makes several permutations, about 512 entries in all, because making a generator
    takes longer than shuffling a few entries.

    Args:
        n: length of a pass.
        key: seeds the generators, each together with its own number.
    """

    def __init__(self, n: int, key: tuple[int, ...]) -> None:
        self.n = n
        self._key = key
        self._together = max(1, 512 // n)  # passes that one generator makes
        self._cached: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    def take(self, start: int, count: int) -> NDArray[np.int64]:
        """Return the entries from `start` to `start + count - 1` of the queue."""
        size = self.n * self._together
        first, last = start // size, (start + count - 1) // size
        stretch = np.concatenate([self._order(i) for i in range(first, last + 1)])
        return stretch[start - first * size :][:count]

    def _order(self, index: int) -> NDArray[np.int64]:
        """Return the passes of generator number `index`; the last one made is cached."""
        if self._cached[0] != index:
            rng = np.random.default_rng((*self._key, index))
            if self._together == 1:
                order = rng.permutation(self.n)
            else:
                order = rng.permuted(np.tile(np.arange(self.n), (self._together, 1)), axis=1).ravel()
            self._cached = index, order
        return self._cached[1]
