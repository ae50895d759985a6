"""Subsets of the training clips: the first clips, to overfit on, and a long tail like that of the full AudioSet."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audiobag.data.split import uniform_hash
from audiobag.labels import LabelTable
from audiobag.utils.values import check_number, check_whole


class FirstClips:
    """Selects the first clips that have a label.

    Args:
        count: number of clips.

    Raises:
        ValueError: `count` is not a positive whole number.
    """

    def __init__(self, count: int) -> None:
        check_whole("count", count)
        self.count = count

    def __call__(self, labels: LabelTable, video_id: NDArray[np.character]) -> NDArray[np.bool_]:
        """Return [N], true for the selected clips."""
        labelled = np.diff(labels.offsets) > 0
        selected: NDArray[np.bool_] = labelled & (np.cumsum(labelled) <= self.count)
        return selected


class LongTail:
    r"""Chooses clips so that the number of clips of a class falls with its rank as a power law.

    $$q_k = \min\left(1, \frac{\max(\text{smallest},\; n_1 r_k^{-a})}{n_k}\right)$$

    Class k has $n_k$ clips and rank $r_k$; rank 1 is the class with the most clips, $n_1$. $q_k$ is the share of its
    clips that stays. A clip counts for the one of its classes with the lowest share, because a clip of Music and Banjo
    is a clip of Banjo first; the frequent classes therefore lose hardly any clip by themselves. Of the clips that count
    for a class, those with the lowest hash of their id stay. A class left with fewer than `smallest` clips gets clips
    back, in the same order, up to `smallest` or all it had.

    The choice depends only on labels and ids, not on a seed.

    Args:
        exponent: a; 0 keeps all clips, and larger values give a steeper tail.
        smallest: number of clips that every class keeps at least.

    Raises:
        ValueError: `exponent` is negative, or `smallest` is less than 1.
    """

    def __init__(self, exponent: float = 1.0, smallest: int = 5) -> None:
        check_number("exponent", exponent, "[0, inf)")
        check_whole("smallest", smallest)
        self.exponent, self.smallest = exponent, smallest

    def __call__(self, labels: LabelTable, video_id: NDArray[np.character]) -> NDArray[np.bool_]:
        """Return [N], true for the clips that stay."""
        counts = labels.counts
        share = self._share(counts)
        by_hash = np.argsort(np.argsort(uniform_hash(video_id), kind="stable"), kind="stable")  # rank of each clip
        counted = _lowest(labels, share)
        # Group the clips by the class they count for, in order of their hashes. Clips without labels stay.
        order = np.lexsort((by_hash, counted))
        size = np.bincount(counted + 1, minlength=len(share) + 1)
        place = np.arange(len(labels)) - np.repeat(np.cumsum(size) - size, size)
        allowed = np.ceil(np.concatenate([[1.0], share]) * size)
        kept = np.empty(len(labels), bool)
        kept[order] = place < np.repeat(allowed, size)
        return self._give_back(labels, kept, by_hash)

    def _share(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return q [K]."""
        rank = np.empty(len(counts))
        rank[np.argsort(-counts, kind="stable")] = np.arange(1, len(counts) + 1)
        wanted = np.maximum(self.smallest, counts.max(initial=0) * rank**-self.exponent)
        share: NDArray[np.float64] = np.minimum(1.0, wanted / np.maximum(counts, 1))
        return share

    def _give_back(self, labels: LabelTable, kept: NDArray[np.bool_], by_hash: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return `kept` with clips added for the classes that have fewer than `smallest`."""
        clips, counts = labels.clips, labels.counts
        for k in np.flatnonzero(np.bincount(labels.ids[kept[clips]], minlength=labels.classes) < self.smallest):
            members = clips[labels.ids == k]
            missing = min(self.smallest, int(counts[k])) - int(kept[members].sum())
            left = members[~kept[members]]
            kept[left[np.argsort(by_hash[left])][: max(missing, 0)]] = True
        return kept


def _lowest(labels: LabelTable, share: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the class [N] of each clip with the lowest share, the first of several; -1 for clips without labels."""
    order = np.lexsort((labels.ids, share[labels.ids], labels.clips))
    counted = np.full(len(labels), -1, np.int64)
    clips = labels.clips[order]
    first = np.flatnonzero(np.diff(clips, prepend=-1))
    counted[clips[first]] = labels.ids[order[first]]
    return counted
