"""Balanced sampling: the paper's mini-batch balancing (section 3.5)."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from audiobag.labels import LabelTable
from audiobag.sampler.base import Sampler
from audiobag.sampler.passes import ShuffledPasses

_LOG = logging.getLogger(__name__)
_CLASS_QUEUE, _CLIP_LISTS = 0, 1  # separate the seeds of the two kinds of shuffles


class Balanced(Sampler):
    r"""Draws every class equally often, by a queue of shuffled passes over the classes.

    A batch takes the next `batch_size` classes of the queue, and one clip of each: the next clip of the class's own
    shuffled list, which is shuffled again whenever it runs out. In pass j, class k with $n_k$ clips gives

    $$\text{entry } j \bmod n_k \text{ of shuffle } \lfloor j / n_k \rfloor \text{ of its list,}$$

    so the batch of any step is known without the steps before it. Over any number of draws from the start, the counts
    of two classes differ by at most one. A clip of several classes stands in several lists, so a batch can hold it
    twice. Classes without clips and clips without labels are never drawn, and their numbers are logged.

    In the authors' code a batch is smaller where a class's list ends within it; here every batch is full.
    """

    def __init__(self, labels: LabelTable, batch_size: int, seed: int) -> None:
        super().__init__(labels, batch_size, seed)
        self._check_labelled()
        counts = labels.counts
        self._classes = np.flatnonzero(counts)
        if missing := int(np.sum(counts == 0)):
            _LOG.warning("%d of %d classes have no training clip and are never drawn", missing, len(counts))
        self._counts = counts[self._classes]
        self._starts = np.cumsum(self._counts) - self._counts
        self._clips = labels.clips[np.argsort(labels.ids, kind="stable")]  # the lists of all classes, end to end
        self._shuffled = self._clips.copy()
        self._shuffle = np.full(len(self._classes), -1)  # number of the shuffle that each list is in
        self._queue = ShuffledPasses(len(self._classes), (seed, _CLASS_QUEUE))

    def draw(self, step: int) -> NDArray[np.int64]:
        """Return one clip for each of the next `batch_size` classes of the queue."""
        start = step * self.batch_size
        members = self._queue.take(start, self.batch_size)
        passes = (start + np.arange(self.batch_size)) // len(self._classes)
        shuffle, entry = np.divmod(passes, self._counts[members])
        if (shuffle == self._shuffle[members]).all():
            return self._entries(members, entry)
        # A list runs out within this batch, which may span several passes: go pass by pass.
        clips = np.empty(self.batch_size, np.int64)
        for number in range(int(passes[0]), int(passes[-1]) + 1):
            here = np.flatnonzero(passes == number)
            # Few lists are shuffled in a pass, because a list of n clips lasts n passes.
            for i in here[shuffle[here] != self._shuffle[members[here]]]:
                self._shuffle_list(int(members[i]), int(shuffle[i]))
            clips[here] = self._entries(members[here], entry[here])
        return clips

    def _entries(self, members: NDArray[np.int64], entry: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return an entry of the list of each of these classes, in its current shuffle."""
        clips: NDArray[np.int64] = self._shuffled[self._starts[members] + entry]
        return clips

    def _shuffle_list(self, member: int, shuffle: int) -> None:
        clips = slice(self._starts[member], self._starts[member] + self._counts[member])
        rng = np.random.default_rng((self.seed, _CLIP_LISTS, int(self._classes[member]), shuffle))
        self._shuffled[clips] = rng.permutation(self._clips[clips])
        self._shuffle[member] = shuffle
