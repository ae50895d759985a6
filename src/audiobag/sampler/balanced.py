"""Every class as often as any other: the paper's mini-batch balancing (section 3.5)."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from audiobag.labels import LabelTable
from audiobag.sampler.base import Sampler, ShuffledPasses

_LOG = logging.getLogger(__name__)
_CLASS_QUEUE, _CLIP_LISTS = 0, 1  # keep the two kinds of shuffles apart


class Balanced(Sampler):
    """A queue of shuffled passes over the classes; each class hands out its clips from its own shuffled list.

    A batch takes the next `batch_size` classes of the queue, and one clip for each: the next of the class's
    list, which is shuffled again whenever it runs out. Each pass has every class exactly once, so over any
    stretch from the start two classes are drawn equally often to within one. A clip of several classes stands
    in several lists, so a batch can hold it twice.

    In the authors' code a batch shrinks where a class's list ends inside it; here every batch is full.
    Classes without clips are left out of the queue, and named in the log.

    A pass draws each class once, hence in pass j class k hands out entry j mod n_k of its list's shuffle number
    j div n_k: the batch of any step is known without the steps before it.
    """

    def __init__(self, labels: LabelTable, batch_size: int, seed: int) -> None:
        super().__init__(labels, batch_size, seed)
        counts = labels.counts
        self._classes = np.flatnonzero(counts)
        if missing := int(np.sum(counts == 0)):
            _LOG.warning("%d of %d classes have no training clip and are never drawn", missing, len(counts))
        self._counts = counts[self._classes]
        self._starts = np.cumsum(self._counts) - self._counts
        self._clips = labels.clips[np.argsort(labels.ids, kind="stable")]  # list after list
        self._shuffled = self._clips.copy()
        self._shuffle = np.full(len(self._classes), -1)  # which shuffle each list stands in
        self._queue = ShuffledPasses(len(self._classes), (seed, _CLASS_QUEUE))

    def draw(self, step: int) -> NDArray[np.int64]:
        """Return one clip for each of the next batch_size classes of the queue."""
        start = step * self.batch_size
        members = self._queue.take(start, self.batch_size)
        passes = (start + np.arange(self.batch_size)) // len(self._classes)
        shuffle, entry = np.divmod(passes, self._counts[members])
        if (shuffle == self._shuffle[members]).all():
            return self._entries(members, entry)
        # A list is shuffled anew within this batch, and maybe not with the batch's first pass: pass by pass.
        clips = np.empty(self.batch_size, np.int64)
        for number in range(int(passes[0]), int(passes[-1]) + 1):
            here = np.flatnonzero(passes == number)
            for i in here[shuffle[here] != self._shuffle[members[here]]]:  # few: a list of n clips lasts n passes
                self._shuffle_list(int(members[i]), int(shuffle[i]))
            clips[here] = self._entries(members[here], entry[here])
        return clips

    def _entries(self, members: NDArray[np.int64], entry: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return an entry of each of these classes' lists, as they are shuffled now."""
        clips: NDArray[np.int64] = self._shuffled[self._starts[members] + entry]
        return clips

    def _shuffle_list(self, member: int, shuffle: int) -> None:
        clips = slice(self._starts[member], self._starts[member] + self._counts[member])
        rng = np.random.default_rng((self.seed, _CLIP_LISTS, int(self._classes[member]), shuffle))
        self._shuffled[clips] = rng.permutation(self._clips[clips])
        self._shuffle[member] = shuffle
