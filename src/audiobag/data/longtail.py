"""A long tail cut out of a split that has little of one: the imbalance of the whole data set, in small."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audiobag.data.split import uniform_hash
from audiobag.labels import LabelTable
from audiobag.values import check_number, check_whole


class LongTail:
    """Keeps clips so that the class of rank r has about n_1 r^-a of them, and at least a handful.

    Rank 1 is the class with the most clips, n_1 of them. A class that has fewer than its rank allows keeps a share
    of 1; the others keep the share q_k = max(smallest, n_1 r_k^-a) / n_k. A clip counts for the class of its labels
    with the lowest share, since a clip of Music and Banjo is one Banjo more, and of the clips that count for a class
    the share q_k stays, those whose ids hash lowest. Music and Speech thus lose no clip on their own account. A
    class left with fewer than `smallest` clips (or all it has, if that is less) gets clips back in the same order.

    The choice depends on labels and ids alone: the same clips whatever the seed.

    Args:
        exponent: a; 0 keeps all, the higher the steeper.
        smallest: clips that every class keeps at least.

    Raises:
        UserError: a negative exponent, or a handful of none.
    """

    def __init__(self, exponent: float = 1.0, smallest: int = 5) -> None:
        check_number("data.subset.exponent", exponent, "[0, inf)")
        check_whole("data.subset.smallest", smallest)
        self.exponent, self.smallest = exponent, smallest

    def __call__(self, labels: LabelTable, video_id: NDArray[np.character]) -> NDArray[np.bool_]:
        """Return [N], true for the clips that stay.

        Args:
            labels: of the N clips.
            video_id: [N].
        """
        counts = labels.counts
        share = self._share(counts)
        lot = np.argsort(np.argsort(uniform_hash(video_id), kind="stable"), kind="stable")  # each clip's place
        governs = _lowest(labels, share)
        # Group by the class that a clip counts for, lots ascending; clips without labels count for none and stay.
        order = np.lexsort((lot, governs))
        size = np.bincount(governs + 1, minlength=len(share) + 1)
        place = np.arange(len(labels)) - np.repeat(np.cumsum(size) - size, size)
        allowed = np.ceil(np.concatenate([[1.0], share]) * size)
        kept = np.empty(len(labels), bool)
        kept[order] = place < np.repeat(allowed, size)
        return self._give_back(labels, kept, lot)

    def _share(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return [K], q."""
        rank = np.empty(len(counts))
        rank[np.argsort(-counts, kind="stable")] = np.arange(1, len(counts) + 1)
        wanted = np.maximum(self.smallest, counts.max(initial=0) * rank**-self.exponent)
        share: NDArray[np.float64] = np.minimum(1.0, wanted / np.maximum(counts, 1))
        return share

    def _give_back(self, labels: LabelTable, kept: NDArray[np.bool_], lot: NDArray[np.int64]) -> NDArray[np.bool_]:
        clips, counts = labels.clips, labels.counts
        for k in np.flatnonzero(np.bincount(labels.ids[kept[clips]], minlength=labels.classes) < self.smallest):
            members = clips[labels.ids == k]
            missing = min(self.smallest, int(counts[k])) - int(kept[members].sum())
            left = members[~kept[members]]
            kept[left[np.argsort(lot[left])][: max(missing, 0)]] = True
        return kept


def _lowest(labels: LabelTable, share: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return [N], the class with the lowest share of each clip, the first where several tie; -1 of none."""
    order = np.lexsort((labels.ids, share[labels.ids], labels.clips))
    governs = np.full(len(labels), -1, np.int64)
    clips = labels.clips[order]
    first = np.flatnonzero(np.diff(clips, prepend=-1))
    governs[clips[first]] = labels.ids[order[first]]
    return governs
